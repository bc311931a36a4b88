// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
/* Sockets: addresses are those of the socket; what the caller asked for is told beside them. */
#include "call.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("tp_btf/sys_exit")
int BPF_PROG(call_socket, struct pt_regs *regs, long ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct ph_record *rec = scratch_record();
	struct ph_want *want;

	if (!rec)
		return 0;
	want = begin_call(rec, task, regs, ret);
	if (!want)
		return 0;
	fill_fd(rec, task, want->fd == PH_A_RET ? (__s32)rec->ret : (__s32)rec->arg[0], false);
	if (rec->nr == NR_CONNECT || rec->nr == NR_BIND)
		add_user_bytes(rec, PH_S_ADDRESS, (void *)rec->arg[1], (__u32)rec->arg[2], 128);
	send(rec, want->flags & PH_W_BULK);
	return 0;
}

/* Descriptors made equal: of interest when they stand for a socket (a shell whose input is a connection). */
SEC("tp_btf/sys_exit")
int BPF_PROG(call_dup, struct pt_regs *regs, long ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct ph_record *rec = scratch_record();
	struct ph_want *want;
	struct file *file;
	bool compat;
	__u32 nr = call_number(regs, &compat);

	want = bpf_map_lookup_elem(&wanted, &nr);
	if (!rec || !want)
		return 0;
	if (nr == NR_FCNTL) {
		__u32 command = compat ? regs->cx : regs->si;

		if (command != 0 && command != 1030) /* F_DUPFD, F_DUPFD_CLOEXEC */
			return 0;
	}
	file = file_of(task, ret);
	if (!file)
		return 0;
	if (!(want->flags & PH_W_ALL) && BPF_CORE_READ(file, f_inode, i_sb, s_magic) != SOCKFS_MAGIC)
		return 0;
	want = begin_call(rec, task, regs, ret);
	if (!want)
		return 0;
	fill_fd(rec, task, rec->ret, true);
	send(rec, want->flags & PH_W_BULK);
	return 0;
}

struct message64 {
	__u64 name;
	__u32 name_len;
	__u32 pad;
	__u64 vector;
	__u64 count;
};

struct message32 {
	__u32 name;
	__u32 name_len;
	__u32 vector;
	__u32 count;
};

/* Datagrams. A stream's sends are never told: their peer is that of its connect or accept. */
SEC("tp_btf/sys_exit")
int BPF_PROG(call_message, struct pt_regs *regs, long ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct ph_record *rec = scratch_record();
	__u64 name = 0, payload = 0, payload_len = 0;
	__u32 name_len = 0;
	struct ph_want *want;
	struct socket *socket;
	struct file *file;
	__u16 family, port = 0;
	bool sends;

	if (!rec)
		return 0;
	/* most calls are a stream's: ask that first */
	file = file_of(task, (__s32)(task->thread_info.status & TS_COMPAT ? regs->bx : regs->di));
	if (!(task->thread_info.status & TS_COMPAT)) {
		if (!file || BPF_CORE_READ(file, f_inode, i_sb, s_magic) != SOCKFS_MAGIC)
			return 0;
		socket = BPF_CORE_READ(file, private_data);
		if (BPF_CORE_READ(socket, type) == 1 /* SOCK_STREAM */)
			return 0;
		family = BPF_CORE_READ(socket, sk, __sk_common.skc_family);
		if (family != AF_INET && family != AF_INET6)
			return 0;
	}
	want = begin_call(rec, task, regs, ret);
	if (!want)
		return 0;
	fill_fd(rec, task, (__s32)rec->arg[0], false);
	if (rec->fd.sock_type == 1 || (rec->fd.family != AF_INET && rec->fd.family != AF_INET6))
		return 0;
	sends = rec->nr == NR_SENDTO || rec->nr == NR_SENDMSG || rec->nr == NR_SENDMMSG;
	if (rec->nr == NR_SENDTO || rec->nr == NR_RECVFROM) {
		payload = rec->arg[1];
		payload_len = rec->arg[2];
		name = rec->arg[4];
		if (rec->nr == NR_SENDTO)
			name_len = rec->arg[5];
		else if (rec->arg[5])
			bpf_probe_read_user(&name_len, 4, (void *)rec->arg[5]);
	} else if (rec->flags & PH_F_COMPAT) {
		struct message32 message = {};
		__u32 vector[2] = {};

		bpf_probe_read_user(&message, sizeof(message), (void *)rec->arg[1]);
		bpf_probe_read_user(vector, sizeof(vector), (void *)(unsigned long)message.vector);
		name = message.name;
		name_len = message.name_len;
		payload = vector[0];
		payload_len = vector[1];
	} else {
		struct message64 message = {};
		__u64 vector[2] = {};

		bpf_probe_read_user(&message, sizeof(message), (void *)rec->arg[1]);
		bpf_probe_read_user(vector, sizeof(vector), (void *)message.vector);
		name = message.name;
		name_len = message.name_len;
		payload = vector[0];
		payload_len = vector[1];
	}
	port = rec->fd.rport;
	if (name && name_len >= 4) {
		__u16 given = 0;

		bpf_probe_read_user(&given, 2, (void *)(name + 2));
		port = __builtin_bswap16(given);
	}
	if (!(want->flags & PH_W_ALL) && !(sends && port == 53))
		return 0;
	if (name)
		add_user_bytes(rec, PH_S_ADDRESS, (void *)name, name_len, 128);
	if (sends && port == 53)
		add_user_bytes(rec, PH_S_PAYLOAD, (void *)payload, payload_len, PH_PAYLOAD_MAX);
	send(rec, want->flags & PH_W_BULK);
	return 0;
}
