# cython: language_level=3, boundscheck=False, wraparound=False
"""What a record says besides its process: names made whole, numbers given their words, descriptors and addresses read.

Addresses come from the kernel's own socket where it has them; what only the caller said (where a datagram goes) is taken from the copy of its
argument. Every length is checked against the record and every text against the room that is left.
"""

from __future__ import annotations

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, strlen

from phalanx.sensors.kernel._record cimport *
from phalanx.sensors.kernel._states cimport ARENA, StateDecoder, bounded
from phalanx.sensors.kernel._table cimport set_text
from phalanx.sensors.kernel._text cimport text, text_bytes, text_drop, text_of

from phalanx.model.columns import EVENT_COLUMNS
from phalanx.sensors.kernel.symbols import render

cdef extern from "<arpa/inet.h>" nogil:
    const char* inet_ntop(int family, const void* source, char* to, unsigned size)
    enum:
        AF_UNIX_ "AF_UNIX"
        AF_INET_ "AF_INET"
        AF_INET6_ "AF_INET6"

cdef list _columns = [c.name for c in EVENT_COLUMNS]
cdef int C_DNS = _columns.index("dns_name")
cdef int C_FD_CHANGED = _columns.index("fd_name_changed")
cdef int C_FD_CIP = _columns.index("fd_cip")
cdef int C_FD_CONNECTED = _columns.index("fd_connected")
cdef int C_FD_CPORT = _columns.index("fd_cport")
cdef int C_FD_INO = _columns.index("fd_ino")
cdef int C_FD_NAME = _columns.index("fd_name")
cdef int C_FD_NUM = _columns.index("fd_num")
cdef int C_FD_PROTO = _columns.index("fd_l4proto")
cdef int C_FD_SERVER = _columns.index("fd_is_server")
cdef int C_FD_SIP = _columns.index("fd_sip")
cdef int C_FD_SPORT = _columns.index("fd_sport")
cdef int C_FD_TYPE = _columns.index("fd_type")


