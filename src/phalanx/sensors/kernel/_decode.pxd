# cython: language_level=3
"""The decoder's native side."""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from phalanx.sensors.kernel._filter cimport Filter
from phalanx.sensors.kernel._record cimport ph_record
from phalanx.sensors.kernel._arguments cimport ArgumentDecoder
from phalanx.sensors.kernel._table cimport state
from phalanx.sensors.kernel._text cimport text

cdef enum:
    OWN = 16

cdef struct spec:
    int kind
    int when
    char name[32]

cdef class Decoder(ArgumentDecoder):
    cdef spec specs[512]
    cdef char kind_names[32][16]
    cdef Filter filter
    cdef uint32_t own[16]
    cdef int64_t budget
    cdef uint64_t budget_second
    cdef int64_t budget_used[32]
    cdef readonly uint64_t guarded
    cdef readonly uint64_t dropped
    cdef readonly uint64_t own_skipped
    cdef readonly uint64_t failed
    cdef int feed(self, const char* raw, size_t size) noexcept nogil
    cdef int _is_own(self, uint32_t pid) noexcept nogil
    cdef int _wanted(self, state* s, uint32_t type) noexcept nogil
    cdef int _within_budget(self, const ph_record* rec, int kind) noexcept nogil
    cdef void _event(self, const ph_record* rec, state* s, const char* kind, const char* type, uint32_t number, int profile) noexcept nogil
    cdef int _candidate(self, state* s, const char* kind) except -1
    cdef void _call(self, const ph_record* rec) noexcept nogil
    cdef void _cred(self, const ph_record* rec) noexcept nogil
    cdef void _hexadecimal(self, int column, uint64_t value) noexcept nogil
    cdef void _decimal(self, int column, uint64_t value) noexcept nogil
    cdef void _state_call(self, const ph_record* rec) noexcept nogil
    cdef void _cgroup(self, const ph_record* rec) noexcept nogil
