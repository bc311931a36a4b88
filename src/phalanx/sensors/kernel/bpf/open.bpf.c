// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
/* Opens: the path is that of the file which the kernel gave, so that neither links nor a changed string can lie. */
#include "call.h"

struct open_how { /* include/uapi/linux/openat2.h */
	__u64 flags;
	__u64 mode;
};

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("tp_btf/sys_exit")
int BPF_PROG(call_open, struct pt_regs *regs, long ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct ph_record *rec = scratch_record();
	struct ph_want *want;

	if (!rec)
		return 0;
	if (ret >= 0) {
		bool compat;
		__u32 nr = call_number(regs, &compat);
		struct file *file;

		want = bpf_map_lookup_elem(&wanted, &nr);
		if (!want)
			return 0;
		if (!(want->flags & PH_W_READS)) {
			file = file_of(task, ret);
			if (!file || !(BPF_CORE_READ(file, f_flags) & 3))
				return 0; /* O_RDONLY, or O_PATH */
		}
	}
	want = begin_call(rec, task, regs, ret);
	if (!want)
		return 0;
	if (rec->nr == NR_OPENAT2) {
		struct open_how how = {};

		bpf_probe_read_user(&how, sizeof(how), (void *)rec->arg[2]);
		rec->arg[2] = how.flags;
		rec->arg[3] = how.mode;
	}
	if (rec->ret >= 0)
		fill_fd(rec, task, rec->ret, true);
	else if (want->name != PH_A_NONE && want->base != PH_A_NONE)
		add_base(rec, PH_S_BASE, task, want->base == PH_A_CWD ? -100 : (__s32)argument(rec, want->base));
	if (want->name != PH_A_NONE)
		add_user_string(rec, PH_S_NAME, (void *)argument(rec, want->name));
	send(rec, want->flags & PH_W_BULK);
	return 0;
}
