/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/*
 * Paths from dentry and mount, as the process sees them: bpf_d_path is refused in these hooks. The walk goes from the
 * leaf to the root of the process and leaves the components in that order; user space turns them round. It stops
 * after PH_PATH_MAX bytes, with the leaf kept: the end of a path cannot be hidden by its depth.
 */
#ifndef PHALANX_PATH_H
#define PHALANX_PATH_H

#include "emit.h"

struct walk {
	struct dentry *dentry;
	struct vfsmount *mnt;
	struct dentry *mnt_root;
	struct dentry *root;
	struct vfsmount *root_mnt;
	__u32 begin;
	__u32 used;
	__u32 done;
};

/* d_parent and d_name are neighbours in struct dentry: one read for both */
struct dentry_names {
	struct dentry *parent;
	__u64 hash_len;
	const unsigned char *name;
};

static long walk_step(__u32 index, void *context)
{
	struct walk *walk = context;
	struct ph_record *rec = scratch_record();
	struct dentry *dentry = walk->dentry;
	struct dentry_names names = {};
	__u32 used = walk->used;
	long n;

	if (!rec || used > PH_DATA_MAX)
		return 1;
	if (used - walk->begin > PH_PATH_MAX - 256)
		return 1;
	if (dentry == walk->mnt_root) {
		struct vfsmount *mnt = walk->mnt;
		struct mount *mount = (void *)mnt - bpf_core_field_offset(struct mount, mnt);
		struct mount *above;

		if (dentry == walk->root && mnt == walk->root_mnt) {
			walk->done = 1;
			return 1;
		}
		above = BPF_CORE_READ(mount, mnt_parent);
		if (above == mount || !above) {
			walk->done = 1;
			return 1;
		}
		walk->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		mnt = (void *)above + bpf_core_field_offset(struct mount, mnt);
		walk->mnt = mnt;
		walk->mnt_root = BPF_CORE_READ(mnt, mnt_root);
		return 0;
	}
	if (dentry == walk->root && walk->mnt == walk->root_mnt) {
		walk->done = 1; /* chroot into the middle of a file system */
		return 1;
	}
	if (bpf_core_field_offset(struct dentry, d_name) == bpf_core_field_offset(struct dentry, d_parent) + sizeof(void *)) {
		bpf_core_read(&names, sizeof(names), &dentry->d_parent);
	} else {
		names.parent = BPF_CORE_READ(dentry, d_parent);
		names.name = BPF_CORE_READ(dentry, d_name.name);
	}
	if (names.parent == dentry || !names.parent) {
		walk->done = 1;
		return 1;
	}
	n = bpf_probe_read_kernel_str(PH_AT(rec, used), 256, names.name);
	if (n <= 0)
		return 1;
	walk->used = used + n;
	walk->dentry = names.parent;
	return 0;
}

/* Adds the path of (mnt, dentry) as `task` sees it. */
static __always_inline void add_path(struct ph_record *rec, __u8 kind, struct task_struct *task, struct vfsmount *mnt, struct dentry *dentry)
{
	long used = room(rec);
	struct fs_struct *fs = task->fs;
	struct walk walk = {};

	if (used < 0 || !dentry || !mnt)
		return;
	walk.dentry = dentry;
	walk.mnt = mnt;
	walk.mnt_root = BPF_CORE_READ(mnt, mnt_root);
	if (fs) {
		walk.root = fs->root.dentry;
		walk.root_mnt = fs->root.mnt;
	}
	walk.begin = walk.used = used;
	bpf_loop(PH_PATH_MAX / 2 + 64, walk_step, &walk, 0);
	if (!walk.done)
		rec->flags |= PH_F_CUT;
	add(rec, kind, walk.done ? PH_FORM_PATH : PH_FORM_CUT_PATH, walk.used - used);
}

static __always_inline void add_file_path(struct ph_record *rec, __u8 kind, struct task_struct *task, struct file *file)
{
	struct vfsmount *mnt = BPF_CORE_READ(file, f_path.mnt);
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	struct dentry *parent = BPF_CORE_READ(dentry, d_parent);

	if (parent == dentry) {
		struct mount *mount = (void *)mnt - bpf_core_field_offset(struct mount, mnt);

		/* memory file, pipe, socket, anonymous inode: a root that is mounted nowhere has only its name */
		if (BPF_CORE_READ(mnt, mnt_root) != dentry ||
		    (BPF_CORE_READ(mount, mnt_parent) == mount && dentry != task->fs->root.dentry)) {
			add_kernel_string(rec, kind, BPF_CORE_READ(dentry, d_name.name));
			return;
		}
	}
	add_path(rec, kind, task, mnt, dentry);
}

static __always_inline void add_cwd(struct ph_record *rec, __u8 kind, struct task_struct *task)
{
	add_path(rec, kind, task, task->fs->pwd.mnt, task->fs->pwd.dentry);
}

static __always_inline struct file *file_of(struct task_struct *task, __s32 num)
{
	struct files_struct *files = task->files;
	struct fdtable *table;
	struct file *file = 0;
	struct file **at;

	if (!files || num < 0)
		return 0;
	table = files->fdt;
	if (!table || (__u32)num >= table->max_fds)
		return 0;
	at = table->fd + num;
	bpf_probe_read_kernel(&file, sizeof(file), at);
	return file;
}

/* The directory that a relative name starts from: `base` is a descriptor, or AT_FDCWD (-100). */
static __always_inline void add_base(struct ph_record *rec, __u8 kind, struct task_struct *task, __s32 base)
{
	struct file *file;

	if (base == -100) {
		add_cwd(rec, kind, task);
		return;
	}
	file = file_of(task, base);
	if (file)
		add_path(rec, kind, task, BPF_CORE_READ(file, f_path.mnt), BPF_CORE_READ(file, f_path.dentry));
}

/* The path of a cgroup below the root of its hierarchy. */
struct kernfs_walk {
	struct kernfs_node *node;
	__u32 begin;
	__u32 used;
	__u32 done;
};

static __always_inline struct kernfs_node *kernfs_parent(struct kernfs_node *node)
{
	struct kernfs_node___new *renamed = (void *)node;
	struct kernfs_node___old *old = (void *)node;

	if (bpf_core_field_exists(renamed->__parent))
		return BPF_CORE_READ(renamed, __parent);
	return BPF_CORE_READ(old, parent);
}

static long kernfs_step(__u32 index, void *context)
{
	struct kernfs_walk *walk = context;
	struct ph_record *rec = scratch_record();
	struct kernfs_node *node = walk->node, *parent;
	__u32 used = walk->used;
	long n;

	if (!rec || used > PH_DATA_MAX)
		return 1;
	if (used - walk->begin > PH_PATH_MAX - 256)
		return 1;
	parent = kernfs_parent(node);
	if (!parent) {
		walk->done = 1;
		return 1;
	}
	n = bpf_probe_read_kernel_str(PH_AT(rec, used), 256, BPF_CORE_READ(node, name));
	if (n <= 0)
		return 1;
	walk->used = used + n;
	walk->node = parent;
	return 0;
}

static __always_inline void add_cgroup(struct ph_record *rec, struct kernfs_node *node)
{
	long used = room(rec);
	struct kernfs_walk walk = {};

	if (used < 0 || !node)
		return;
	walk.node = node;
	walk.begin = walk.used = used;
	bpf_loop(128, kernfs_step, &walk, 0);
	add(rec, PH_S_CGROUP, walk.done ? PH_FORM_PATH : PH_FORM_CUT_PATH, walk.used - used);
}

#endif
