// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
/* Cgroups of the v2 hierarchy that come and go: the first sign of a container, before anything runs in it. */
#include "path.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline int tell(__u16 type, struct cgroup *cgroup)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct ph_record *rec = scratch_record();

	if (!rec || BPF_CORE_READ(cgroup, root, hierarchy_id) != 0)
		return 0; /* a v1 hierarchy */
	begin(rec, type, task);
	rec->arg[0] = BPF_CORE_READ(cgroup, kn, id);
	add_cgroup(rec, BPF_CORE_READ(cgroup, kn));
	send(rec, false);
	return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cgroup_made, struct cgroup *cgroup, const char *path)
{
	return tell(PH_CGROUP_MKDIR, cgroup);
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(cgroup_removed, struct cgroup *cgroup, const char *path)
{
	return tell(PH_CGROUP_RMDIR, cgroup);
}
