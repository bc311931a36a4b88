/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/* What a record says of a process beyond the fixed part. */
#ifndef PHALANX_TASK_H
#define PHALANX_TASK_H

#include "path.h"

static __always_inline int pid_in_namespace(struct pid *pid)
{
	unsigned int level = BPF_CORE_READ(pid, level);
	struct upid *at = (void *)pid + bpf_core_field_offset(struct pid, numbers) + level * bpf_core_type_size(struct upid);

	return BPF_CORE_READ(at, nr);
}

static __always_inline int pid_at_root(struct pid *pid)
{
	return BPF_CORE_READ(pid, numbers[0].nr);
}

static __always_inline void fill_task(struct ph_record *rec, struct task_struct *task)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	struct task_struct *parent = BPF_CORE_READ(leader, real_parent);
	struct signal_struct *signal = BPF_CORE_READ(task, signal);
	struct tty_struct *tty = BPF_CORE_READ(signal, tty);
	struct pid *group = BPF_CORE_READ(signal, pids[PIDTYPE_PGID]);

	rec->task.parent_start = BPF_CORE_READ(parent, group_leader, start_boottime);
	rec->task.ppid = BPF_CORE_READ(parent, tgid);
	rec->task.sid = pid_at_root(BPF_CORE_READ(signal, pids[PIDTYPE_SID]));
	rec->task.pgid = pid_at_root(group);
	rec->task.vpgid = pid_in_namespace(group);
	rec->task.vpid = pid_in_namespace(BPF_CORE_READ(leader, thread_pid));
	rec->task.loginuid = ~0;
	if (bpf_core_field_exists(task->loginuid))
		rec->task.loginuid = BPF_CORE_READ(task, loginuid.val);
	if (tty) {
		__u32 major = BPF_CORE_READ(tty, driver, major);
		__u32 minor = BPF_CORE_READ(tty, driver, minor_start) + BPF_CORE_READ(tty, index);

		/* new_encode_dev of linux/kdev_t.h, as /proc/PID/stat has it */
		rec->task.tty = (minor & 0xff) | (major << 8) | ((minor & ~0xffu) << 12);
	}
	if (BPF_CORE_READ(task, flags) & PF_KTHREAD)
		rec->flags |= PH_F_KTHREAD;
}

static __always_inline void fill_exe(struct ph_record *rec, struct file *file)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct inode___times611 *newest = (void *)inode;
	struct inode___times66 *newer = (void *)inode;
	struct inode___times66m *between = (void *)inode;
	struct inode___times *old = (void *)inode;
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);

	rec->task.exe_ino = BPF_CORE_READ(inode, i_ino);
	rec->task.exe_mode = BPF_CORE_READ(inode, i_mode);
	rec->task.exe_uid = BPF_CORE_READ(inode, i_uid.val);
	rec->task.exe_gid = BPF_CORE_READ(inode, i_gid.val);
	if (bpf_core_field_exists(newest->i_ctime_sec)) {
		rec->task.exe_ctime = BPF_CORE_READ(newest, i_ctime_sec) * 1000000000ull +
				       /* the top bit says that someone asked (I_CTIME_QUERIED, 6.13) */
				       (BPF_CORE_READ(newest, i_ctime_nsec) & 0x7fffffff);
		rec->task.exe_mtime = BPF_CORE_READ(newest, i_mtime_sec) * 1000000000ull + BPF_CORE_READ(newest, i_mtime_nsec);
	} else {
		if (bpf_core_field_exists(newer->__i_ctime))
			rec->task.exe_ctime = BPF_CORE_READ(newer, __i_ctime.tv_sec) * 1000000000ull + BPF_CORE_READ(newer, __i_ctime.tv_nsec);
		else
			rec->task.exe_ctime = BPF_CORE_READ(old, i_ctime.tv_sec) * 1000000000ull + BPF_CORE_READ(old, i_ctime.tv_nsec);
		if (bpf_core_field_exists(newer->__i_mtime))
			rec->task.exe_mtime = BPF_CORE_READ(newer, __i_mtime.tv_sec) * 1000000000ull + BPF_CORE_READ(newer, __i_mtime.tv_nsec);
		else
			rec->task.exe_mtime = BPF_CORE_READ(between, i_mtime.tv_sec) * 1000000000ull + BPF_CORE_READ(between, i_mtime.tv_nsec);
	}
	if (BPF_CORE_READ(file, f_path.mnt, mnt_flags) & MNT_READONLY)
		rec->flags |= PH_F_EXE_RDONLY;
	if (!BPF_CORE_READ(inode, i_nlink) || !BPF_CORE_READ(dentry, d_hash.pprev))
		rec->flags |= PH_F_DELETED;
	if (BPF_CORE_READ(inode, i_sb, s_magic) == OVERLAYFS_MAGIC) {
		/* struct ovl_inode: `struct inode vfs_inode; struct dentry *__upperdentry;` (fs/overlayfs/ovl_entry.h). The type may
		 * live in a module's BTF; that the member follows the inode holds since 4.17. */
		void *upper = 0;

		bpf_probe_read_kernel(&upper, sizeof(upper), (void *)inode + bpf_core_type_size(struct inode));
		rec->flags |= PH_F_OVERLAY;
		if (upper)
			rec->flags |= PH_F_UPPER;
	}
}

#endif
