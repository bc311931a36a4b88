# cython: language_level=3, boundscheck=False, wraparound=False
"""The native form of :class:`phalanx.language.kernel_filter.KernelFilter`: which events become objects.

An over-approximation by its own definition; a type without an entry interests no rule. Lists are scanned in their order, each
atom by one comparison: the public rule files have some hundred for ``openat``, most of them short prefixes that differ early.
"""

from __future__ import annotations

from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memchr, memcmp, memset

from phalanx.sensors.kernel._table cimport state
from phalanx.sensors.kernel._text cimport text, text_bytes

cdef enum:
    NOTHING = 0
    EVERYTHING = 1
    ATOMS = 2


cdef int _inside(const char* hay, size_t size, const char* needle, size_t length, int nul_is_space) noexcept nogil:
    """True when ``needle`` is in ``hay``, where a NUL between arguments counts as a space."""
    cdef size_t at, k
    cdef char here
    if length == 0:
        return 1
    if length > size:
        return 0
    for at in range(size - length + 1):
        k = 0
        while k < length:
            here = hay[at + k]
            if here == 0 and nul_is_space:
                here = c' '
            if here != needle[k]:
                break
            k += 1
        if k == length:
            return 1
    return 0


cdef class Filter:
    """Modes and atoms by number of the event type; made anew for each rule set, never changed."""

    def __cinit__(self, dict types):
        """``types``: number → None for everything, or the seven lists of atoms as bytes."""
        cdef int number
        cdef uint32_t total, k
        cdef atom* a
        memset(self.mode, 0, sizeof(self.mode))
        memset(self.lists, 0, sizeof(self.lists))
        self.kept = []
        for number, lists in types.items():
            if not 0 <= number < TYPES:
                raise ValueError(f"no such event type: {number}")
            if lists is None:
                self.mode[number] = EVERYTHING
                continue
            total = sum(len(some) for some in lists)
            a = <atom*>calloc(total or 1, sizeof(atom))
            if a == NULL:
                raise MemoryError
            self.mode[number] = ATOMS
            self.lists[number].all = a
            self.lists[number].prefixes = len(lists[0])
            self.lists[number].names = len(lists[1])
            self.lists[number].suffixes = len(lists[2])
            self.lists[number].inner = len(lists[3])
            self.lists[number].procs = len(lists[4])
            self.lists[number].paths = len(lists[5])
            self.lists[number].substrings = len(lists[6])
            k = 0
            for some in lists:
                for raw in some:
                    self.kept.append(raw)
                    a[k].words = <const char*><bytes>raw
                    a[k].size = len(raw)
                    k += 1

    def __dealloc__(self):
        cdef int number
        for number in range(TYPES):
            free(self.lists[number].all)

    cdef int everything(self, int type) noexcept nogil:
        return self.mode[type] == EVERYTHING

    cdef int wants(self, int type, const char* fd, size_t fd_size, const state* s) noexcept nogil:
        """Can a rule match an event of this type, descriptor (NULL: none) and process? Text arguments are asked by :meth:`contains`."""
        cdef atoms* some = &self.lists[type]
        cdef atom* a = some.all
        cdef uint32_t k
        if self.mode[type] != ATOMS:
            return self.mode[type]
        if fd != NULL:
            for k in range(some.prefixes):
                if a[k].size <= fd_size and memcmp(a[k].words, fd, a[k].size) == 0:
                    return 1
            a += some.prefixes
            for k in range(some.names):
                if a[k].size == fd_size and memcmp(a[k].words, fd, fd_size) == 0:
                    return 1
            a += some.names
            for k in range(some.suffixes):
                if a[k].size <= fd_size and memcmp(a[k].words, fd + fd_size - a[k].size, a[k].size) == 0:
                    return 1
            a += some.suffixes
            for k in range(some.inner):
                if _inside(fd, fd_size, a[k].words, a[k].size, 0):
                    return 1
            a += some.inner
        else:
            a += some.prefixes + some.names + some.suffixes + some.inner
        if s == NULL:
            return 1  # an unknown process can be any
        for k in range(some.procs):
            if s.name != NULL and a[k].size == s.name.size and memcmp(a[k].words, text_bytes(s.name), a[k].size) == 0:
                return 1
        a += some.procs
        for k in range(some.paths):
            if s.exepath != NULL and a[k].size == s.exepath.size and memcmp(a[k].words, text_bytes(s.exepath), a[k].size) == 0:
                return 1
        a += some.paths
        for k in range(some.substrings):
            if s.name != NULL and _inside(text_bytes(s.name), s.name.size, a[k].words, a[k].size, 0):
                return 1
            if s.argv != NULL and _inside(text_bytes(s.argv), s.argv.size, a[k].words, a[k].size, 1):
                return 1
            # the name and the first argument may share a match
            if s.name != NULL and s.argv != NULL and memchr(a[k].words, c' ', a[k].size) != NULL and _seam(s, a[k].words, a[k].size):
                return 1
        return 0

    cdef int contains(self, int type, const char* where, size_t size) noexcept nogil:
        """Does a text argument contain one of the substrings?"""
        cdef atoms* some = &self.lists[type]
        cdef atom* a = some.all + some.prefixes + some.names + some.suffixes + some.inner + some.procs + some.paths
        cdef uint32_t k
        for k in range(some.substrings):
            if _inside(where, size, a[k].words, a[k].size, 0):
                return 1
        return 0


cdef int _seam(const state* s, const char* needle, size_t length) noexcept nogil:
    """True when ``needle`` lies across the end of the name and the start of the arguments."""
    cdef size_t before, after, k
    cdef const char* space
    cdef char here
    for before in range(length):
        if needle[before] != c' ' or before > s.name.size:
            continue
        after = length - before - 1
        if after > s.argv.size:
            continue
        if memcmp(text_bytes(s.name) + s.name.size - before, needle, before) != 0:
            continue
        k = 0
        while k < after:
            here = text_bytes(s.argv)[k]
            if (c' ' if here == 0 else here) != needle[before + 1 + k]:
                break
            k += 1
        if k == after:
            return 1
    return 0
