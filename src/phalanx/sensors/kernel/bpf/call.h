/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/* System calls at their return: number, arguments, descriptor. */
#ifndef PHALANX_CALL_H
#define PHALANX_CALL_H

#include "path.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PH_CALLS);
	__type(key, __u32);
	__type(value, struct ph_want);
} wanted __weak SEC(".maps");

/* x86_64 number + 1 of each 32-bit call; 0: not known */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PH_CALLS);
	__type(key, __u32);
	__type(value, __u32);
} calls32 __weak SEC(".maps");

enum {
	SOCKETCALL_32 = 102,
	NR_SENDMSG = 46,
	NR_SENDTO = 44,
	NR_RECVFROM = 45,
	NR_RECVMSG = 47,
	NR_SENDMMSG = 307,
	NR_FCNTL = 72,
	NR_BPF = 321,
	NR_PRCTL = 157,
	NR_OPENAT2 = 437,
	NR_CONNECT = 42,
	NR_BIND = 49,
	NR_SETNS = 308,
};

/* x86_64 number of socketcall(2)'s sub-calls (include/uapi/linux/net.h) */
static __always_inline __u32 socket_call(__u32 which)
{
	switch (which) {
	case 1: return 41;
	case 2: return NR_BIND;
	case 3: return NR_CONNECT;
	case 4: return 50;
	case 5: return 43;
	case 8: return 53;
	case 9:
	case 11: return NR_SENDTO;
	case 12: return NR_RECVFROM;
	case 16: return NR_SENDMSG;
	case 17: return NR_RECVMSG;
	case 18: return 288;
	}
	return PH_NO_CALL;
}

/* The x86_64 number of the call that returns; sets *compat. */
static __always_inline __u32 call_number(struct pt_regs *regs, bool *compat)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 nr = regs->orig_ax;

	*compat = task->thread_info.status & TS_COMPAT;
	if (*compat) {
		__u32 *known;

		if (nr == SOCKETCALL_32)
			return socket_call(regs->bx);
		known = bpf_map_lookup_elem(&calls32, &nr);
		return known && *known ? *known - 1 : PH_NO_CALL;
	}
	return nr & ~0x40000000u; /* x32 */
}

/* Begins the record of the call that returns; 0 when it is not wanted. */
static __always_inline struct ph_want *begin_call(struct ph_record *rec, struct task_struct *task, struct pt_regs *regs, long ret)
{
	bool compat;
	__u32 nr = call_number(regs, &compat);
	struct ph_want *want = bpf_map_lookup_elem(&wanted, &nr);

	if (!want)
		return 0;
	begin(rec, PH_CALL, task);
	rec->nr = nr;
	rec->ret = ret;
	if (!compat) {
		rec->arg[0] = regs->di;
		rec->arg[1] = regs->si;
		rec->arg[2] = regs->dx;
		rec->arg[3] = regs->r10;
		rec->arg[4] = regs->r8;
		rec->arg[5] = regs->r9;
		return want;
	}
	rec->flags |= PH_F_COMPAT;
	rec->ret = (__s32)ret;
	if ((__u32)regs->orig_ax == SOCKETCALL_32) {
		__u32 args[6] = {};

		bpf_probe_read_user(args, sizeof(args), (void *)(unsigned long)(__u32)regs->cx);
		rec->arg[0] = args[0];
		rec->arg[1] = args[1];
		rec->arg[2] = args[2];
		rec->arg[3] = args[3];
		rec->arg[4] = args[4];
		rec->arg[5] = args[5];
		if (regs->bx == 9) /* send: no address */
			rec->arg[4] = rec->arg[5] = 0;
		return want;
	}
	rec->arg[0] = (__u32)regs->bx;
	rec->arg[1] = (__u32)regs->cx;
	rec->arg[2] = (__u32)regs->dx;
	rec->arg[3] = (__u32)regs->si;
	rec->arg[4] = (__u32)regs->di;
	rec->arg[5] = (__u32)regs->bp;
	return want;
}

