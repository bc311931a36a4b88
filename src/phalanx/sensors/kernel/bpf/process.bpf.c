// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
/* Birth, change and end of processes: always recorded, whether or not a rule wants them. */
#include "task.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline void set_call(struct ph_record *rec, struct task_struct *task)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);

	rec->nr = BPF_CORE_READ(regs, orig_ax);
	rec->arg[0] = BPF_CORE_READ(regs, di);
	if (BPF_CORE_READ(task, thread_info.status) & TS_COMPAT) {
		rec->flags |= PH_F_COMPAT;
		rec->arg[0] = (__u32)BPF_CORE_READ(regs, bx);
	}
}

/* After the point of no return: the new program is in place, nothing of it has run. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	struct ph_record *rec = scratch_record();
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	unsigned long start = BPF_CORE_READ(mm, arg_start), end = BPF_CORE_READ(mm, arg_end);
	const char *filename, *interp;
	struct file *file;

	if (!rec)
		return 0;
	begin(rec, PH_EXEC, task);
	/* the tracepoint's own task is a trusted pointer, which the helper asks for */
	set_call(rec, bpf_get_current_task_btf());
	fill_task(rec, task);
	bpf_core_read(rec->comm, sizeof(rec->comm), &task->comm);
	file = BPF_CORE_READ(bprm, file);
	fill_exe(rec, file);
	add_file_path(rec, PH_S_EXE, task, file);
	add_cwd(rec, PH_S_CWD, task);
	if (end - start > PH_PATH_MAX)
		rec->flags |= PH_F_ARGS_CUT;
	if (!add_user_bytes(rec, PH_S_ARGV, (void *)start, end - start, PH_PATH_MAX))
		rec->flags |= PH_F_ARGS_CUT;
	start = BPF_CORE_READ(mm, env_start);
	end = BPF_CORE_READ(mm, env_end);
	if (end - start > PH_PATH_MAX)
		rec->flags |= PH_F_ARGS_CUT;
	if (!add_user_bytes(rec, PH_S_ENV, (void *)start, end - start, PH_PATH_MAX))
		rec->flags |= PH_F_ARGS_CUT;
	filename = BPF_CORE_READ(bprm, filename);
	interp = BPF_CORE_READ(bprm, interp);
	add_kernel_string(rec, PH_S_FILENAME, filename);
	if (interp != filename) {
		rec->flags |= PH_F_SCRIPT;
		add_kernel_string(rec, PH_S_INTERPRETER, interp);
	}
	add_cgroup(rec, BPF_CORE_READ(task, cgroups, dfl_cgrp, kn));
	send(rec, false);
	return 0;
}

/* In the parent, before the child can run: the child is known before its first event. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_fork, struct task_struct *parent, struct task_struct *child)
{
	struct ph_record *rec;

	if (BPF_CORE_READ(child, pid) != BPF_CORE_READ(child, tgid))
		return 0; /* a thread */
	rec = scratch_record();
	if (!rec)
		return 0;
	begin(rec, PH_FORK, child);
	set_call(rec, bpf_get_current_task_btf());
	fill_task(rec, child);
	/* who called, not who becomes the parent (CLONE_PARENT) */
	rec->arg[1] = BPF_CORE_READ(parent, tgid);
	rec->arg[2] = BPF_CORE_READ(parent, group_leader, start_boottime);
	rec->ret = BPF_CORE_READ(child, tgid);
	send(rec, false);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *task)
{
	struct signal_struct *signal = BPF_CORE_READ(task, signal);
	struct ph_record *rec;
	int code;

	if (BPF_CORE_READ(signal, live.counter) > 0)
		return 0; /* other threads live on */
	rec = scratch_record();
	if (!rec)
		return 0;
	begin(rec, PH_EXIT, task);
	fill_task(rec, task);
	code = BPF_CORE_READ(task, exit_code);
	if (BPF_CORE_READ(signal, flags) & SIGNAL_GROUP_EXIT)
		code = BPF_CORE_READ(signal, group_exit_code);
	rec->ret = code & 0x7f ? -(__s64)(code & 0x7f) : (code >> 8) & 0xff;
	send(rec, false);
	return 0;
}
