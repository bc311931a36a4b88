# cython: language_level=3
"""Arguments and descriptors, natively."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from phalanx.sensors.kernel._record cimport ph_record
from phalanx.sensors.kernel._states cimport StateDecoder
from phalanx.sensors.kernel._text cimport text

cdef enum:
    SYMBOLS = 4096
    SOCKETS = 65536

cdef enum kinds:
    K_NONE = 0
    K_STATE
    K_EXEC
    K_OPEN
    K_CONNECT
    K_ACCEPT
    K_BIND
    K_LISTEN
    K_SOCKET
    K_SEND
    K_DUP
    K_NAMESPACE
    K_MOUNT
    K_PTRACE
    K_MODULE
    K_BPF
    K_RENAME
    K_UNLINK
    K_LINK
    K_MKDIR
    K_CHMOD
    K_CRED
    K_MEMFD

cdef struct symbol:
    uint64_t value
    int family
    text* words

cdef struct socket_memory:
    uint64_t ino
    uint64_t peer
    int role

cdef class ArgumentDecoder(StateDecoder):
    cdef symbol* symbols
    cdef socket_memory* sockets
    cdef void _string(self, int column, int kind) noexcept nogil
    cdef void _symbol(self, int column, int family, uint64_t value) noexcept nogil
    cdef int _ask_symbol(self, symbol* slot, int family, uint64_t value) except -1
    cdef size_t _resolve(self, int name, int base, char* to) noexcept nogil
    cdef void _resolved(self, int column, int name, int base) noexcept nogil
    cdef void _fd(self, const ph_record* rec, int kind) noexcept nogil
    cdef void _socket(self, const ph_record* rec, int kind) noexcept nogil
    cdef void _unix_name(self, int column, const char* raw, size_t size) noexcept nogil
    cdef void _address(self, int column) noexcept nogil
    cdef int _dns(self) noexcept nogil
