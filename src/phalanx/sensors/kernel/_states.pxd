# cython: language_level=3
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from phalanx.sensors.kernel._columns cimport Columns
from phalanx.sensors.kernel._record cimport ph_record, ph_str
from phalanx.sensors.kernel._table cimport ProcessTable, entry, state
from phalanx.sensors.kernel._text cimport text

cdef enum:
    CELLS = 48
    ARENA = 1 << 18
    NAMES = 32

cdef struct cell:
    int column
    int is_text
    int64_t value
    const char* words
    uint32_t size

cdef struct group:
    group* next
    uint64_t id
    text* path
    text* container

cdef class StateDecoder:
    cdef readonly ProcessTable table
    cdef Columns events
    cdef Columns states
    cdef object owner
    cdef list candidates
    cdef str agent
    cdef group** groups
    cdef uint32_t group_count
    cdef uint64_t batch
    cdef uint64_t sequence
    cdef int64_t offset
    cdef readonly uint32_t row_bound
    cdef readonly size_t byte_bound
    cdef readonly uint64_t seen
    cdef readonly uint64_t recorded
    cdef readonly uint64_t wanted
    cdef readonly uint64_t malformed
    cdef readonly uint64_t cut
    cdef readonly uint64_t adopted
    cdef readonly uint64_t newest
    cdef uint64_t now
    cdef uint64_t lag[1024]
    cdef cell* cells
    cdef int used
    cdef char* arena
    cdef size_t arena_used
    cdef char* scratch
    cdef const char* strings[32]
    cdef uint32_t lengths[32]
    cdef uint8_t forms[32]
    cdef void _number(self, int column, int64_t value) noexcept nogil
    cdef void _words(self, int column, const char* ready, size_t size) noexcept nogil
    cdef void _constant(self, int column, const char* ready) noexcept nogil
    cdef void _raw(self, int column, const char* raw, size_t size) noexcept nogil
    cdef int _index_strings(self, const ph_record* rec) noexcept nogil
    cdef size_t _path(self, int kind, char* to, size_t room) noexcept nogil
    cdef text* _path_text(self, int kind) noexcept nogil
    cdef void _forget_groups(self) noexcept nogil
    cdef group* _group(self, uint64_t id, int named) noexcept nogil
    cdef int _ask_group(self, group* g, size_t n) except -1
    cdef int _ask_names(self, state* s) except -1
    cdef void _name(self, state* s, const state* like) noexcept nogil
    cdef void _header(self, state* s, const ph_record* rec) noexcept nogil
    cdef void _place(self, state* s, const ph_record* rec) noexcept nogil
    cdef void _details(self, state* s, const ph_record* rec) noexcept nogil
    cdef void _program(self, state* s, const ph_record* rec) noexcept nogil
    cdef void _arguments(self, state* s, const char* raw, size_t size, const char* env, size_t env_size, int cut) noexcept nogil
    cdef state* _who(self, const ph_record* rec) noexcept nogil
    cdef state* _adopt(self, const ph_record* rec) noexcept nogil
    cdef int _ask_arguments(self, state* s) except -1
    cdef state* _exec(self, const ph_record* rec) noexcept nogil
    cdef state* _fork(self, const ph_record* rec) noexcept nogil
    cdef void _task(self, const ph_record* rec) noexcept nogil
    cdef void _link_one(self, state* s, int depth)
    cdef int _from_proc(self, uint32_t pid, uint64_t start) except -1

cdef size_t bounded(const char* raw, size_t most) noexcept nogil
