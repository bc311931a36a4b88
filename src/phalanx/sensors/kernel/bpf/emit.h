/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/* Maps that all programs share, and how a record is begun, given strings, and sent. */
#ifndef PHALANX_EMIT_H
#define PHALANX_EMIT_H

#include "kernel.h"
#include "record.h"

struct ph_scratch {
	struct ph_record rec;
	char data[PH_DATA_MAX + PH_PATH_MAX + 256]; /* slack, so that one bound check covers one string */
};

/* user space sets its size before loading */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20);
} ring __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ph_scratch);
} scratch __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, PH_COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} counters __weak SEC(".maps");

static __always_inline void count(__u32 what, __u64 n)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &what);

	if (value)
		*value += n;
}

static __always_inline struct ph_record *scratch_record(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&scratch, &zero);
}

/*
 * Everything of the fixed part that every record says; the rest is zero. `task` is a typed pointer of the verifier's, whose members
 * are plain loads; a helper call for each would cost more than all the rest.
 */
static __always_inline void begin(struct ph_record *rec, __u16 type, struct task_struct *task)
{
	const struct cred *cred = task->cred;
	struct task_struct *leader = task->group_leader;
	__u64 capabilities[3] = {}; /* inheritable, permitted, effective: neighbours in struct cred since 2.6 */

	__builtin_memset(rec, 0, sizeof(*rec));
	rec->type = type;
	rec->nr = PH_NO_CALL;
	rec->ts = bpf_ktime_get_boot_ns();
	rec->start = leader->start_boottime;
	rec->pid = task->tgid;
	rec->tid = task->pid;
	rec->uid = cred->euid.val;
	rec->gid = cred->egid.val;
	bpf_core_read(capabilities, sizeof(capabilities), &cred->cap_inheritable);
	rec->cap_inheritable = capabilities[0];
	rec->cap_permitted = capabilities[1];
	rec->cap_effective = capabilities[2];
	rec->cgroup = task->cgroups->dfl_cgrp->kn->id;
	rec->cpu = bpf_get_smp_processor_id();
	rec->fd.num = PH_NO_FD;
	rec->size = sizeof(*rec);
	bpf_core_read(rec->comm, sizeof(rec->comm), &leader->comm);
}

/* Where the next string goes: an offset below PH_DATA_MAX, or negative when there is no room. */
static __always_inline long room(struct ph_record *rec)
{
	__u32 used = rec->size - sizeof(*rec);

	if (rec->strings >= PH_STRINGS || used > PH_DATA_MAX - PH_PATH_MAX - 256) {
		rec->flags |= PH_F_CUT;
		return -1;
	}
	return used;
}

static __always_inline void add(struct ph_record *rec, __u8 kind, __u8 form, __u32 len)
{
	__u32 n = rec->strings;

	if (n >= PH_STRINGS)
		return;
	rec->str[n].len = len;
	rec->str[n].kind = kind;
	rec->str[n].form = form;
	rec->strings = n + 1;
	rec->size += len;
}

#define PH_AT(rec, used) (((struct ph_scratch *)(rec))->data + (used))

/* A NUL-terminated string of the caller, without its NUL. */
static __always_inline void add_user_string(struct ph_record *rec, __u8 kind, const void *from)
{
	long used = room(rec), n;

	if (used < 0 || !from)
		return;
	if (used > PH_DATA_MAX)
		return;
	n = bpf_probe_read_user_str(PH_AT(rec, used), PH_PATH_MAX, from);
	if (n <= 0)
		return;
	if (n == PH_PATH_MAX)
		rec->flags |= PH_F_CUT;
	add(rec, kind, PH_FORM_PLAIN, n - 1);
}

static __always_inline void add_kernel_string(struct ph_record *rec, __u8 kind, const void *from)
{
	long used = room(rec), n;

	if (used < 0 || !from)
		return;
	if (used > PH_DATA_MAX)
		return;
	n = bpf_probe_read_kernel_str(PH_AT(rec, used), PH_PATH_MAX, from);
	if (n <= 0)
		return;
	if (n == PH_PATH_MAX)
		rec->flags |= PH_F_CUT;
	add(rec, kind, PH_FORM_PLAIN, n - 1);
}

/* `len` bytes of the caller's memory, at most `most` (a constant up to PH_PATH_MAX); returns false when they are not readable. */
static __always_inline bool add_user_bytes(struct ph_record *rec, __u8 kind, const void *from, __u64 len, __u32 most)
{
	long used = room(rec);

	if (used < 0 || !from || !len)
		return true;
	if (used > PH_DATA_MAX)
		return true;
	if (len > most)
		len = most;
	/* the bound again, in a form that every verifier follows */
	asm volatile("" : "+r"(len));
	if (len > PH_PATH_MAX)
		return true;
	if (bpf_probe_read_user(PH_AT(rec, used), len, from))
		return false;
	add(rec, kind, PH_FORM_PLAIN, len);
	return true;
}

/*
 * Sends the record. Bulk records stop when the ring is three quarters full, so that a flood of opens cannot push out
 * an exec; either loss is counted on its CPU.
 */
static __always_inline void send(struct ph_record *rec, bool bulk)
{
	__u64 size = rec->size;

	if (bulk && bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) > bpf_ringbuf_query(&ring, BPF_RB_RING_SIZE) / 4 * 3) {
		count(PH_C_LOST_BULK, 1);
		return;
	}
	if (rec->flags & (PH_F_CUT | PH_F_ARGS_CUT))
		count(PH_C_CUT, 1);
	asm volatile("" : "+r"(size));
	if (size > sizeof(struct ph_scratch) || size < sizeof(struct ph_record))
		return;
	if (bpf_ringbuf_output(&ring, rec, size, BPF_RB_NO_WAKEUP)) {
		count(PH_C_LOST_CRITICAL, 1);
		return;
	}
	count(PH_C_SENT, 1);
	count(PH_C_BYTES, size);
}

#endif
