# cython: language_level=3, boundscheck=False, wraparound=False
"""From the kernel's records to columns, and to objects for candidates.

Each record becomes a short list of **cells** (column, value). Cells are appended to the columns of the batch; an ``Event`` is made of
the same cells only when some loaded rule can match. Python is entered for candidates, and on the misses of a cache (names of users, the
container of a cgroup, the text of flags), never for an ordinary event.

A record is hostile as far as its strings go: lengths are checked against the record, text is made valid, every buffer is bounded.
"""

from __future__ import annotations

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.stdio cimport snprintf
from libc.string cimport memcmp, memcpy, memset, strlen

from cpython.unicode cimport PyUnicode_DecodeUTF8

from phalanx.sensors.kernel._columns cimport Columns
from phalanx.sensors.kernel._filter cimport Filter
from phalanx.sensors.kernel._record cimport *
from phalanx.sensors.kernel._arguments cimport *
from phalanx.sensors.kernel._states cimport ARENA, CELLS, StateDecoder, bounded, cell, group
from phalanx.sensors.kernel._table cimport *
from phalanx.sensors.kernel._text cimport *

import re

from phalanx.model import event as _events
from phalanx.model.columns import EVENT_COLUMNS
from phalanx.model.process import Descriptor
from phalanx.sensors.kernel.calls import CALLS, When
from phalanx.sensors.kernel.symbols import Family

cdef list _columns = [c.name for c in EVENT_COLUMNS]
cdef int C_TS = _columns.index("ts_ns"), C_SEQ = _columns.index("seq"), C_KIND = _columns.index("kind"), C_TYPE = _columns.index("type")
cdef int C_RET = _columns.index("ret"), C_CPU = _columns.index("cpu"), C_TID = _columns.index("tid")
cdef int C_TRUNCATED = _columns.index("truncated"), C_COMPAT = _columns.index("compat32"), C_PROC = _columns.index("proc")
cdef int C_FILENAME = _columns.index("filename"), C_INTERPRETER = _columns.index("interpreter"), C_FLAGS = _columns.index("flags")
cdef int C_PATH = _columns.index("path"), C_DURATION = _columns.index("duration_ns"), C_COUNT = _columns.index("count")
cdef int C_CAUSE = _columns.index("cause"), C_SINCE = _columns.index("since_ns"), C_EXTRA = _columns.index("extra")

cdef int C_FD_NUM = _columns.index("fd_num"), C_FD_TYPE = _columns.index("fd_type"), C_FD_NAME = _columns.index("fd_name")
cdef int C_FD_INO = _columns.index("fd_ino"), C_FD_PROTO = _columns.index("fd_l4proto"), C_FD_CIP = _columns.index("fd_cip")
cdef int C_FD_CPORT = _columns.index("fd_cport"), C_FD_SIP = _columns.index("fd_sip"), C_FD_SPORT = _columns.index("fd_sport")
cdef int C_FD_SERVER = _columns.index("fd_is_server"), C_FD_CONNECTED = _columns.index("fd_connected")
cdef int C_FD_CHANGED = _columns.index("fd_name_changed"), C_NAME = _columns.index("name"), C_OLDPATH = _columns.index("oldpath")
cdef int C_NEWPATH = _columns.index("newpath"), C_TARGET = _columns.index("target"), C_LINKPATH = _columns.index("linkpath")
cdef int C_MODE = _columns.index("mode"), C_IS_READ = _columns.index("is_read"), C_IS_WRITE = _columns.index("is_write")
cdef int C_IS_EXEC = _columns.index("is_exec"), C_ADDR = _columns.index("addr"), C_DOMAIN = _columns.index("domain")
cdef int C_SOCKET_TYPE = _columns.index("socket_type"), C_PROTO = _columns.index("proto"), C_DNS = _columns.index("dns_name")
cdef int C_SIZE = _columns.index("size"), C_BACKLOG = _columns.index("backlog"), C_OLDFD = _columns.index("oldfd")
cdef int C_NEWFD = _columns.index("newfd"), C_NSTYPE = _columns.index("nstype"), C_DEV = _columns.index("dev"), C_DIR = _columns.index("dir")
cdef int C_FSTYPE = _columns.index("fstype"), C_REQUEST = _columns.index("request"), C_TARGET_PID = _columns.index("target_pid")
cdef int C_CMD = _columns.index("cmd"), C_UID = _columns.index("arg_uid"), C_GID = _columns.index("arg_gid"), C_EUID = _columns.index("euid")
cdef int C_CAPABILITIES = _columns.index("capabilities"), C_OPTION = _columns.index("option")