cdef class ArgumentDecoder(StateDecoder):
    """Fills cells from arguments and descriptors; :class:`phalanx.sensors.kernel._decode.Decoder` says which call has which."""

    def __cinit__(self, *args, **kwargs):
        self.symbols = <symbol*>calloc(SYMBOLS, sizeof(symbol))
        self.sockets = <socket_memory*>calloc(SOCKETS, sizeof(socket_memory))
        if self.symbols == NULL or self.sockets == NULL:
            raise MemoryError

    def __dealloc__(self):
        cdef int index
        if self.symbols != NULL:
            for index in range(SYMBOLS):
                text_drop(self.symbols[index].words)
            free(self.symbols)
        free(self.sockets)

    cdef void _string(self, int column, int kind) noexcept nogil:
        """A text cell of a string of the record, when there is one."""
        if self.strings[kind] != NULL:
            self._raw(column, self.strings[kind], self.lengths[kind])

    cdef void _symbol(self, int column, int family, uint64_t value) noexcept nogil:
        """A text cell of a number that has a name."""
        cdef symbol* slot = self.symbols + ((value * <uint64_t>0x9E3779B97F4A7C15ULL + <uint64_t>family * <uint64_t>0xC2B2AE3D27D4EB4FULL) >> 52)
        if slot.words == NULL or slot.value != value or slot.family != family:
            with gil:
                self._ask_symbol(slot, family, value)
        if slot.words != NULL and self.arena_used + slot.words.size <= ARENA:
            # copied: the slot may change before the row is written
            memcpy(self.arena + self.arena_used, text_bytes(slot.words), slot.words.size)
            self._words(column, self.arena + self.arena_used, slot.words.size)
            self.arena_used += slot.words.size

    cdef int _ask_symbol(self, symbol* slot, int family, uint64_t value) except -1:
        set_text(&slot.words, text_of(render(family, value)))
        slot.family = family
        slot.value = value
        return 0

    cdef size_t _resolve(self, int name, int base, char* to) noexcept nogil:
        """The path argument ``name``, made absolute by ``base`` and cleared of ``.`` and ``..`` by its text, as raw bytes at ``to``.

        Symbolic links in it are not followed: the call is over, and what they meant then is gone.
        """
        cdef const char* given = self.strings[name]
        cdef size_t size = self.lengths[name], out = 0, at = 0, end, n
        cdef size_t most = 2 * PH_PATH_MAX - 2
        if given == NULL:
            return 0
        if size and given[0] == c'/':
            out = 0
        elif self.strings[base] != NULL:
            out = self._path(base, to, PH_PATH_MAX + 256)
            if out == 1 and to[0] == c'/':
                out = 0
        else:
            size = min(size, most)
            memcpy(to, given, size)
            return size
        while at < size:
            while at < size and given[at] == c'/':
                at += 1
            end = at
            while end < size and given[end] != c'/':
                end += 1
            n = end - at
            if n == 0 or (n == 1 and given[at] == c'.'):
                pass
            elif n == 2 and given[at] == c'.' and given[at + 1] == c'.':
                while out > 0 and to[out - 1] != c'/':
                    out -= 1
                if out > 0:
                    out -= 1
            else:
                if out + n + 1 > most:
                    break
                to[out] = c'/'
                memcpy(to + out + 1, given + at, n)
                out += n + 1
            at = end
        if out == 0:
            to[0] = c'/'
            out = 1
        return out

    cdef void _resolved(self, int column, int name, int base) noexcept nogil:
        """A text cell of a path argument."""
        cdef size_t n
        if self.strings[name] != NULL:
            n = self._resolve(name, base, self.scratch)
            self._raw(column, self.scratch, n)

    # --- descriptors -----------------------------------------------------------------------------------------------------------------

    cdef void _fd(self, const ph_record* rec, int kind) noexcept nogil:
        """Cells of the descriptor."""
        cdef uint32_t form = rec.fd.mode & 0o170000
        cdef const char* type = b"f"
        cdef size_t n = 0
        if rec.fd.num == PH_NO_FD:
            return
        self._number(C_FD_NUM, rec.fd.num if rec.fd.num >= 0 else -1)
        if rec.fd.family:
            self._number(C_FD_INO, <int64_t>rec.fd.ino)
            self._socket(rec, kind)
            return
        if not rec.fd.mode and not rec.fd.magic:
            return
        self._number(C_FD_INO, <int64_t>rec.fd.ino)
        if self.strings[<int>PH_S_FD] != NULL:
            n = self._path(PH_S_FD, self.scratch, 4 * PH_PATH_MAX)
        if form == 0o040000:
            type = b"d"
        elif form == 0o010000:
            type = b"p"
        elif form == 0o140000:
            type = b"u"
        if n and self.scratch[0] != c'/' and self.scratch[0] != c'.':
            # no path: the name of an anonymous inode or of a memory file
            if n >= 6 and memcmp(self.scratch, b"memfd:", 6) == 0:
                type = b"m"
            elif n >= 9 and memcmp(self.scratch, b"[eventfd]", 9) == 0:
                type = b"e"
            elif n >= 10 and memcmp(self.scratch, b"[signalfd]", 10) == 0:
                type = b"s"
            elif n >= 11 and memcmp(self.scratch, b"[eventpoll]", 11) == 0:
                type = b"l"
            elif n >= 7 and memcmp(self.scratch, b"inotify", 7) == 0:
                type = b"i"
            elif n >= 9 and memcmp(self.scratch, b"[timerfd]", 9) == 0:
                type = b"t"
            elif n >= 3 and memcmp(self.scratch, b"bpf", 3) == 0:
                type = b"b"
            elif n >= 10 and memcmp(self.scratch, b"[io_uring]", 10) == 0:
                type = b"r"
            elif form == 0:
                type = b"o"
        self._words(C_FD_TYPE, type, 1)
        if n:
            self._raw(C_FD_NAME, self.scratch, n)

    cdef void _socket(self, const ph_record* rec, int kind) noexcept nogil:
        """Cells of a socket: who is client, who is server, and whether this is the same peer as before."""
        cdef int family = rec.fd.family
        cdef const uint8_t* local = rec.fd.laddr
        cdef const uint8_t* remote = rec.fd.raddr
        cdef uint16_t remote_port = rec.fd.rport
        cdef const uint8_t* given
        cdef uint32_t given_size
        cdef socket_memory* memory
        cdef uint64_t peer
        cdef int role, changed
        cdef char* name
        cdef char* ends[2]
        cdef size_t sizes[2]
        cdef uint16_t ports[2]
        cdef size_t n, k
        if family == AF_UNIX_:
            self._words(C_FD_TYPE, b"u", 1)
            self._number(C_FD_CONNECTED, (kind == K_CONNECT and rec.ret == 0) or kind == K_ACCEPT)
            if self.strings[<int>PH_S_UNIX] != NULL:
                self._unix_name(C_FD_NAME, self.strings[<int>PH_S_UNIX], self.lengths[<int>PH_S_UNIX])
            elif kind == K_CONNECT and self.strings[<int>PH_S_ADDRESS] != NULL and self.lengths[<int>PH_S_ADDRESS] > 2:
                self._unix_name(C_FD_NAME, self.strings[<int>PH_S_ADDRESS] + 2, self.lengths[<int>PH_S_ADDRESS] - 2)
            return
        if family != AF_INET_ and family != AF_INET6_:
            self._words(C_FD_TYPE, b"o", 1)
            return
        # where a datagram goes, or a connection that failed was to go, only the caller's address says
        given = <const uint8_t*>self.strings[<int>PH_S_ADDRESS]
        given_size = self.lengths[<int>PH_S_ADDRESS] if given != NULL else 0
        if (kind == K_SEND or (kind == K_CONNECT and remote_port == 0)) and given_size >= 8:
            if given[0] == AF_INET_ and family == AF_INET_:
                remote_port = (<uint16_t>given[2] << 8) | given[3]
                remote = given + 4
            elif given[0] == AF_INET6_ and family == AF_INET6_ and given_size >= 24:
                remote_port = (<uint16_t>given[2] << 8) | given[3]
                remote = given + 8
        if family == AF_INET6_ and (_mapped(remote) or _mapped(local)):
            if _mapped(remote):
                remote += 12
            if _mapped(local):
                local += 12
            family = AF_INET_
        self._words(C_FD_TYPE, b"4" if family == AF_INET_ else b"6", 1)
        if rec.fd.sock_type == 3:
            if rec.fd.proto == 1 or rec.fd.proto == 58:
                self._words(C_FD_PROTO, b"icmp", 4)
            else:
                self._words(C_FD_PROTO, b"raw", 3)
        elif rec.fd.proto == 17 or rec.fd.sock_type == 2:
            if rec.fd.proto == 1 or rec.fd.proto == 58:
                self._words(C_FD_PROTO, b"icmp", 4)
            else:
                self._words(C_FD_PROTO, b"udp", 3)
        elif rec.fd.sock_type == 1:
            self._words(C_FD_PROTO, b"tcp", 3)
        memory = self.sockets + (rec.fd.ino & (SOCKETS - 1))
        if memory.ino != rec.fd.ino:
            memory.ino = rec.fd.ino
            memory.peer = 0
            memory.role = 0
        if kind == K_ACCEPT or kind == K_LISTEN or kind == K_BIND:
            memory.role = 2
        elif kind == K_CONNECT:
            memory.role = 1
        role = memory.role
        name = self.arena + self.arena_used
        if self.arena_used + 512 > ARENA:
            return
        if remote_port == 0 and rec.fd.lport == 0:
            return  # no end has an address yet
        if remote_port == 0 or kind == K_LISTEN or kind == K_BIND:
            # no peer: the socket's own address
            ends[0] = name
            sizes[0] = _ip_text(ends[0], local, family)
            n = sizes[0] + snprintf(name + sizes[0], 16, b":%u", <unsigned>rec.fd.lport)
            self._words(C_FD_NAME, name, n)
            self._words(C_FD_SIP, name, sizes[0])
            self._number(C_FD_SPORT, rec.fd.lport)
            self._number(C_FD_SERVER, role == 2)
            self._number(C_FD_CONNECTED, 0)
            self.arena_used += n
            return
        # the client first; who did not say is taken for the client
        k = 1 if role == 2 else 0
        sizes[0] = _ip_text(name, remote if k else local, family)
        ports[0] = remote_port if k else rec.fd.lport
        n = sizes[0] + snprintf(name + sizes[0], 16, b":%u->", <unsigned>ports[0])
        ends[1] = name + n
        sizes[1] = _ip_text(ends[1], local if k else remote, family)
        ports[1] = rec.fd.lport if k else remote_port
        n += sizes[1] + snprintf(ends[1] + sizes[1], 16, b":%u", <unsigned>ports[1])
        self.arena_used += n
        self._words(C_FD_NAME, name, n)
        self._words(C_FD_CIP, name, sizes[0])
        self._number(C_FD_CPORT, ports[0])
        self._words(C_FD_SIP, ends[1], sizes[1])
        self._number(C_FD_SPORT, ports[1])
        self._number(C_FD_SERVER, k)
        self._number(C_FD_CONNECTED, (kind == K_CONNECT and rec.ret == 0) or (kind != K_CONNECT and rec.fd.rport != 0))
        peer = _hash(name, n)
        changed = (kind == K_SEND or (kind == K_CONNECT and rec.fd.sock_type == 2)) and memory.peer != peer
        memory.peer = peer
        self._number(C_FD_CHANGED, changed)

    cdef void _unix_name(self, int column, const char* raw, size_t size) noexcept nogil:
        """The path of a Unix socket; ``@`` begins an abstract one (unix(7)), whose name may hold any byte."""
        size = min(size, 108)  # sun_path (unix(7))
        if size == 0:
            return
        if raw[0] == 0:
            self.scratch[0] = c'@'
            memcpy(self.scratch + 1, raw + 1, size - 1)
            self._raw(column, self.scratch, size)
            return
        self._raw(column, raw, bounded(raw, size))

    cdef void _address(self, int column) noexcept nogil:
        """The address that the caller gave: ``ip:port`` or a Unix path."""
        cdef const uint8_t* raw = <const uint8_t*>self.strings[<int>PH_S_ADDRESS]
        cdef uint32_t size = self.lengths[<int>PH_S_ADDRESS]
        cdef char* to = self.arena + self.arena_used
        cdef int family
        cdef size_t n
        if raw == NULL or size < 3 or self.arena_used + 512 > ARENA:
            return
        family = raw[0] | (<int>raw[1] << 8)
        if family == AF_UNIX_:
            self._unix_name(column, <const char*>raw + 2, size - 2)
            return
        if family == AF_INET_ and size >= 8:
            n = _ip_text(to, raw + 4, AF_INET_)
        elif family == AF_INET6_ and size >= 24:
            n = _ip_text(to, raw + 12 + 8, AF_INET_) if _mapped(raw + 8) else _ip_text(to, raw + 8, AF_INET6_)
        else:
            return
        n += snprintf(to + n, 16, b":%u", <unsigned>((<uint16_t>raw[2] << 8) | raw[3]))
        self.arena_used += n
        self._words(column, to, n)

    cdef int _dns(self) noexcept nogil:
        """The first question of a DNS query (RFC 1035, 4.1.2), when the payload is one."""
        cdef const uint8_t* raw = <const uint8_t*>self.strings[<int>PH_S_PAYLOAD]
        cdef size_t size = self.lengths[<int>PH_S_PAYLOAD], at = 12, out = 0, k, n
        if raw == NULL or size < 17 or raw[2] & 0x80 or (raw[4] == 0 and raw[5] == 0):
            return 0
        while at < size:
            n = raw[at]
            at += 1
            if n == 0:
                break
            if n > 63 or at + n > size or out + n + 1 > 255:
                return 0  # a pointer or no name at all
            if out:
                self.scratch[out] = c'.'
                out += 1
            memcpy(self.scratch + out, raw + at, n)
            out += n
            at += n
        if out == 0:
            self.scratch[0] = c'.'
            out = 1
        self._raw(C_DNS, self.scratch, out)
        return 1


cdef uint64_t _hash(const char* words, size_t size) noexcept nogil:
    """FNV-1a, never 0."""
    cdef uint64_t value = 0xCBF29CE484222325ULL
    cdef size_t k
    for k in range(size):
        value = (value ^ <unsigned char>words[k]) * 0x100000001B3ULL
    return value | 1


cdef int _mapped(const uint8_t* address) noexcept nogil:
    """True for an IPv4 address in IPv6's form (RFC 4291, 2.5.5.2)."""
    return memcmp(address, b"\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) == 0


cdef size_t _ip_text(char* to, const uint8_t* address, int family) noexcept nogil:
    """The address as text at ``to`` (46 bytes); its length."""
    if inet_ntop(family, address, to, 46) == NULL:
        return 0
    return strlen(to)
