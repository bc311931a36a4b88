# cython: language_level=3, boundscheck=False, wraparound=False
"""The process table: who lives, in which state, from whom it descends.

A **state** is one process between two of its changes. It is immutable once an event refers to it, counted by reference and shared: by events,
by its children (whose ``parent`` it stays, also when the parent ends or changes), by the table. The chain of parents is cut to
``ANCESTORS`` whenever it has grown to ``DEPTH_MAX``, so a process that respawns itself for ever takes no more memory than another.

The table is bounded (``bound`` living processes); who is refused is counted and stays UNKNOWN in its events.
"""

from __future__ import annotations

from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.stdio cimport snprintf
from libc.string cimport memcpy, memset, strlen

from phalanx.sensors.kernel._columns cimport Columns
from phalanx.sensors.kernel._text cimport text, text_bytes, text_drop, text_keep, text_str

from phalanx.model.columns import PROCESS_COLUMNS
from phalanx.model.process import Process
from phalanx.model.values import UNKNOWN

cdef enum:
    BUCKETS = 65536

cdef list _names = [c.name for c in PROCESS_COLUMNS]
cdef int P_ID = _names.index("id"), P_PID = _names.index("pid"), P_START = _names.index("start_ns"), P_PARENT = _names.index("parent")
cdef int P_VPID = _names.index("vpid"), P_PPID = _names.index("ppid"), P_SID = _names.index("sid"), P_PGID = _names.index("pgid")
cdef int P_VPGID = _names.index("vpgid"), P_NAME = _names.index("name"), P_EXE = _names.index("exe"), P_EXEPATH = _names.index("exepath")
cdef int P_ARGV = _names.index("argv"), P_CUT = _names.index("args_cut"), P_ENV = _names.index("env"), P_CWD = _names.index("cwd")
cdef int P_TTY = _names.index("tty"), P_UID = _names.index("uid"), P_GID = _names.index("gid"), P_USER = _names.index("user")
cdef int P_GROUP = _names.index("group"), P_HOME = _names.index("homedir"), P_SHELL = _names.index("shell")
cdef int P_LOGINUID = _names.index("loginuid"), P_LOGINUSER = _names.index("loginuser"), P_CAPP = _names.index("cap_permitted")
cdef int P_CAPE = _names.index("cap_effective"), P_CAPI = _names.index("cap_inheritable"), P_INO = _names.index("exe_ino")
cdef int P_CTIME = _names.index("exe_ctime_ns"), P_MTIME = _names.index("exe_mtime_ns"), P_UPPER = _names.index("exe_upper")
cdef int P_MEMFD = _names.index("exe_memfd"), P_WRITABLE = _names.index("exe_writable"), P_CONTAINER = _names.index("container_id")
cdef int P_CGROUP = _names.index("cgroup")


cdef int64_t _states = 0  # that live in all tables, batches and events


def living_states() -> int:
    """Process states in memory; what a test of leaks asks."""
    return _states


cdef state* state_new() noexcept nogil:
    global _states
    cdef state* s = <state*>calloc(1, sizeof(state))
    if s != NULL:
        _states += 1
        s.refs = 1
        s.upper = -1
        s.parent_is = PARENT_UNKNOWN
    return s


cdef state* state_copy(const state* old) noexcept nogil:
    """A state like ``old`` that no event refers to yet."""
    global _states
    cdef state* s = <state*>malloc(sizeof(state))
    if s == NULL:
        return NULL
    _states += 1
    memcpy(s, old, sizeof(state))
    s.refs = 1
    s.python = NULL
    s.batch = 0
    text_keep(s.name)
    text_keep(s.exe)
    text_keep(s.exepath)
    text_keep(s.argv)
    text_keep(s.env)
    text_keep(s.cwd)
    text_keep(s.user)
    text_keep(s.group)
    text_keep(s.home)
    text_keep(s.shell)
    text_keep(s.loginuser)
    text_keep(s.container)
    text_keep(s.cgroup)
    if s.parent != NULL:
        s.parent.refs += 1
    return s


cdef void state_keep(state* s) noexcept nogil:
    if s != NULL:
        s.refs += 1


cdef void state_drop(state* s) noexcept nogil:
    """Give up one reference; a chain of parents is followed in a loop, not by recursion."""
    global _states
    cdef state* parent
    while s != NULL:
        s.refs -= 1
        if s.refs:
            return
        text_drop(s.name)
        text_drop(s.exe)
        text_drop(s.exepath)
        text_drop(s.argv)
        text_drop(s.env)
        text_drop(s.cwd)
        text_drop(s.user)
        text_drop(s.group)
        text_drop(s.home)
        text_drop(s.shell)
        text_drop(s.loginuser)
        text_drop(s.container)
        text_drop(s.cgroup)
        if s.python != NULL:
            with gil:
                Py_XDECREF(s.python)
        parent = s.parent
        free(s)
        _states -= 1
        s = parent


