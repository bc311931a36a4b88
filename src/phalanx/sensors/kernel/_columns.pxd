# cython: language_level=3
"""Arrow's buffers, filled without Python objects."""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

cdef enum:
    T_BOOL = 0
    T_U16
    T_U32
    T_I32
    T_U64
    T_I64
    T_TEXT
    T_TEXTS

cdef struct buffer:
    uint8_t* data
    size_t size
    size_t room

cdef struct column:
    int type
    int nulls
    uint32_t rows
    buffer data
    buffer validity
    buffer offsets
    buffer lists

cdef class Columns:
    cdef column* columns
    cdef readonly int count
    cdef readonly str table
    cdef readonly tuple names
    cdef uint32_t rows
    cdef int failed
    cdef column* _reach(self, int index) noexcept nogil
    cdef void number(self, int index, int64_t value) noexcept nogil
    cdef void words(self, int index, const char* ready, size_t size) noexcept nogil
    cdef void list_of_words(self, int index, const char* ready, size_t size, uint32_t items) noexcept nogil
    cdef void next_row(self) noexcept nogil
    cdef size_t bytes_used(self) noexcept nogil
    cdef void clear(self) noexcept nogil
    cpdef list finish(self)
