# cython: language_level=3
"""Reference-counted text: immutable bytes that are valid UTF-8 by the rule of phalanx.text.hostile.decode."""
from libc.stdint cimport uint32_t

cdef struct text:
    Py_ssize_t refs
    uint32_t size

cdef text* text_raw(const char* raw, size_t size) noexcept nogil
cdef text* text_ready(const char* ready, size_t size) noexcept nogil
cdef text* text_of(str value)
cdef void text_keep(text* t) noexcept nogil
cdef void text_drop(text* t) noexcept nogil
cdef const char* text_bytes(const text* t) noexcept nogil
cdef str text_str(const text* t)
cdef size_t hostile_copy(char* to, size_t room, const char* raw, size_t size) noexcept nogil
