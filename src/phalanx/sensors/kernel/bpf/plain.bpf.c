// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
/* Calls that are told by their arguments: numbers, up to two names with the directories they are relative to, a word, a descriptor. */
#include "call.h"
#include "task.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline bool uninteresting(struct ph_record *rec)
{
	__u32 first = rec->arg[0];

	/* bpf(2): what brings code or pins it; map accesses are too many and tell nothing */
	if (rec->nr == NR_BPF)
		return first != 5 && first != 6 && first != 8 && first != 17 && first != 28;
	/* prctl(2): what changes rights or hides: KEEPCAPS, SECUREBITS, MM, NO_NEW_PRIVS, CAP_AMBIENT, SET_PTRACER */
	if (rec->nr == NR_PRCTL)
		return first != 8 && first != 28 && first != 35 && first != 38 && first != 47 && first != 0x59616d61;
	return false;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(call_plain, struct pt_regs *regs, long ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct ph_record *rec = scratch_record();
	struct ph_want *want;

	if (!rec)
		return 0;
	want = begin_call(rec, task, regs, ret);
	if (!want || uninteresting(rec))
		return 0;
	if (want->fd == PH_A_RET)
		fill_fd(rec, task, rec->ret, true);
	else if (want->fd != PH_A_NONE)
		fill_fd(rec, task, argument(rec, want->fd), true);
	if (want->name != PH_A_NONE) {
		add_user_string(rec, PH_S_NAME, (void *)argument(rec, want->name));
		if (want->base != PH_A_NONE)
			add_base(rec, PH_S_BASE, task, want->base == PH_A_CWD ? -100 : (__s32)argument(rec, want->base));
	}
	if (want->name2 != PH_A_NONE) {
		add_user_string(rec, PH_S_NAME2, (void *)argument(rec, want->name2));
		if (want->base2 != PH_A_NONE)
			add_base(rec, PH_S_BASE2, task, want->base2 == PH_A_CWD ? -100 : (__s32)argument(rec, want->base2));
	}
	if (want->word != PH_A_NONE)
		add_user_string(rec, PH_S_WORD, (void *)argument(rec, want->word));
	send(rec, want->flags & PH_W_BULK);
	return 0;
}

/* chdir, setsid …: no event, but the process table has to know. */
SEC("tp_btf/sys_exit")
int BPF_PROG(call_state, struct pt_regs *regs, long ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct ph_record *rec = scratch_record();

	if (!rec || !begin_call(rec, task, regs, ret))
		return 0;
	fill_task(rec, task);
	add_cwd(rec, PH_S_CWD, task);
	send(rec, false);
	return 0;
}
