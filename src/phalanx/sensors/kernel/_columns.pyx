# cython: language_level=3, boundscheck=False, wraparound=False
"""Builds one table of a batch (:mod:`phalanx.model.columns`): buffers as Arrow prescribes them, without Python objects.

A column is touched only by the rows that have a value in it; the nulls between are filled when the next value or the end comes.
A failed allocation is remembered, never half written: :meth:`Columns.finish` raises MemoryError.
"""

from __future__ import annotations

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset

from phalanx.model.columns import EVENT_COLUMNS, PROCESS_COLUMNS

cdef dict TYPES = {"bool": T_BOOL, "u16": T_U16, "u32": T_U32, "i32": T_I32, "u64": T_U64, "i64": T_I64, "text": T_TEXT, "texts": T_TEXTS}
cdef int[8] WIDTH = [0, 2, 4, 4, 8, 8, 0, 0]


cdef int _grow(buffer* b, size_t more) noexcept nogil:
    cdef size_t room
    cdef uint8_t* data
    if b.size + more <= b.room:
        return 1
    room = b.room * 2 if b.room else 1024
    while room < b.size + more:
        room *= 2
    data = <uint8_t*>realloc(b.data, room)
    if data == NULL:
        return 0
    b.data = data
    b.room = room
    return 1


cdef inline int _bit(buffer* b, uint32_t row, int value) noexcept nogil:
    """Append the bit of ``row``; rows come in order."""
    if row & 7 == 0:
        if not _grow(b, 1):
            return 0
        b.data[b.size] = 0
        b.size += 1
    if value:
        b.data[row >> 3] |= 1 << (row & 7)
    return 1


cdef inline int _u32(buffer* b, uint32_t value) noexcept nogil:
    if not _grow(b, 4):
        return 0
    memcpy(b.data + b.size, &value, 4)
    b.size += 4
    return 1


