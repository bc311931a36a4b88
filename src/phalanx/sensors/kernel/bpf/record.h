/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/*
 * The layout of a record, described once: the kernel programs write it, the Cython decoder includes this very file.
 * Everything is little endian and naturally aligned. `size` bytes in all: the fixed part, then the strings, which
 * follow each other without padding in the order of `str[0 .. strings-1]`.
 */
#ifndef PHALANX_RECORD_H
#define PHALANX_RECORD_H

#include <linux/types.h>

enum {
	PH_DATA_MAX = 27648,	/* bytes of all strings of one record; a value of a per-CPU map ends at 32 KiB */
	PH_PATH_MAX = 4096,	/* a path, an argument list, an environment: each is cut here */
	PH_PAYLOAD_MAX = 512,	/* a datagram: enough for the question of a DNS message (RFC 1035, 4.1) */
	PH_STRINGS = 8,
	PH_CALLS = 512,		/* system call numbers are below this */
	PH_NO_FD = -1000,	/* ph_fd.num of a record without a descriptor */
	PH_NO_CALL = 0xffff,
};

/* what a record says */
enum ph_type {
	PH_EXEC = 1,
	PH_FORK,
	PH_EXIT,
	PH_TASK,		/* a process that was there at the start (iterator) */
	PH_SOCKET,		/* a socket that was there at the start (iterator) */
	PH_CALL,		/* a system call returned */
	PH_CGROUP_MKDIR,
	PH_CGROUP_RMDIR,
	PH_CGROUP_ATTACH,	/* arg[0] = pid, arg[1] = cgroup id it moves to */
};

/* ph_record.flags */
enum {
	PH_F_COMPAT = 1,	/* a 32-bit system call */
	PH_F_CUT = 2,		/* some string is not whole */
	PH_F_ARGS_CUT = 4,	/* argv or environment is not whole */
	PH_F_UPPER = 8,		/* the executed file lies in the upper layer of an overlay */
	PH_F_OVERLAY = 16,	/* it lies on an overlay */
	PH_F_DELETED = 32,	/* the file has no name any more */
	PH_F_KTHREAD = 64,
	PH_F_SCRIPT = 128,	/* the kernel took an interpreter */
	PH_F_EXE_RDONLY = 256,	/* the executed file is on a read-only mount */
};

/* what a string is */
enum ph_string {
	PH_S_NONE = 0,
	PH_S_EXE,		/* the executed file */
	PH_S_CWD,
	PH_S_ARGV,		/* each argument ends with NUL */
	PH_S_ENV,
	PH_S_FILENAME,		/* as the caller of execve gave it */
	PH_S_INTERPRETER,
	PH_S_CGROUP,
	PH_S_FD,		/* the file behind the descriptor */
	PH_S_NAME,		/* first path or name argument */
	PH_S_BASE,		/* directory that NAME is relative to */
	PH_S_NAME2,
	PH_S_BASE2,
	PH_S_WORD,		/* a third string: type of a file system … */
	PH_S_ADDRESS,		/* struct sockaddr as the caller gave it */
	PH_S_PAYLOAD,
	PH_S_UNIX,		/* sun_path of the socket or of its peer */
};

/* how a string is written */
enum {
	PH_FORM_PLAIN = 0,
	PH_FORM_PATH = 1,	/* components, last first, each ends with NUL; none is the root */
	PH_FORM_CUT_PATH = 2,	/* the same, but components at the root's side are missing */
};

struct ph_str {
	__u16 len;
	__u8 kind;
	__u8 form;
};

/* a descriptor, read from the kernel's own struct file, not from the caller */
struct ph_fd {
	__s32 num;		/* PH_NO_FD: none */
	__u32 mode;		/* i_mode */
	__u64 ino;
	__u32 magic;		/* of the file system */
	__u32 open_flags;	/* f_flags */
	__u16 family;		/* of a socket, else 0 */
	__u8 sock_type;
	__u8 sock_state;
	__u16 proto;
	__u16 lport;
	__u16 rport;
	__u16 nlink;
	__u8 laddr[16];
	__u8 raddr[16];
};

/* what only exec, fork, exit and snapshot records say of a process */
struct ph_task {
	__u64 parent_start;
	__u64 exe_ino;
	__u64 exe_ctime;
	__u64 exe_mtime;
	__u32 ppid;
	__u32 sid;
	__u32 pgid;
	__u32 vpid;
	__u32 vpgid;
	__u32 tty;
	__u32 loginuid;
	__u32 exe_mode;
	__u32 exe_uid;
	__u32 exe_gid;
};

struct ph_record {
	__u32 size;
	__u16 type;
	__u16 nr;		/* x86_64 number of the system call; PH_NO_CALL */
	__u64 ts;		/* nanoseconds since boot */
	__u64 start;		/* start of the thread group leader, nanoseconds since boot */
	__u32 pid;
	__u32 tid;
	__u32 uid;		/* effective */
	__u32 gid;
	__u64 cap_permitted;
	__u64 cap_effective;
	__u64 cap_inheritable;
	__u64 cgroup;
	__s64 ret;
	__u64 arg[6];
	__u16 cpu;
	__u16 flags;
	__u32 strings;
	char comm[16];
	struct ph_fd fd;
	struct ph_task task;
	struct ph_str str[PH_STRINGS];
};

/* what user space wants of a system call; the kernel keeps PH_CALLS of them */
enum ph_handler {
	PH_H_NONE = 0,
	PH_H_PLAIN,		/* numbers, names, a descriptor */
	PH_H_OPEN,
	PH_H_SOCKET,
	PH_H_DUP,
	PH_H_STATE,
	PH_H_MESSAGE,
	PH_HANDLERS,
};

enum {
	PH_W_ON = 1,
	PH_W_FAILED = 2,	/* calls that returned an error, too */
	PH_W_READS = 4,		/* opens that only read, too */
	PH_W_ALL = 8,		/* messages that ask no name server, descriptors that are no sockets, too */
	PH_W_ONLY_FAILED = 16,
	PH_W_BULK = 32,		/* gives way when the ring fills */
};

enum {
	PH_A_NONE = 255,	/* no such argument */
	PH_A_RET = 254,		/* the return value (a descriptor) */
	PH_A_CWD = 253,		/* names are relative to the working directory */
};

struct ph_want {
	__u8 flags;
	__u8 handler;
	__u8 fd;		/* number of the argument that is a descriptor */
	__u8 name;		/* … that is a path or name */
	__u8 base;		/* … the directory descriptor that it is relative to */
	__u8 name2;
	__u8 base2;
	__u8 word;
};

/* per CPU: what happened to records */
enum ph_counter {
	PH_C_SENT = 0,
	PH_C_LOST_CRITICAL,	/* the ring was full */
	PH_C_LOST_BULK,		/* the ring was three quarters full: bulk records stop first */
	PH_C_CUT,
	PH_C_BYTES,
	PH_C_BUSY,		/* the scratch space of the CPU was taken */
	PH_COUNTERS,
};

#endif