cdef int S_OPEN = Family.OPEN, S_MODE = Family.MODE, S_CLONE = Family.CLONE, S_UNLINK = Family.UNLINK, S_AT = Family.AT
cdef int S_RENAME = Family.RENAME, S_MOUNT = Family.MOUNT, S_UMOUNT = Family.UMOUNT, S_PTRACE = Family.PTRACE, S_BPF = Family.BPF
cdef int S_MEMFD = Family.MEMFD, S_SOCKET_FLAGS = Family.SOCKET_FLAGS, S_DOMAIN = Family.DOMAIN, S_SOCKET_TYPE = Family.SOCKET_TYPE
cdef int S_PRCTL = Family.PRCTL, S_MODULE = Family.MODULE, S_CAPABILITIES = Family.CAPABILITIES, S_MOVE_MOUNT = Family.MOVE_MOUNT

_KINDS = {cls.__struct_config__.tag: cls for cls in _events.Event.__args__}
"""Class of each kind."""


def _attributes() -> dict[str, dict[int, tuple[str, bool]]]:
    """For each kind: column → (attribute, is a bool); read from the layout's own description."""
    out = {}
    for kind, cls in _KINDS.items():
        names = {}
        for index, described in enumerate(EVENT_COLUMNS):
            for owner, attribute in re.findall(r"([A-Z]\w+)\.(\w+)", described.field):
                if owner in (cls.__name__, "Event") and attribute in cls.__struct_fields__ and not described.name.startswith("fd_"):
                    names[index] = (attribute, described.type == "bool")
            if described.name == "flags" and "flags" in cls.__struct_fields__:
                names[index] = ("flags", False)
        out[kind] = names
    return out


cdef dict _ATTRIBUTES = _attributes()
cdef dict _FD = {
    index: (described.name[3:], described.type == "bool") for index, described in enumerate(EVENT_COLUMNS) if described.name.startswith("fd_")
}


cdef list _KIND_NAMES = [
    "", "state", "exec", "open", "connect", "accept", "bind", "listen", "socket", "send", "dup", "namespace", "mount", "ptrace", "module", "bpf",
    "rename", "unlink", "link", "mkdir", "chmod", "cred", "memfd",
]

cdef enum when:
    W_RULES = 0
    W_ALWAYS
    W_WRITES
    W_DNS
    W_SOCKETS
    W_STATE

cdef enum:
    TYPE_EXIT = 512  # numbers of the event types that are no system calls
    TYPE_MKDIR = 513
    TYPE_RMDIR = 514
    NR_CLONE = 56
    NR_FORK = 57
    NR_VFORK = 58
    NR_EXECVE = 59
    NR_EXECVEAT = 322
    NR_CLONE3 = 435


