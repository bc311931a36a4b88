# cython: language_level=3
"""What the loaded rules can match, in native memory."""
from libc.stdint cimport uint8_t, uint32_t

from phalanx.sensors.kernel._table cimport state

cdef enum:
    TYPES = 520

cdef struct atom:
    const char* words
    uint32_t size

cdef struct atoms:
    atom* all
    uint32_t prefixes, names, suffixes, inner, procs, paths, substrings

cdef class Filter:
    cdef uint8_t[520] mode
    cdef atoms[520] lists
    cdef list kept
    cdef int everything(self, int type) noexcept nogil
    cdef int wants(self, int type, const char* fd, size_t fd_size, const state* s) noexcept nogil
    cdef int contains(self, int type, const char* where, size_t size) noexcept nogil