/* Argument number `which`; 0 when there is none. */
static __always_inline __u64 argument(struct ph_record *rec, __u8 which)
{
	switch (which) {
	case 0: return rec->arg[0];
	case 1: return rec->arg[1];
	case 2: return rec->arg[2];
	case 3: return rec->arg[3];
	case 4: return rec->arg[4];
	case 5: return rec->arg[5];
	}
	return 0;
}

static __always_inline void add_unix_name(struct ph_record *rec, struct sock *sk)
{
	struct unix_sock *unix_socket = (void *)sk;
	struct unix_address *address = BPF_CORE_READ(unix_socket, addr);
	long used = room(rec);
	__u32 len;

	if (!address) {
		struct unix_sock *peer = (void *)BPF_CORE_READ(unix_socket, peer);

		address = BPF_CORE_READ(peer, addr);
	}
	if (!address || used < 0 || used > PH_DATA_MAX)
		return;
	len = BPF_CORE_READ(address, len);
	if (len <= 2 || len > 110)
		return;
	len -= 2;
	asm volatile("" : "+r"(len));
	if (len > 108)
		return;
	if (!bpf_probe_read_kernel(PH_AT(rec, used), len, (void *)address + bpf_core_field_offset(struct unix_address, name) + 2))
		add(rec, PH_S_UNIX, PH_FORM_PLAIN, len);
}

/* What `file` is, from the kernel's own structures. */
static __always_inline void fill_file(struct ph_record *rec, struct task_struct *task, struct file *file, bool path)
{
	struct inode *inode;
	struct socket *socket;
	struct sock *sk;

	inode = BPF_CORE_READ(file, f_inode);
	rec->fd.mode = BPF_CORE_READ(inode, i_mode);
	rec->fd.ino = BPF_CORE_READ(inode, i_ino);
	rec->fd.nlink = BPF_CORE_READ(inode, i_nlink);
	rec->fd.magic = BPF_CORE_READ(inode, i_sb, s_magic);
	rec->fd.open_flags = BPF_CORE_READ(file, f_flags);
	if (rec->fd.magic != SOCKFS_MAGIC) {
		if (path)
			add_file_path(rec, PH_S_FD, task, file);
		return;
	}
	socket = BPF_CORE_READ(file, private_data);
	sk = BPF_CORE_READ(socket, sk);
	if (!sk)
		return;
	rec->fd.family = BPF_CORE_READ(sk, __sk_common.skc_family);
	rec->fd.sock_type = BPF_CORE_READ(socket, type);
	rec->fd.sock_state = BPF_CORE_READ(sk, __sk_common.skc_state);
	rec->fd.proto = BPF_CORE_READ(sk, sk_protocol);
	if (rec->fd.family == AF_INET || rec->fd.family == AF_INET6) {
		rec->fd.lport = BPF_CORE_READ(sk, __sk_common.skc_num);
		rec->fd.rport = __builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport));
	}
	if (rec->fd.family == AF_INET) {
		bpf_core_read(rec->fd.laddr, 4, &sk->__sk_common.skc_rcv_saddr);
		bpf_core_read(rec->fd.raddr, 4, &sk->__sk_common.skc_daddr);
	} else if (rec->fd.family == AF_INET6) {
		bpf_core_read(rec->fd.laddr, 16, &sk->__sk_common.skc_v6_rcv_saddr);
		bpf_core_read(rec->fd.raddr, 16, &sk->__sk_common.skc_v6_daddr);
	} else if (rec->fd.family == AF_UNIX) {
		add_unix_name(rec, sk);
	}
}

/* The descriptor `num` of the task. */
static __always_inline void fill_fd(struct ph_record *rec, struct task_struct *task, __s32 num, bool path)
{
	struct file *file = file_of(task, num);

	rec->fd.num = num;
	if (file)
		fill_file(rec, task, file, path);
}

#endif