cdef class Decoder(ArgumentDecoder):
    """Turns records into a batch and candidates; one for each sensor."""

    # --- events ----------------------------------------------------------------------------------------------------------------

    def __init__(self, *args, **kwargs):
        cdef bytes raw
        memset(self.specs, 0, sizeof(self.specs))
        for call in CALLS:
            raw = call.name.encode()
            self.specs[call.nr].kind = _KIND_NAMES.index(call.kind)
            self.specs[call.nr].when = call.when
            memcpy(self.specs[call.nr].name, <const char*>raw, len(raw))
        for kind in range(2, len(_KIND_NAMES)):
            raw = _KIND_NAMES[kind].encode()
            memcpy(self.kind_names[kind], <const char*>raw, len(raw))
        self.filter = Filter({number: None for number in range(520)})

    def set_filter(self, Filter chosen not None) -> None:
        """From now on, only what ``chosen`` wants becomes an object."""
        self.filter = chosen

    def set_budget(self, int64_t per_second) -> None:
        """Rows a second, for each kind, of events that only bulk recording wants; 0 for no bound."""
        self.budget = per_second

    def set_own(self, pids) -> None:
        """Processes of this product: their bulk events are recorded only when a rule wants them, so that recording does not feed itself."""
        cdef int k = 0
        memset(self.own, 0, sizeof(self.own))
        for pid in list(pids)[:OWN]:
            self.own[k] = pid
            k += 1

    cdef int feed(self, const char* raw, size_t size) noexcept nogil:
        """One record; 0 when the batch is full and the record has to come again."""
        cdef const ph_record* rec = <const ph_record*>raw
        cdef state* s
        cdef uint32_t type
        if self.events.rows >= self.row_bound:
            return 0
        if size < sizeof(ph_record) or rec.size != size or not self._index_strings(rec):
            self.malformed += 1
            return 1
        if self.events.rows & 255 == 255 and self.events.bytes_used() + self.states.bytes_used() > self.byte_bound:
            return 0
        self.seen += 1
        self.used = 0
        self.arena_used = 0
        if rec.ts > self.newest:
            self.newest = rec.ts
        if self.now > rec.ts and rec.cpu < 1024 and self.now - rec.ts > self.lag[rec.cpu]:
            self.lag[rec.cpu] = self.now - rec.ts
        if rec.flags & (PH_F_CUT | PH_F_ARGS_CUT):
            self.cut += 1
        if rec.type == PH_CALL:
            if rec.nr >= PH_CALLS or self.specs[rec.nr].kind == K_NONE:
                self.malformed += 1
            else:
                self._call(rec)
        elif rec.type == PH_EXEC:
            s = self._exec(rec)
            self._string(C_FILENAME, PH_S_FILENAME)
            if rec.flags & PH_F_SCRIPT:
                self._string(C_INTERPRETER, PH_S_INTERPRETER)
            type = NR_EXECVEAT if rec.nr == (358 if rec.flags & PH_F_COMPAT else NR_EXECVEAT) else NR_EXECVE
            self._event(rec, s, b"exec", b"execveat" if type == NR_EXECVEAT else b"execve", type, 1)
        elif rec.type == PH_FORK:
            s = self._fork(rec)
            type = _fork_type(rec)
            if type != NR_VFORK and type != NR_FORK and type != NR_CLONE3:
                self._symbol(C_FLAGS, S_CLONE, <uint32_t>rec.arg[0])
            self._event(
                rec, s, b"fork", b"fork" if type == NR_FORK else b"vfork" if type == NR_VFORK else b"clone3" if type == NR_CLONE3 else b"clone", type, 1
            )
        elif rec.type == PH_EXIT:
            s = self._who(rec)
            self._number(C_DURATION, <int64_t>(rec.ts - rec.start))
            self._event(rec, s, b"exit", b"procexit", TYPE_EXIT, 1)
            self.table.remove(rec.pid, rec.start)
        elif rec.type == PH_TASK:
            self._task(rec)
        elif rec.type == PH_CGROUP_MKDIR or rec.type == PH_CGROUP_RMDIR:
            self._cgroup(rec)
        else:
            self.malformed += 1
        return 1

    cdef int _is_own(self, uint32_t pid) noexcept nogil:
        cdef int k
        for k in range(OWN):
            if self.own[k] == pid:
                return pid != 0
        return 0

    cdef int _wanted(self, state* s, uint32_t type) noexcept nogil:
        """Can a loaded rule match the cells and this process?"""
        cdef const char* fd = NULL
        cdef size_t size = 0
        cdef int index
        cdef cell* c
        if self.filter.everything(type):
            return 1
        for index in range(self.used):
            c = self.cells + index
            if c.column == C_FD_NAME:
                fd = c.words
                size = c.size
        if self.filter.wants(type, fd, size, s):
            return 1
        for index in range(self.used):
            c = self.cells + index
            if c.is_text and c.column >= C_NAME and self.filter.contains(type, c.words, c.size):
                return 1
        return 0

    cdef int _within_budget(self, const ph_record* rec, int kind) noexcept nogil:
        """Takes one row from the second's budget of this kind."""
        cdef uint64_t second = rec.ts // 1000000000
        if not self.budget:
            return 1
        if self.budget_second != second:
            self.budget_second = second
            memset(self.budget_used, 0, sizeof(self.budget_used))
        if self.budget_used[kind] >= self.budget:
            self.guarded += 1
            return 0
        self.budget_used[kind] += 1
        return 1

    cdef void _event(self, const ph_record* rec, state* s, const char* kind, const char* type, uint32_t number, int profile) noexcept nogil:
        """Number the event, append its row, make its object when a rule can match it. ``profile``: recorded though no rule wants it."""
        cdef int index
        cdef cell* c
        cdef int wanted = self._wanted(s, number)
        if not wanted and not profile:
            self.dropped += 1
            return
        self._constant(C_KIND, kind)
        self._constant(C_TYPE, type)
        self._number(C_TS, <int64_t>rec.ts + self.offset)
        self._number(C_RET, rec.ret)
        self._number(C_CPU, rec.cpu)
        self._number(C_TID, rec.tid)
        self._number(C_TRUNCATED, (rec.flags & (PH_F_CUT | PH_F_ARGS_CUT)) != 0)
        self._number(C_COMPAT, (rec.flags & PH_F_COMPAT) != 0)
        self.sequence += 1
        self._number(C_SEQ, <int64_t>self.sequence)
        for index in range(self.used):
            c = self.cells + index
            if c.is_text:
                self.events.words(c.column, c.words, c.size)
            else:
                self.events.number(c.column, c.value)
        if s != NULL:
            self.events.number(C_PROC, self.table.row(s, self.states, self.batch))
        self.events.next_row()
        self.recorded += 1
        if wanted:
            self.wanted += 1
            with gil:
                try:
                    self._candidate(s, kind)
                except Exception:  # a row without its object must be told, whatever the reason
                    self.failed += 1

    cdef int _candidate(self, state* s, const char* kind) except -1:
        cdef int index
        cdef cell* c
        cdef str tag = kind.decode("ascii")
        cdef dict attributes = _ATTRIBUTES[tag]
        cdef dict values = {"agent": self.agent}
        cdef dict descriptor = None
        for index in range(self.used):
            c = self.cells + index
            value = PyUnicode_DecodeUTF8(c.words, c.size, NULL) if c.is_text else c.value
            place = attributes.get(c.column)
            if place is not None:
                values[place[0]] = bool(value) if place[1] else value
                continue
            place = _FD.get(c.column)
            if place is not None:
                if descriptor is None:
                    descriptor = {}
                descriptor[place[0]] = bool(value) if place[1] else value
        if tag == "mkdir" and "dev" in values:
            values["dev"] = int(values["dev"])  # the column is shared with mounts, whose devices are names
        if descriptor is not None:
            values["fd"] = Descriptor(**descriptor)
        if s != NULL:
            values["process"] = self.table.process(s)
            values["container"] = self.owner.container(text_str(s.container))
        self.candidates.append(_KINDS[tag](**values))
        return 0

    # --- what each call says -------------------------------------------------------------------------------------------------------------

    cdef void _call(self, const ph_record* rec) noexcept nogil:
        """A system call that returned."""
        cdef const spec* known = &self.specs[rec.nr]
        cdef int kind = known.kind
        cdef state* s
        cdef int profile = known.when == W_ALWAYS
        cdef uint64_t flags
        cdef const char* name = known.name
        if kind == K_STATE:
            self._state_call(rec)
            return
        s = self._who(rec)
        self._fd(rec, kind)
        if kind == K_OPEN:
            flags = 0o1101 if rec.nr == 85 else rec.arg[1] if rec.nr == 2 else rec.arg[2]
            self._string(C_NAME, PH_S_NAME)
            self._symbol(C_FLAGS, S_OPEN, <uint32_t>flags)
            if flags & 0o100 or flags & 0o20000000:
                self._symbol(C_MODE, S_MODE, (rec.arg[1] if rec.nr == 85 else rec.arg[2] if rec.nr == 2 else rec.arg[3]) & 0o7777)
                self._number(C_IS_EXEC, ((rec.arg[1] if rec.nr == 85 else rec.arg[2] if rec.nr == 2 else rec.arg[3]) & 0o111) != 0)
            else:
                self._number(C_IS_EXEC, 0)
            if flags & 0o10000000:  # O_PATH: neither
                self._number(C_IS_READ, 0)
                self._number(C_IS_WRITE, 0)
            else:
                self._number(C_IS_READ, flags & 3 != 1)
                self._number(C_IS_WRITE, flags & 3 != 0)
                profile = flags & 3 != 0 and rec.ret >= 0
            if rec.ret < 0:
                self._number(C_FD_NUM, -1)
                self._resolved(C_FD_NAME, PH_S_NAME, PH_S_BASE)
        elif kind == K_CONNECT or kind == K_BIND:
            self._address(C_ADDR)
        elif kind == K_ACCEPT:
            if rec.nr == 288:
                self._symbol(C_FLAGS, S_SOCKET_FLAGS, <uint32_t>rec.arg[3])
        elif kind == K_LISTEN:
            self._number(C_BACKLOG, <int32_t>rec.arg[1])
        elif kind == K_SOCKET:
            self._symbol(C_DOMAIN, S_DOMAIN, <uint32_t>rec.arg[0])
            self._symbol(C_SOCKET_TYPE, S_SOCKET_TYPE, rec.arg[1] & 0xF)
            self._number(C_PROTO, <int32_t>rec.arg[2])
        elif kind == K_SEND:
            self._number(C_SIZE, rec.ret)
            self._address(C_ADDR)
            profile = self._dns()
        elif kind == K_DUP:
            self._number(C_OLDFD, <int32_t>rec.arg[0])
            self._number(C_NEWFD, rec.ret)
            profile = rec.fd.family != 0
        elif kind == K_NAMESPACE:
            if rec.nr == 308:
                self._symbol(C_NSTYPE, S_CLONE, <uint32_t>rec.arg[1])
            elif rec.nr == 272:
                self._symbol(C_FLAGS, S_CLONE, <uint32_t>rec.arg[0])
            else:
                self._resolved(C_PATH, PH_S_NAME, PH_S_BASE)
        elif kind == K_MOUNT:
            if rec.nr == 165:
                self._string(C_DEV, PH_S_NAME)
                self._symbol(C_FLAGS, S_MOUNT, rec.arg[3] & 0x03FFFFFF)
                self._string(C_FSTYPE, PH_S_WORD)
            elif rec.nr == 166:
                self._symbol(C_FLAGS, S_UMOUNT, <uint32_t>rec.arg[1] if not rec.flags & PH_F_COMPAT else rec.arg[1] & 15)
            elif rec.nr == 429:
                self._resolved(C_DEV, PH_S_NAME, PH_S_BASE)
                self._symbol(C_FLAGS, S_MOVE_MOUNT, <uint32_t>rec.arg[4])
            else:
                self._string(C_FSTYPE, PH_S_WORD)
            self._resolved(C_DIR, PH_S_NAME2, PH_S_BASE2)
        elif kind == K_PTRACE:
            if rec.nr == 101:
                self._symbol(C_REQUEST, S_PTRACE, rec.arg[0])
                self._number(C_TARGET_PID, <int32_t>rec.arg[1])
                self._hexadecimal(C_ADDR, rec.arg[2])
            else:
                self._number(C_TARGET_PID, <int32_t>rec.arg[0])
        elif kind == K_MODULE:
            if rec.nr == 313:
                if self.strings[<int>PH_S_FD] != NULL:
                    self._raw(C_NAME, self.scratch, self._path(PH_S_FD, self.scratch, 4 * PH_PATH_MAX))
                self._symbol(C_FLAGS, S_MODULE, <uint32_t>rec.arg[2])
            elif rec.nr == 176:
                self._string(C_NAME, PH_S_NAME)
                self._symbol(C_FLAGS, S_OPEN, <uint32_t>rec.arg[1])
        elif kind == K_BPF:
            if rec.nr == 321:
                self._symbol(C_CMD, S_BPF, <uint32_t>rec.arg[0])
            elif rec.nr == 323:
                self._symbol(C_FLAGS, S_OPEN, <uint32_t>rec.arg[0])
        elif kind == K_RENAME:
            self._resolved(C_OLDPATH, PH_S_NAME, PH_S_BASE)
            self._resolved(C_NEWPATH, PH_S_NAME2, PH_S_BASE2)
            if rec.nr == 316:
                self._symbol(C_FLAGS, S_RENAME, <uint32_t>rec.arg[4])
        elif kind == K_UNLINK:
            self._resolved(C_NAME, PH_S_NAME, PH_S_BASE)
            if rec.nr == 263:
                self._symbol(C_FLAGS, S_UNLINK, <uint32_t>rec.arg[2])
        elif kind == K_LINK:
            if rec.nr == 88 or rec.nr == 266:
                self._string(C_TARGET, PH_S_NAME)
                self._resolved(C_LINKPATH, PH_S_NAME2, PH_S_BASE2)
            else:
                self._resolved(C_OLDPATH, PH_S_NAME, PH_S_BASE)
                self._resolved(C_NEWPATH, PH_S_NAME2, PH_S_BASE2)
                if rec.nr == 265:
                    self._symbol(C_FLAGS, S_AT, <uint32_t>rec.arg[4])
        elif kind == K_MKDIR:
            self._resolved(C_PATH, PH_S_NAME, PH_S_BASE)
            self._symbol(C_MODE, S_MODE, rec.arg[2 if rec.nr == 258 or rec.nr == 259 else 1] & 0o177777)
            if rec.nr == 133 or rec.nr == 259:
                self._decimal(C_DEV, <uint32_t>rec.arg[3 if rec.nr == 259 else 2])
        elif kind == K_CHMOD:
            self._resolved(C_FILENAME, PH_S_NAME, PH_S_BASE)
            if rec.nr == 90 or rec.nr == 91:
                self._symbol(C_MODE, S_MODE, rec.arg[1] & 0o7777)
            elif rec.nr == 268 or rec.nr == 452:
                self._symbol(C_MODE, S_MODE, rec.arg[2] & 0o7777)
            elif rec.nr == 92 or rec.nr == 93 or rec.nr == 94:
                self._number(C_UID, <int32_t>rec.arg[1])
                self._number(C_GID, <int32_t>rec.arg[2])
            elif rec.nr == 260:
                self._number(C_UID, <int32_t>rec.arg[2])
                self._number(C_GID, <int32_t>rec.arg[3])
        elif kind == K_CRED:
            self._cred(rec)
        elif kind == K_MEMFD:
            self._string(C_NAME, PH_S_NAME)
            self._symbol(C_FLAGS, S_MEMFD, <uint32_t>rec.arg[1])
        elif kind == K_EXEC:
            self._string(C_FILENAME, PH_S_NAME)
            if rec.nr == 322:
                self._symbol(C_FLAGS, S_AT, <uint32_t>rec.arg[4])
        if profile and (kind == K_OPEN or kind == K_SEND or kind == K_DUP):
            # bulk: neither our own writing nor a flood may fill the history
            if self._is_own(rec.pid):
                self.own_skipped += 1
                profile = 0
            elif not self._within_budget(rec, kind):
                profile = 0
        self._event(rec, s, self.kind_names[kind], name, rec.nr, profile)

    cdef void _cred(self, const ph_record* rec) noexcept nogil:
        cdef int64_t first = <int32_t>rec.arg[0], second = <int32_t>rec.arg[1]
        if rec.nr == 105 or rec.nr == 122:
            self._number(C_UID, first)
        elif rec.nr == 106 or rec.nr == 123:
            self._number(C_GID, first)
        elif rec.nr == 113 or rec.nr == 117:
            self._number(C_UID, first)
            self._number(C_EUID, second)
        elif rec.nr == 114 or rec.nr == 119:
            self._number(C_GID, first)
        elif rec.nr == 126:
            self._symbol(C_CAPABILITIES, S_CAPABILITIES, rec.cap_effective)
        elif rec.nr == 157:
            self._symbol(C_OPTION, S_PRCTL, <uint32_t>rec.arg[0])

    cdef void _hexadecimal(self, int column, uint64_t value) noexcept nogil:
        cdef char* to = self.arena + self.arena_used
        cdef int n
        if self.arena_used + 32 > ARENA:
            return
        n = snprintf(to, 32, b"0x%llx", <unsigned long long>value)
        self.arena_used += n
        self._words(column, to, n)

    cdef void _decimal(self, int column, uint64_t value) noexcept nogil:
        cdef char* to = self.arena + self.arena_used
        cdef int n
        if self.arena_used + 32 > ARENA:
            return
        n = snprintf(to, 32, b"%llu", <unsigned long long>value)
        self.arena_used += n
        self._words(column, to, n)

    cdef void _state_call(self, const ph_record* rec) noexcept nogil:
        """chdir, setsid …: a new state of the process, no event."""
        cdef state* old = self._who(rec)
        cdef state* s
        if old == NULL:
            return
        s = state_copy(old)
        if s == NULL:
            return
        self._details(s, rec)
        set_text(&s.cwd, self._path_text(PH_S_CWD))
        self.table.put(rec.pid, rec.start, s)

    cdef void _cgroup(self, const ph_record* rec) noexcept nogil:
        """A cgroup came or went; the record's own string is the path of that one, not of the process's."""
        cdef size_t n = self._path(PH_S_CGROUP, self.scratch, 4 * PH_PATH_MAX)
        cdef state* s
        self._raw(C_PATH, self.scratch, n)
        if rec.type == PH_CGROUP_MKDIR:
            self._group(rec.arg[0], 1)
        self.strings[<int>PH_S_CGROUP] = NULL
        s = self._who(rec)
        if rec.type == PH_CGROUP_MKDIR:
            self._event(rec, s, b"cgroup", b"cgroup_mkdir", TYPE_MKDIR, 1)
        else:
            self._event(rec, s, b"cgroup", b"cgroup_rmdir", TYPE_RMDIR, 1)

    # --- for the sensor ------------------------------------------------------------------------------------------------------------

    def feed_bytes(self, bytes record not None) -> bool:
        """One record from Python (tests, fuzzing); False when the batch is full."""
        return bool(self.feed(record, len(record)))

    def loss(self, int64_t ts_ns, int64_t count, str cause, int64_t since_ns, str extra=None) -> int:
        """Append a row of kind ``loss``, ``count`` -1 for unknown; returns its sequence number."""
        cdef bytes why = cause.encode()
        cdef bytes more = b"" if extra is None else extra.encode()
        self.sequence += 1
        self.events.words(C_KIND, b"loss", 4)
        self.events.words(C_TYPE, b"loss", 4)
        self.events.number(C_TS, ts_ns)
        self.events.number(C_SEQ, <int64_t>self.sequence)
        if count >= 0:
            self.events.number(C_COUNT, count)
        self.events.words(C_CAUSE, why, len(why))
        self.events.number(C_SINCE, since_ns)
        if extra is not None:
            self.events.words(C_EXTRA, more, len(more))
        self.events.next_row()
        return self.sequence

    def set_offset(self, int64_t offset) -> None:
        """Nanoseconds from boot time to UTC."""
        self.offset = offset

    def begin_drain(self, uint64_t now) -> None:
        """Nanoseconds since boot, against which the age of the records that follow is told; 0 for none."""
        self.now = now

    def take_lag(self) -> dict[int, int]:
        """By CPU, the age in nanoseconds of its oldest record when it was read, since the last call."""
        out = {cpu: self.lag[cpu] for cpu in range(1024) if self.lag[cpu]}
        memset(self.lag, 0, sizeof(self.lag))
        return out

    @property
    def rows(self) -> int:
        """Events in the batch so far."""
        return self.events.rows

    def take(self) -> tuple:
        """``(events, process states, event columns, process columns)`` of the batch, which is empty then."""
        rows = self.events.rows
        processes = self.states.rows
        events = self.events.finish()
        states = self.states.finish()
        self.batch += 1
        return rows, processes, events, states

    def take_candidates(self) -> list:
        """The candidates since the last call, in order."""
        out = self.candidates
        self.candidates = []
        return out


