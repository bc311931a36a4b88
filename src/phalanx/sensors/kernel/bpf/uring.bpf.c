// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
/*
 * Operations that go through io_uring never return from a system call of their own. Those that open a file or reach the network are told
 * at their completion, as the call that they stand for; names that were arguments (unlink, rename …) are gone by then and stay unseen.
 */
#include "call.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum { /* include/uapi/linux/io_uring.h */
	IORING_OP_ACCEPT = 13,
	IORING_OP_CONNECT = 16,
	IORING_OP_OPENAT = 18,
	IORING_OP_OPENAT2 = 28,
	NR_OPENAT = 257,
	NR_ACCEPT4 = 288,
};

static __always_inline int completed(struct io_kiocb *request, __s32 result)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct ph_record *rec = scratch_record();
	__u8 opcode = BPF_CORE_READ(request, opcode);
	struct ph_want *want;
	struct file *file;
	__u32 nr;

	switch (opcode) {
	case IORING_OP_ACCEPT: nr = NR_ACCEPT4; break;
	case IORING_OP_CONNECT: nr = NR_CONNECT; break;
	case IORING_OP_OPENAT:
	case IORING_OP_OPENAT2: nr = NR_OPENAT; break;
	default: return 0;
	}
	want = bpf_map_lookup_elem(&wanted, &nr);
	if (!rec || !want || !(want->flags & PH_W_ON))
		return 0;
	if (result < 0 && result != -115 && !(want->flags & PH_W_FAILED))
		return 0;
	begin(rec, PH_CALL, task);
	rec->nr = nr;
	rec->ret = result;
	if (nr == NR_CONNECT) {
		rec->fd.num = -1; /* a request knows its file, not its number */
		file = BPF_CORE_READ(request, file);
		if (file)
			fill_file(rec, task, file, false);
	} else if (result >= 0) {
		struct io_open *open = (void *)request;

		if (nr == NR_OPENAT && BPF_CORE_READ(open, file_slot)) {
			rec->fd.num = -1; /* into the ring's own table: no descriptor */
		} else {
			fill_fd(rec, task, result, true);
			rec->arg[2] = rec->fd.open_flags;
			if (nr == NR_OPENAT && !(rec->fd.open_flags & 3) && !(want->flags & PH_W_READS))
				return 0;
		}
	}
	send(rec, want->flags & PH_W_BULK);
	return 0;
}

/* since 6.12: (ring, request, completion) */
SEC("tp_btf/io_uring_complete")
int BPF_PROG(uring_complete, void *ring, void *request, struct io_uring_cqe *completion)
{
	return completed(request, BPF_CORE_READ(completion, res));
}

/* before: (ring, request, user data, result, …); a kernel refuses the form that is not its own */
SEC("tp_btf/io_uring_complete")
int BPF_PROG(uring_complete_old, void *ring, void *request, __u64 user_data, int result)
{
	return completed(request, result);
}
