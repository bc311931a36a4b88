/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/*
 * The few members of kernel structures that the programs read. libbpf places them at load time by the running
 * kernel's BTF (CO-RE), so order and completeness do not matter here; names and kinds do. A name with `___suffix` is another
 * kernel's form of the same structure.
 */
#ifndef PHALANX_KERNEL_H
#define PHALANX_KERNEL_H

#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* x86_64 */
struct pt_regs {
	unsigned long bp, bx, r10, r8, r9, cx, dx, si, di, orig_ax, cs;
};

struct thread_info {
	__u32 status;
};

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	__u32 val;
} kuid_t;

struct upid {
	int nr;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

struct tty_driver {
	int major;
	int minor_start;
};

struct tty_struct {
	struct tty_driver *driver;
	int index;
};

struct signal_struct {
	atomic_t live;
	struct pid *pids[4];
	struct tty_struct *tty;
	unsigned int flags;
	int group_exit_code;
};

/* 64 bits on every kernel: two words up to 6.2, one since then, so they are read by address */
struct capability_bits {
	__u64 bits;
};

struct cred {
	kuid_t uid;
	kuid_t euid;
	kuid_t egid;
	struct capability_bits cap_inheritable;
	struct capability_bits cap_permitted;
	struct capability_bits cap_effective;
};

struct qstr {
	const unsigned char *name;
};

struct super_block {
	unsigned long s_magic;
};

struct inode {
	unsigned short i_mode;
	kuid_t i_uid;
	kuid_t i_gid;
	struct super_block *i_sb;
	unsigned long i_ino;
	unsigned int i_nlink;
};

struct timespec64 {
	__s64 tv_sec;
	long tv_nsec;
};

struct inode___times { /* up to 6.5 */
	struct timespec64 i_ctime;
	struct timespec64 i_mtime;
};

struct inode___times66 { /* 6.6 to 6.10 */
	struct timespec64 __i_ctime;
	struct timespec64 __i_mtime;
};

struct inode___times66m { /* 6.6: only the change time was renamed */
	struct timespec64 __i_ctime;
	struct timespec64 i_mtime;
};

struct inode___times611 { /* since 6.11 */
	__s64 i_ctime_sec;
	__u32 i_ctime_nsec;
	__s64 i_mtime_sec;
	__u32 i_mtime_nsec;
};

struct hlist_bl_node {
	struct hlist_bl_node **pprev;
};

struct dentry {
	struct hlist_bl_node d_hash;
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
};

struct vfsmount {
	struct dentry *mnt_root;
	int mnt_flags;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct file {
	struct path f_path;
	struct inode *f_inode;
	unsigned int f_flags;
	unsigned int f_mode;
	void *private_data;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct fs_struct {
	struct path root;
	struct path pwd;
};

struct mm_struct {
	unsigned long arg_start, arg_end, env_start, env_end;
	struct file *exe_file;
};

struct kernfs_node {
	const char *name;
	__u64 id;
};

struct kernfs_node___old { /* up to 6.14 */
	struct kernfs_node *parent;
};

struct kernfs_node___new { /* since 6.15 */
	struct kernfs_node *__parent;
};

struct cgroup_root {
	int hierarchy_id;
};

struct cgroup {
	int level;
	struct kernfs_node *kn;
	struct cgroup_root *root;
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

struct task_struct {
	struct thread_info thread_info;
	unsigned int flags;
	int pid;
	int tgid;
	int exit_code;
	__u64 start_boottime;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct mm_struct *mm;
	struct fs_struct *fs;
	struct files_struct *files;
	struct signal_struct *signal;
	const struct cred *cred;
	struct pid *thread_pid;
	struct css_set *cgroups;
	kuid_t loginuid;
	char comm[16];
};

struct linux_binprm {
	struct file *file;
	const char *filename;
	const char *interp;
};

struct in6_bytes {
	__u8 bytes[16];
};

struct net;

struct sock_common {
	unsigned short skc_family;
	volatile unsigned char skc_state;
	__u32 skc_daddr;
	__u32 skc_rcv_saddr;
	__u16 skc_dport;
	__u16 skc_num;
	struct in6_bytes skc_v6_daddr;
	struct in6_bytes skc_v6_rcv_saddr;
};

struct sock {
	struct sock_common __sk_common;
	__u16 sk_type;
	__u16 sk_protocol;
};

struct socket {
	short type;
	struct sock *sk;
};

struct sockaddr_un {
	__u16 sun_family;
	char sun_path[108];
};

struct unix_address {
	int len;
	struct sockaddr_un name[1];
};

struct unix_sock {
	struct unix_address *addr;
	struct sock *peer;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

struct io_kiocb {
	struct file *file;
	__u8 opcode;
};

struct io_open {
	struct file *file;
	__u32 file_slot;
};

struct io_uring_cqe {
	__s32 res;
};

#pragma clang attribute pop

enum {
	PF_KTHREAD = 0x00200000,
	TS_COMPAT = 0x0002, /* arch/x86/include/asm/thread_info.h */
	SIGNAL_GROUP_EXIT = 0x0004,
	MNT_READONLY = 0x40,
	S_IFMT = 0170000,
	S_IFSOCK = 0140000,
	SOCKFS_MAGIC = 0x534F434B,
	OVERLAYFS_MAGIC = 0x794c7630,
	AF_UNIX = 1,
	AF_INET = 2,
	AF_INET6 = 10,
	PIDTYPE_TGID = 1,
	PIDTYPE_PGID = 2,
	PIDTYPE_SID = 3,
	FMODE_WRITE = 2,
};

#endif
