# cython: language_level=3, boundscheck=False, wraparound=False
"""Bytes of the kernel as text that loses nothing: the native twin of :func:`phalanx.text.hostile.decode`.

A ``text`` is one block: its counter, its size, its bytes and a NUL that is not counted. It is immutable, so the states of a process
and its children share it. Only the thread that drains touches the counters.
"""

from __future__ import annotations

from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy


cdef text* _block(size_t size) noexcept nogil:
    cdef text* t = <text*>malloc(sizeof(text) + size + 1)
    if t != NULL:
        t.refs = 1
        t.size = <uint32_t>size
        (<char*>t)[sizeof(text) + size] = 0
    return t


cdef const char* text_bytes(const text* t) noexcept nogil:
    return <const char*>t + sizeof(text)


cdef inline int _sequence(const unsigned char* at, size_t left) noexcept nogil:
    """Length of the valid UTF-8 sequence that starts at ``at`` (Unicode 15, table 3-7), 0 when there is none; a code point
    that hostile text uses for itself (U+F780..U+F7FF) counts as invalid."""
    cdef unsigned char a = at[0], b
    if a < 0x80:
        return 1
    if a < 0xC2 or a > 0xF4 or left < 2:
        return 0
    b = at[1]
    if a < 0xE0:
        return 2 if (b & 0xC0) == 0x80 else 0
    if left < 3 or (b & 0xC0) != 0x80 or (at[2] & 0xC0) != 0x80:
        return 0
    if a < 0xF0:
        if (a == 0xE0 and b < 0xA0) or (a == 0xED and b > 0x9F):
            return 0
        if a == 0xEF and (b == 0x9E or b == 0x9F):
            return 0
        return 3
    if left < 4 or (at[3] & 0xC0) != 0x80 or (a == 0xF0 and b < 0x90) or (a == 0xF4 and b > 0x8F):
        return 0
    return 4


cdef size_t hostile_copy(char* to, size_t room, const char* raw, size_t size) noexcept nogil:
    """Write ``raw`` as hostile text to ``to``; what does not fit in ``room`` bytes is left out at a character's border. Returns the bytes written."""
    cdef size_t i = 0, out = 0
    cdef int n, k
    cdef const unsigned char* source = <const unsigned char*>raw
    cdef unsigned char byte
    while i < size:
        if source[i] < 0x80:
            if out >= room:
                break
            to[out] = <char>source[i]
            out += 1
            i += 1
            continue
        n = _sequence(source + i, size - i)
        if n:
            if out + n > room:
                break
            for k in range(n):
                to[out + k] = raw[i + k]
            out += n
            i += n
        else:
            if out + 3 > room:
                break
            byte = source[i]
            # U+F700 + byte, written as three bytes
            to[out] = <char>0xEF
            to[out + 1] = <char>(0x9C | (byte >> 6))
            to[out + 2] = <char>(0x80 | (byte & 0x3F))
            out += 3
            i += 1
    return out


cdef text* text_raw(const char* raw, size_t size) noexcept nogil:
    """Text of bytes from the kernel; NULL when there is no memory."""
    cdef size_t i, wide = 0
    cdef text* t
    for i in range(size):
        if <unsigned char>raw[i] >= 0x80:
            wide += 1
    t = _block(size + 2 * wide)
    if t == NULL:
        return NULL
    if wide == 0:
        memcpy(<char*>t + sizeof(text), raw, size)
    else:
        t.size = <uint32_t>hostile_copy(<char*>t + sizeof(text), size + 2 * wide, raw, size)
    return t


cdef text* text_ready(const char* ready, size_t size) noexcept nogil:
    """Text of bytes that are hostile text already."""
    cdef text* t = _block(size)
    if t != NULL:
        memcpy(<char*>t + sizeof(text), ready, size)
    return t


cdef text* text_of(str value):
    """Text of a Python string."""
    cdef bytes raw = value.encode("utf-8", "surrogatepass")
    return text_ready(raw, len(raw))


cdef void text_keep(text* t) noexcept nogil:
    if t != NULL:
        t.refs += 1


cdef void text_drop(text* t) noexcept nogil:
    if t != NULL:
        t.refs -= 1
        if t.refs == 0:
            free(t)


cdef str text_str(const text* t):
    """The Python string; None for NULL."""
    if t == NULL:
        return None
    return PyUnicode_DecodeUTF8(text_bytes(t), t.size, NULL)


def hostile(bytes raw not None):
    """``raw`` as hostile text; the function that tests compare with :func:`phalanx.text.hostile.decode`."""
    cdef text* t = text_raw(raw, len(raw))
    if t == NULL:
        raise MemoryError
    try:
        return text_str(t)
    finally:
        text_drop(t)