cdef void set_text(text** place, text* value) noexcept nogil:
    """Put ``value``, whose reference is handed over."""
    text_drop(place[0])
    place[0] = value


cdef void share_text(text** place, text* value) noexcept nogil:
    """Put ``value`` beside its other owners."""
    text_keep(value)
    text_drop(place[0])
    place[0] = value


cdef inline void _put(Columns columns, int index, const text* t) noexcept nogil:
    if t != NULL:
        columns.words(index, text_bytes(t), t.size)


cdef inline void _pid(Columns columns, int index, uint32_t value) noexcept nogil:
    if value:
        columns.number(index, value)


cdef object _absent(uint32_t value):
    return value if value else None


cdef tuple _strings(const text* t, uint32_t items):
    """The strings of a list text, each ended by NUL."""
    if t == NULL or items == 0:
        return ()
    cdef list parts = text_str(t).split("\0")
    return tuple(parts[:items])


cdef class ProcessTable:
    """Living processes by pid; see the module."""

    def __cinit__(self, str boot, uint32_t bound=65536):
        cdef bytes ascii = boot[:8].encode("ascii")
        self.boot = boot[:8]
        memset(self.boot_ascii, 0, 16)
        memcpy(self.boot_ascii, <const char*>ascii, len(ascii))
        self.bound = bound
        self.buckets = <entry**>calloc(BUCKETS, sizeof(entry*))
        if self.buckets == NULL:
            raise MemoryError

    def __dealloc__(self):
        cdef uint32_t index
        cdef entry* e
        cdef entry* after
        if self.buckets == NULL:
            return
        for index in range(BUCKETS):
            e = self.buckets[index]
            while e != NULL:
                after = e.next
                state_drop(e.now)
                free(e)
                e = after
        free(self.buckets)

    cdef entry* find_pid(self, uint32_t pid) noexcept nogil:
        cdef entry* e = self.buckets[pid & (BUCKETS - 1)]
        while e != NULL and e.pid != pid:
            e = e.next
        return e

    cdef entry* find(self, uint32_t pid, uint64_t start) noexcept nogil:
        """The process (pid, start); NULL when it is not in the table."""
        cdef entry* e = self.find_pid(pid)
        if e != NULL and e.start != start:
            return NULL
        return e

    cdef entry* put(self, uint32_t pid, uint64_t start, state* s) noexcept nogil:
        """Make ``s`` the present state of (pid, start), handing over its reference; NULL (and ``s`` dropped) when the table is full."""
        cdef entry* e = self.find_pid(pid)
        if e == NULL:
            if self.living >= self.bound:
                self.refused += 1
                state_drop(s)
                return NULL
            e = <entry*>malloc(sizeof(entry))
            if e == NULL:
                self.refused += 1
                state_drop(s)
                return NULL
            e.pid = pid
            e.next = self.buckets[pid & (BUCKETS - 1)]
            self.buckets[pid & (BUCKETS - 1)] = e
            self.living += 1
        else:
            state_drop(e.now)
        e.start = start
        e.now = s
        return e

    cdef void remove(self, uint32_t pid, uint64_t start) noexcept nogil:
        """Forget a process that ended; its states live on in what refers to them."""
        cdef entry** place = &self.buckets[pid & (BUCKETS - 1)]
        cdef entry* e
        while place[0] != NULL:
            e = place[0]
            if e.pid == pid:
                if e.start == start:
                    place[0] = e.next
                    state_drop(e.now)
                    free(e)
                    self.living -= 1
                return
            place = &e.next

    cdef void set_parent(self, state* s, state* parent) noexcept nogil:
        """Give ``s`` its parent (NULL: none), cutting a chain that has grown too long."""
        cdef state* top
        cdef state* link
        cdef state* copy
        cdef int kept
        if s.parent != NULL:
            state_drop(s.parent)
            s.parent = NULL
        if parent == NULL:
            s.parent_is = PARENT_NONE
            s.depth = 0
            return
        state_keep(parent)
        s.parent = parent
        s.parent_is = PARENT_KNOWN
        s.depth = parent.depth + 1
        if s.depth <= DEPTH_MAX:
            return
        # copy the nearest ancestors and leave the rest to its other owners
        link = s
        for kept in range(ANCESTORS):
            top = link.parent
            if top == NULL:
                break
            copy = state_copy(top)
            if copy == NULL:
                break
            link.parent = copy
            link.depth = ANCESTORS - kept
            state_drop(top)
            link = copy
        link.depth = 0
        link.parent_is = PARENT_NONE
        top = link.parent
        link.parent = NULL
        state_drop(top)

    cdef int32_t row(self, state* s, Columns columns, uint64_t batch) noexcept nogil:
        """Row of ``s`` in the process table of this batch, written when it is not there yet, its ancestors first."""
        cdef int32_t parent = -2
        cdef char text_id[64]
        if s.batch == batch:
            return s.row
        if s.parent_is == PARENT_UNKNOWN:
            parent = -1
        elif s.parent != NULL:  # the chain is no longer than DEPTH_MAX
            parent = self.row(s.parent, columns, batch)
        snprintf(text_id, 64, "%s:%u:%llu", self.boot_ascii, s.pid, <unsigned long long>s.start)
        columns.words(P_ID, text_id, strlen(text_id))
        columns.number(P_PID, s.pid)
        columns.number(P_START, <int64_t>s.start)
        if parent != -2:
            columns.number(P_PARENT, parent)
        _put(columns, P_NAME, s.name)
        columns.number(P_UID, s.uid)
        columns.number(P_GID, s.gid)
        _put(columns, P_USER, s.user)
        _put(columns, P_GROUP, s.group)
        _put(columns, P_HOME, s.home)
        _put(columns, P_SHELL, s.shell)
        columns.number(P_CAPP, <int64_t>s.cap_permitted)
        columns.number(P_CAPE, <int64_t>s.cap_effective)
        columns.number(P_CAPI, <int64_t>s.cap_inheritable)
        _put(columns, P_LOGINUSER, s.loginuser)
        _put(columns, P_CONTAINER, s.container)
        _put(columns, P_CGROUP, s.cgroup)
        if s.detailed:
            _pid(columns, P_VPID, s.vpid)
            _pid(columns, P_PPID, s.ppid)
            columns.number(P_SID, s.sid)
            columns.number(P_PGID, s.pgid)
            columns.number(P_VPGID, s.vpgid)
            columns.number(P_TTY, s.tty)
            columns.number(P_LOGINUID, <int64_t><int32_t>s.loginuid)
        if s.exepath != NULL:
            _put(columns, P_EXEPATH, s.exepath)
            columns.number(P_INO, <int64_t>s.exe_ino)
            columns.number(P_CTIME, <int64_t>s.exe_ctime)
            columns.number(P_MTIME, <int64_t>s.exe_mtime)
            if s.upper >= 0:
                columns.number(P_UPPER, s.upper)
        _put(columns, P_EXE, s.exe)
        _put(columns, P_CWD, s.cwd)
        columns.number(P_MEMFD, s.memfd)
        columns.number(P_WRITABLE, s.writable)
        columns.number(P_CUT, s.args_cut)
        if s.argv != NULL:
            columns.list_of_words(P_ARGV, text_bytes(s.argv), s.argv.size, s.argc)
        if s.env != NULL:
            columns.list_of_words(P_ENV, text_bytes(s.env), s.env.size, s.envc)
        s.batch = batch
        s.row = <int32_t>columns.rows
        columns.next_row()
        return s.row

    cdef object process(self, state* s):
        """The :class:`Process` of ``s``, made once."""
        cdef object parent
        if s.python != NULL:
            return <object>s.python
        if s.parent_is == PARENT_UNKNOWN:
            parent = UNKNOWN
        elif s.parent == NULL:
            parent = None
        else:
            parent = self.process(s.parent)
        made = Process(
            id=f"{self.boot}:{s.pid}:{s.start}",
            pid=s.pid,
            start_ns=s.start,
            parent=parent,
            name=text_str(s.name) or "",
            uid=s.uid,
            gid=s.gid,
            user=text_str(s.user),
            group=text_str(s.group),
            homedir=text_str(s.home),
            shell=text_str(s.shell),
            cap_permitted=s.cap_permitted,
            cap_effective=s.cap_effective,
            cap_inheritable=s.cap_inheritable,
            container_id=text_str(s.container) or "host",
            cgroup=text_str(s.cgroup) or "",
            vpid=_absent(s.vpid),
            ppid=_absent(s.ppid),
            sid=s.sid if s.detailed else None,
            pgid=s.pgid if s.detailed else None,
            vpgid=s.vpgid if s.detailed else None,
            tty=s.tty,
            loginuid=<int32_t>s.loginuid if s.detailed else None,
            loginuser=text_str(s.loginuser),
            exepath=text_str(s.exepath),
            exe_ino=s.exe_ino if s.exepath != NULL else None,
            exe_ctime_ns=s.exe_ctime if s.exepath != NULL else None,
            exe_mtime_ns=s.exe_mtime if s.exepath != NULL else None,
            exe_upper=None if s.upper < 0 or s.exepath == NULL else bool(s.upper),
            exe=text_str(s.exe),
            cwd=text_str(s.cwd),
            exe_memfd=bool(s.memfd),
            exe_writable=bool(s.writable),
            args_cut=bool(s.args_cut),
            argv=_strings(s.argv, s.argc),
            env=_strings(s.env, s.envc),
        )
        Py_INCREF(made)
        s.python = <PyObject*>made
        return made

    def processes(self):
        """A :class:`Process` for each that lives, by pid."""
        cdef uint32_t index
        cdef entry* e
        cdef list out = []
        for index in range(BUCKETS):
            e = self.buckets[index]
            while e != NULL:
                out.append(self.process(e.now))
                e = e.next
        out.sort(key=lambda p: p.pid)
        return out
