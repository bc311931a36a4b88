# cython: language_level=3
"""The record layout: C's own, from the header that the kernel programs include."""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "bpf/record.h" nogil:
    enum:
        PH_DATA_MAX
        PH_PATH_MAX
        PH_PAYLOAD_MAX
        PH_STRINGS
        PH_CALLS
        PH_NO_FD
        PH_NO_CALL
        PH_EXEC
        PH_FORK
        PH_EXIT
        PH_TASK
        PH_SOCKET
        PH_CALL
        PH_CGROUP_MKDIR
        PH_CGROUP_RMDIR
        PH_CGROUP_ATTACH
        PH_F_COMPAT
        PH_F_CUT
        PH_F_ARGS_CUT
        PH_F_UPPER
        PH_F_OVERLAY
        PH_F_DELETED
        PH_F_KTHREAD
        PH_F_SCRIPT
        PH_F_EXE_RDONLY
        PH_S_EXE
        PH_S_CWD
        PH_S_ARGV
        PH_S_ENV
        PH_S_FILENAME
        PH_S_INTERPRETER
        PH_S_CGROUP
        PH_S_FD
        PH_S_NAME
        PH_S_BASE
        PH_S_NAME2
        PH_S_BASE2
        PH_S_WORD
        PH_S_ADDRESS
        PH_S_PAYLOAD
        PH_S_UNIX
        PH_FORM_PLAIN
        PH_FORM_PATH
        PH_FORM_CUT_PATH
        PH_COUNTERS

    cdef struct ph_str:
        uint16_t len
        uint8_t kind
        uint8_t form

    cdef struct ph_fd:
        int32_t num
        uint32_t mode
        uint64_t ino
        uint32_t magic
        uint32_t open_flags
        uint16_t family
        uint8_t sock_type
        uint8_t sock_state
        uint16_t proto
        uint16_t lport
        uint16_t rport
        uint16_t nlink
        uint8_t[16] laddr
        uint8_t[16] raddr

    cdef struct ph_task:
        uint64_t parent_start
        uint64_t exe_ino
        uint64_t exe_ctime
        uint64_t exe_mtime
        uint32_t ppid
        uint32_t sid
        uint32_t pgid
        uint32_t vpid
        uint32_t vpgid
        uint32_t tty
        uint32_t loginuid
        uint32_t exe_mode
        uint32_t exe_uid
        uint32_t exe_gid

    cdef struct ph_record:
        uint32_t size
        uint16_t type
        uint16_t nr
        uint64_t ts
        uint64_t start
        uint32_t pid
        uint32_t tid
        uint32_t uid
        uint32_t gid
        uint64_t cap_permitted
        uint64_t cap_effective
        uint64_t cap_inheritable
        uint64_t cgroup
        int64_t ret
        uint64_t[6] arg
        uint16_t cpu
        uint16_t flags
        uint32_t strings
        char[16] comm
        ph_fd fd
        ph_task task
        ph_str[8] str

    cdef struct ph_want:
        uint8_t flags
        uint8_t handler
        uint8_t fd
        uint8_t name
        uint8_t base
        uint8_t name2
        uint8_t base2
        uint8_t word
