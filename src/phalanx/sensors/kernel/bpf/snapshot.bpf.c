// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
/* What was there before the sensor: one pass over all tasks. Arguments are another's memory and come from /proc. */
#include "task.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("iter/task")
int snapshot_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct ph_record *rec;
	struct file *file;
	__u64 size;

	if (!task || BPF_CORE_READ(task, pid) != BPF_CORE_READ(task, tgid))
		return 0;
	rec = scratch_record();
	if (!rec)
		return 0;
	begin(rec, PH_TASK, task);
	fill_task(rec, task);
	bpf_core_read(rec->comm, sizeof(rec->comm), &task->comm);
	file = BPF_CORE_READ(task, mm, exe_file);
	if (file) {
		fill_exe(rec, file);
		add_file_path(rec, PH_S_EXE, task, file);
	}
	add_cwd(rec, PH_S_CWD, task);
	add_cgroup(rec, BPF_CORE_READ(task, cgroups, dfl_cgrp, kn));
	size = rec->size;
	asm volatile("" : "+r"(size));
	if (size > sizeof(struct ph_scratch))
		return 0;
	bpf_seq_write(ctx->meta->seq, rec, size);
	return 0;
}
