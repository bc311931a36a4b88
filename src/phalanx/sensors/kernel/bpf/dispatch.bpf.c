// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
/* The return of every system call: a look at a table, and on to the program that reads the call when somebody wants it. */
#include "call.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, PH_HANDLERS);
	__type(key, __u32);
	__type(value, __u32);
} handlers SEC(".maps");

SEC("tp_btf/sys_exit")
int BPF_PROG(dispatch, struct pt_regs *regs, long ret)
{
	bool compat;
	__u32 nr = call_number(regs, &compat);
	struct ph_want *want = bpf_map_lookup_elem(&wanted, &nr);
	bool failed = compat ? (__s32)ret < 0 : ret < 0;

	if (!want || !(want->flags & PH_W_ON))
		return 0;
	if (failed && !(want->flags & (PH_W_FAILED | PH_W_ONLY_FAILED)) && ret != -115)
		return 0;
	if (!failed && want->flags & PH_W_ONLY_FAILED)
		return 0;
	bpf_tail_call(ctx, &handlers, want->handler);
	return 0;
}