cdef int _null(column* c) noexcept nogil:
    """Append one null."""
    cdef int width = WIDTH[c.type]
    c.nulls = 1
    if not _bit(&c.validity, c.rows, 0):
        return 0
    if c.type == T_BOOL:
        if not _bit(&c.data, c.rows, 0):
            return 0
    elif c.type == T_TEXT:
        if not _u32(&c.offsets, <uint32_t>c.data.size):
            return 0
    elif c.type == T_TEXTS:
        if not _u32(&c.lists, <uint32_t>(c.offsets.size // 4)):
            return 0
    else:
        if not _grow(&c.data, width):
            return 0
        memset(c.data.data + c.data.size, 0, width)
        c.data.size += width
    c.rows += 1
    return 1


cdef class Columns:
    """The table ``event`` or ``process`` of the batch that is being filled."""

    def __cinit__(self, str table):
        described = EVENT_COLUMNS if table == "event" else PROCESS_COLUMNS
        cdef int index
        self.table = table
        self.names = tuple(c.name for c in described)
        self.count = len(described)
        self.columns = <column*>calloc(self.count, sizeof(column))
        if self.columns == NULL:
            raise MemoryError
        for index, c in enumerate(described):
            self.columns[index].type = TYPES[c.type]

    def __dealloc__(self):
        cdef int index
        if self.columns == NULL:
            return
        for index in range(self.count):
            free(self.columns[index].data.data)
            free(self.columns[index].validity.data)
            free(self.columns[index].offsets.data)
            free(self.columns[index].lists.data)
        free(self.columns)

    def index(self, str name):
        """Number of the column ``name``."""
        return self.names.index(name)

    cdef column* _reach(self, int index) noexcept nogil:
        """The column, with nulls up to the present row; NULL when memory is short or the row has its value already."""
        cdef column* c = self.columns + index
        if c.rows > self.rows:
            return NULL
        while c.rows < self.rows:
            if not _null(c):
                self.failed = 1
                return NULL
        return c

    cdef void number(self, int index, int64_t value) noexcept nogil:
        """The value of a bool or number column in this row; taken modulo its width."""
        cdef column* c = self._reach(index)
        cdef int width
        if c == NULL:
            return
        width = WIDTH[c.type]
        if not _bit(&c.validity, c.rows, 1):
            self.failed = 1
            return
        if c.type == T_BOOL:
            if not _bit(&c.data, c.rows, value != 0):
                self.failed = 1
                return
        else:
            if not _grow(&c.data, width):
                self.failed = 1
                return
            memcpy(c.data.data + c.data.size, &value, width)  # little endian
            c.data.size += width
        c.rows += 1

    cdef void words(self, int index, const char* ready, size_t size) noexcept nogil:
        """The value of a text column; ``ready`` is hostile text."""
        cdef column* c = self._reach(index)
        if c == NULL:
            return
        if not _bit(&c.validity, c.rows, 1) or not _u32(&c.offsets, <uint32_t>c.data.size) or not _grow(&c.data, size):
            self.failed = 1
            return
        memcpy(c.data.data + c.data.size, ready, size)
        c.data.size += size
        c.rows += 1

    cdef void list_of_words(self, int index, const char* ready, size_t size, uint32_t items) noexcept nogil:
        """The value of a texts column: ``items`` strings, each ended by NUL."""
        cdef column* c = self._reach(index)
        cdef size_t at = 0, end
        cdef uint32_t item
        if c == NULL:
            return
        if not _bit(&c.validity, c.rows, 1) or not _u32(&c.lists, <uint32_t>(c.offsets.size // 4)):
            self.failed = 1
            return
        for item in range(items):
            end = at
            while end < size and ready[end] != 0:
                end += 1
            if not _u32(&c.offsets, <uint32_t>c.data.size) or not _grow(&c.data, end - at):
                self.failed = 1
                return
            memcpy(c.data.data + c.data.size, ready + at, end - at)
            c.data.size += end - at
            at = end + 1 if end < size else end
        c.rows += 1

    cdef void next_row(self) noexcept nogil:
        self.rows += 1

    cdef size_t bytes_used(self) noexcept nogil:
        cdef size_t total = 0
        cdef int index
        for index in range(self.count):
            total += self.columns[index].data.size
        return total

    cdef void clear(self) noexcept nogil:
        cdef int index
        cdef column* c
        for index in range(self.count):
            c = self.columns + index
            c.rows = 0
            c.nulls = 0
            c.data.size = c.validity.size = c.offsets.size = c.lists.size = 0
        self.rows = 0
        self.failed = 0

    cpdef list finish(self):
        """``(name, data, validity | None, offsets | None, list_offsets | None)`` of each column that has a value, as bytes; then the table is empty."""
        cdef int index
        cdef column* c
        cdef list out = []
        if not self.failed:
            for index in range(self.count):
                c = self.columns + index
                if c.rows == 0:
                    continue
                while c.rows < self.rows:
                    if not _null(c):
                        self.failed = 1
                        break
                if c.type == T_TEXT and not _u32(&c.offsets, <uint32_t>c.data.size):
                    self.failed = 1
                if c.type == T_TEXTS and not (
                    _u32(&c.lists, <uint32_t>(c.offsets.size // 4)) and _u32(&c.offsets, <uint32_t>c.data.size)
                ):
                    self.failed = 1
                if self.failed:
                    break
                out.append((
                    self.names[index],
                    _copy(&c.data),
                    _copy(&c.validity) if c.nulls else None,
                    _copy(&c.offsets) if c.type in (T_TEXT, T_TEXTS) else None,
                    _copy(&c.lists) if c.type == T_TEXTS else None,
                ))
        failed = self.failed
        self.clear()
        if failed:
            raise MemoryError("no memory for the columns of a batch")
        return out


cdef bytes _copy(buffer* b):
    return PyBytes_FromStringAndSize(<char*>b.data, b.size)
