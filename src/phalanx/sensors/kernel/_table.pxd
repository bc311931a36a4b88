# cython: language_level=3
"""Processes and their states, in native memory."""
from cpython.object cimport PyObject
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t

from phalanx.sensors.kernel._columns cimport Columns
from phalanx.sensors.kernel._text cimport text

cdef enum:
    PARENT_NONE = 0
    PARENT_KNOWN = 1
    PARENT_UNKNOWN = 2
    DEPTH_MAX = 24
    ANCESTORS = 16

cdef struct state:
    Py_ssize_t refs
    uint32_t pid, ppid, sid, pgid, vpid, vpgid, tty, uid, gid, loginuid
    uint64_t start, cap_permitted, cap_effective, cap_inheritable
    uint64_t exe_ino, exe_ctime, exe_mtime, cgroup_id
    int8_t upper
    int8_t memfd
    int8_t writable
    int8_t args_cut
    int8_t parent_is
    int8_t detailed
    int32_t depth
    uint32_t argc, envc
    char comm[16]
    text* name
    text* exe
    text* exepath
    text* argv
    text* env
    text* cwd
    text* user
    text* group
    text* home
    text* shell
    text* loginuser
    text* container
    text* cgroup
    state* parent
    PyObject* python
    uint64_t batch
    int32_t row

cdef struct entry:
    entry* next
    uint32_t pid
    uint64_t start
    state* now

cdef state* state_new() noexcept nogil
cdef state* state_copy(const state* old) noexcept nogil
cdef void state_keep(state* s) noexcept nogil
cdef void state_drop(state* s) noexcept nogil
cdef void set_text(text** place, text* value) noexcept nogil
cdef void share_text(text** place, text* value) noexcept nogil

cdef class ProcessTable:
    cdef entry** buckets
    cdef readonly uint32_t living
    cdef readonly uint32_t bound
    cdef readonly uint64_t refused
    cdef str boot
    cdef char boot_ascii[16]
    cdef entry* find(self, uint32_t pid, uint64_t start) noexcept nogil
    cdef entry* find_pid(self, uint32_t pid) noexcept nogil
    cdef entry* put(self, uint32_t pid, uint64_t start, state* s) noexcept nogil
    cdef void remove(self, uint32_t pid, uint64_t start) noexcept nogil
    cdef void set_parent(self, state* s, state* parent) noexcept nogil
    cdef int32_t row(self, state* s, Columns columns, uint64_t batch) noexcept nogil
    cdef object process(self, state* s)