cdef uint32_t _fork_type(const ph_record* rec) noexcept nogil:
    """Number of the call that made a process, from its number of either word size."""
    if rec.flags & PH_F_COMPAT:
        return NR_FORK if rec.nr == 2 else NR_VFORK if rec.nr == 190 else NR_CLONE3 if rec.nr == NR_CLONE3 else NR_CLONE
    return NR_FORK if rec.nr == NR_FORK else NR_VFORK if rec.nr == NR_VFORK else NR_CLONE3 if rec.nr == NR_CLONE3 else NR_CLONE


def layout() -> dict:
    """Offsets in bytes of each structure's members as this decoder was compiled, and its size under the empty name."""
    cdef ph_record r
    cdef ph_fd* f = &r.fd
    cdef ph_task* t = &r.task
    cdef ph_str* s = &r.str[0]
    cdef char* at = <char*>&r
    cdef char* fd = <char*>f
    cdef char* task = <char*>t
    return {
        "ph_record": {
            "size": <char*>&r.size - at, "type": <char*>&r.type - at, "nr": <char*>&r.nr - at, "ts": <char*>&r.ts - at,
            "start": <char*>&r.start - at, "pid": <char*>&r.pid - at, "tid": <char*>&r.tid - at, "uid": <char*>&r.uid - at,
            "gid": <char*>&r.gid - at, "cap_permitted": <char*>&r.cap_permitted - at, "cap_effective": <char*>&r.cap_effective - at,
            "cap_inheritable": <char*>&r.cap_inheritable - at, "cgroup": <char*>&r.cgroup - at, "ret": <char*>&r.ret - at,
            "arg": <char*>&r.arg - at, "cpu": <char*>&r.cpu - at, "flags": <char*>&r.flags - at, "strings": <char*>&r.strings - at,
            "comm": <char*>&r.comm - at, "fd": fd - at, "task": task - at, "str": <char*>&r.str - at, "": sizeof(ph_record),
        },
        "ph_fd": {
            "num": <char*>&f.num - fd, "mode": <char*>&f.mode - fd, "ino": <char*>&f.ino - fd, "magic": <char*>&f.magic - fd,
            "open_flags": <char*>&f.open_flags - fd, "family": <char*>&f.family - fd, "sock_type": <char*>&f.sock_type - fd,
            "sock_state": <char*>&f.sock_state - fd, "proto": <char*>&f.proto - fd, "lport": <char*>&f.lport - fd,
            "rport": <char*>&f.rport - fd, "nlink": <char*>&f.nlink - fd, "laddr": <char*>&f.laddr - fd, "raddr": <char*>&f.raddr - fd,
            "": sizeof(ph_fd),
        },
        "ph_task": {
            "parent_start": <char*>&t.parent_start - task, "exe_ino": <char*>&t.exe_ino - task, "exe_ctime": <char*>&t.exe_ctime - task,
            "exe_mtime": <char*>&t.exe_mtime - task, "ppid": <char*>&t.ppid - task, "sid": <char*>&t.sid - task,
            "pgid": <char*>&t.pgid - task, "vpid": <char*>&t.vpid - task, "vpgid": <char*>&t.vpgid - task, "tty": <char*>&t.tty - task,
            "loginuid": <char*>&t.loginuid - task, "exe_mode": <char*>&t.exe_mode - task, "exe_uid": <char*>&t.exe_uid - task,
            "exe_gid": <char*>&t.exe_gid - task, "": sizeof(ph_task),
        },
        "ph_str": {
            "len": <char*>&s.len - <char*>s, "kind": <char*>&s.kind - <char*>s, "form": <char*>&s.form - <char*>s, "": sizeof(ph_str),
        },
    }
