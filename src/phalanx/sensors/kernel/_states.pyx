# cython: language_level=3, boundscheck=False, wraparound=False
"""What records say of processes: strings found and turned into text, caches asked, the process table kept true.

A record is hostile as far as its strings go: lengths are checked against the record, text is made valid, every buffer is bounded.
Python is entered only on the misses of a cache (names of users, the container of a cgroup).
"""

from __future__ import annotations

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, memset, strlen

from phalanx.sensors.kernel._columns cimport Columns
from phalanx.sensors.kernel._record cimport *
from phalanx.sensors.kernel._table cimport *
from phalanx.sensors.kernel._text cimport *


cdef class StateDecoder:
    """Keeps the process table; :class:`phalanx.sensors.kernel._decode.Decoder` adds the events. Not for two threads at once.

    ``owner`` answers the misses: ``names(container, uid, gid, loginuid, pid)``, ``cgroup(id, path | None)``, ``cgroup_id(path)``, ``arguments(pid, start)``,
    ``facts(pid)``, ``container(id)``.
    """

    def __cinit__(self, object owner, str agent, str boot, uint32_t processes=65536, uint32_t rows=16384, size_t bytes_=8 << 20, uint64_t sequence=0):
        self.owner = owner
        self.agent = agent
        self.table = ProcessTable(boot, processes)
        self.events = Columns("event")
        self.states = Columns("process")
        self.candidates = []
        self.batch = 1
        self.sequence = sequence
        self.row_bound = rows
        self.byte_bound = bytes_
        self.cells = <cell*>calloc(CELLS, sizeof(cell))
        self.arena = <char*>malloc(ARENA)
        self.scratch = <char*>malloc(4 * PH_PATH_MAX)
        self.groups = <group**>calloc(4096, sizeof(group*))
        if self.cells == NULL or self.arena == NULL or self.scratch == NULL or self.groups == NULL:
            raise MemoryError

    def __dealloc__(self):
        if self.groups != NULL:
            self._forget_groups()
            free(self.groups)
        free(self.cells)
        free(self.arena)
        free(self.scratch)

    # --- cells -----------------------------------------------------------------------------------------------------

    cdef void _number(self, int column, int64_t value) noexcept nogil:
        cdef cell* c
        if self.used < CELLS:
            c = self.cells + self.used
            c.column = column
            c.is_text = 0
            c.value = value
            self.used += 1

    cdef void _words(self, int column, const char* ready, size_t size) noexcept nogil:
        cdef cell* c
        if ready != NULL and self.used < CELLS:
            c = self.cells + self.used
            c.column = column
            c.is_text = 1
            c.words = ready
            c.size = <uint32_t>size
            self.used += 1

    cdef void _constant(self, int column, const char* ready) noexcept nogil:
        self._words(column, ready, strlen(ready))

    cdef void _raw(self, int column, const char* raw, size_t size) noexcept nogil:
        """A text cell of bytes from the kernel, copied as hostile text."""
        cdef char* to = self.arena + self.arena_used
        cdef size_t n = hostile_copy(to, ARENA - self.arena_used, raw, size)
        self.arena_used += n
        self._words(column, to, n)

    # --- strings of a record ------------------------------------------------------------------------------------------

    cdef int _index_strings(self, const ph_record* rec) noexcept nogil:
        """Find the strings by what they are; 0 when the record does not add up."""
        cdef uint32_t index, kind
        cdef size_t at = sizeof(ph_record)
        memset(self.strings, 0, sizeof(self.strings))
        if rec.strings > PH_STRINGS:
            return 0
        for index in range(rec.strings):
            kind = rec.str[index].kind
            if at + rec.str[index].len > rec.size or kind >= NAMES:
                return 0
            self.strings[kind] = <const char*>rec + at
            self.lengths[kind] = rec.str[index].len
            self.forms[kind] = rec.str[index].form
            at += rec.str[index].len
        return 1

    cdef size_t _path(self, int kind, char* to, size_t room) noexcept nogil:
        """The path string ``kind`` turned round, as raw bytes without NUL at ``to``; 0 when there is none."""
        cdef const char* source = self.strings[kind]
        cdef size_t size = self.lengths[kind], out = 0, end, begin, n
        if source == NULL:
            return 0
        if self.forms[kind] == PH_FORM_PLAIN:
            n = size if size < room else room
            memcpy(to, source, n)
            return n
        if self.forms[kind] == PH_FORM_CUT_PATH and room >= 4:
            memcpy(to, b"...", 3)
            out = 3
        if size == 0 and out == 0:
            to[0] = c'/'
            return 1
        end = size
        while end > 0:
            end -= 1  # the NUL of the component
            begin = end
            while begin > 0 and source[begin - 1] != 0:
                begin -= 1
            n = end - begin
            if out + n + 1 > room:
                break
            to[out] = c'/'
            memcpy(to + out + 1, source + begin, n)
            out += n + 1
            end = begin
        return out

    cdef text* _path_text(self, int kind) noexcept nogil:
        cdef size_t n
        if self.strings[kind] == NULL:
            return NULL
        n = self._path(kind, self.scratch, 4 * PH_PATH_MAX)
        return text_raw(self.scratch, n)

    # --- caches that ask Python on a miss --------------------------------------------------------------------------------

    cdef void _forget_groups(self) noexcept nogil:
        cdef int index
        cdef group* g
        cdef group* after
        for index in range(4096):
            g = self.groups[index]
            while g != NULL:
                after = g.next
                text_drop(g.path)
                text_drop(g.container)
                free(g)
                g = after
            self.groups[index] = NULL
        self.group_count = 0

    cdef group* _group(self, uint64_t id, int named) noexcept nogil:
        """The cgroup ``id``; ``named``: this record carries its path."""
        cdef group** bucket = &self.groups[(id ^ (id >> 12)) & 4095]
        cdef group* g = bucket[0]
        cdef size_t n
        cdef const char* path = NULL
        while g != NULL and g.id != id:
            g = g.next
        if g != NULL:
            return g
        if self.group_count >= 65536:
            self._forget_groups()
            bucket = &self.groups[(id ^ (id >> 12)) & 4095]
        g = <group*>calloc(1, sizeof(group))
        if g == NULL:
            return NULL
        g.id = id
        n = 0
        if named and self.strings[<int>PH_S_CGROUP] != NULL:
            n = self._path(PH_S_CGROUP, self.scratch, 4 * PH_PATH_MAX)
        with gil:
            self._ask_group(g, n)
        g.next = bucket[0]
        bucket[0] = g
        self.group_count += 1
        return g

    cdef int _ask_group(self, group* g, size_t n) except -1:
        cdef text* known = NULL
        path = None
        if n:
            known = text_raw(self.scratch, n)
            path = text_str(known)
            text_drop(known)
        path, container = self.owner.cgroup(g.id, path)
        g.path = text_of(path)
        g.container = text_of(container)
        return 0

    cdef int _ask_names(self, state* s) except -1:
        user, home, shell, group_name, login = self.owner.names(
            text_str(s.container) or "host", s.uid, s.gid, <int32_t>s.loginuid if s.detailed else -1, s.pid
        )
        set_text(&s.user, text_of(user))
        set_text(&s.home, text_of(home))
        set_text(&s.shell, text_of(shell))
        set_text(&s.group, text_of(group_name))
        set_text(&s.loginuser, text_of(login))
        return 0

    cdef void _name(self, state* s, const state* like) noexcept nogil:
        """Names of user and group, from ``like`` when its ids mean the same."""
        if (
            like != NULL and like.user != NULL and like.uid == s.uid and like.gid == s.gid and like.loginuid == s.loginuid
            and like.detailed == s.detailed and like.container == s.container
        ):
            share_text(&s.user, like.user)
            share_text(&s.home, like.home)
            share_text(&s.shell, like.shell)
            share_text(&s.group, like.group)
            share_text(&s.loginuser, like.loginuser)
            return
        with gil:
            self._ask_names(s)

    # --- states ------------------------------------------------------------------------------------------------------------

    cdef void _header(self, state* s, const ph_record* rec) noexcept nogil:
        """What every record says of its process."""
        s.pid = rec.pid
        s.start = rec.start
        s.uid = rec.uid
        s.gid = rec.gid
        s.cap_permitted = rec.cap_permitted
        s.cap_effective = rec.cap_effective
        s.cap_inheritable = rec.cap_inheritable
        if s.name == NULL or memcmp(s.comm, rec.comm, 16) != 0:
            memcpy(s.comm, rec.comm, 16)
            set_text(&s.name, text_raw(rec.comm, bounded(rec.comm, 16)))

    cdef void _place(self, state* s, const ph_record* rec) noexcept nogil:
        """Its cgroup and container."""
        cdef group* g
        if s.cgroup != NULL and s.cgroup_id == rec.cgroup:
            return
        g = self._group(rec.cgroup, 1)
        if g == NULL:
            return
        s.cgroup_id = rec.cgroup
        share_text(&s.cgroup, g.path)
        share_text(&s.container, g.container)

    cdef void _details(self, state* s, const ph_record* rec) noexcept nogil:
        s.detailed = 1
        s.ppid = rec.task.ppid
        s.sid = rec.task.sid
        s.pgid = rec.task.pgid
        s.vpid = rec.task.vpid
        s.vpgid = rec.task.vpgid
        s.tty = rec.task.tty
        s.loginuid = rec.task.loginuid

    cdef void _program(self, state* s, const ph_record* rec) noexcept nogil:
        """The executed file."""
        cdef text* path = self._path_text(PH_S_EXE)
        cdef uint32_t mode = rec.task.exe_mode
        s.exe_ino = rec.task.exe_ino
        s.exe_ctime = rec.task.exe_ctime
        s.exe_mtime = rec.task.exe_mtime
        s.upper = -1
        if rec.flags & PH_F_OVERLAY:
            s.upper = 1 if rec.flags & PH_F_UPPER else 0
        s.memfd = 0
        if path != NULL and rec.flags & PH_F_DELETED and path.size > 6 and memcmp(text_bytes(path), b"memfd:", 6) == 0:
            s.memfd = 1  # a path on a disk begins with a slash
        set_text(&s.exepath, path)
        # CAP_DAC_OVERRIDE is bit 1; the file's own bits otherwise
        if rec.flags & PH_F_EXE_RDONLY:
            s.writable = 0
        elif rec.cap_effective & 2:
            s.writable = 1
        elif rec.task.exe_uid == rec.uid:
            s.writable = (mode & 0o200) != 0
        elif rec.task.exe_gid == rec.gid:
            s.writable = (mode & 0o020) != 0
        else:
            s.writable = (mode & 0o002) != 0

    cdef void _arguments(self, state* s, const char* raw, size_t size, const char* env, size_t env_size, int cut) noexcept nogil:
        """``argv`` and environment as the kernel keeps them: strings that end with NUL."""
        cdef size_t first = 0, at, end, out, value, k
        cdef uint32_t items = 0
        cdef int secret
        s.args_cut = 1 if cut else 0
        while first < size and raw[first] != 0:
            first += 1
        set_text(&s.exe, text_raw(raw, first))
        first += 1
        if first > size:
            first = size
        for at in range(first, size):
            if raw[at] == 0:
                items += 1
        if size > first and raw[size - 1] != 0:
            items += 1
        set_text(&s.argv, text_raw(raw + first, size - first))
        s.argc = items
        # environment: values of names that look secret are masked before anything keeps them
        items = 0
        at = 0
        out = 0
        while at < env_size:
            end = at
            while end < env_size and env[end] != 0:
                end += 1
            value = at
            while value < end and env[value] != c'=':
                value += 1
            if out + (end - at) + 8 > 2 * PH_PATH_MAX:
                break
            if value < end and _secret(env + at, value - at):
                memcpy(self.scratch + out, env + at, value - at)
                out += value - at
                memcpy(self.scratch + out, b"=***", 4)
                out += 4
            else:
                memcpy(self.scratch + out, env + at, end - at)
                out += end - at
            self.scratch[out] = 0
            out += 1
            items += 1
            at = end + 1
        set_text(&s.env, text_raw(self.scratch, out))
        s.envc = items

    cdef state* _who(self, const ph_record* rec) noexcept nogil:
        """The present state of who did it, brought up to date; NULL when the table is full. Borrowed from the table."""
        cdef entry* e = self.table.find(rec.pid, rec.start)
        cdef state* s
        cdef state* old
        if e == NULL:
            return self._adopt(rec)
        old = e.now
        if (
            old.uid == rec.uid and old.gid == rec.gid and old.cap_effective == rec.cap_effective and old.cap_permitted == rec.cap_permitted
            and old.cap_inheritable == rec.cap_inheritable and old.cgroup_id == rec.cgroup and memcmp(old.comm, rec.comm, 16) == 0
        ):
            return old
        s = state_copy(old)
        if s == NULL:
            return old
        self._header(s, rec)
        self._place(s, rec)
        self._name(s, old)
        e = self.table.put(rec.pid, rec.start, s)
        return NULL if e == NULL else e.now

    cdef state* _adopt(self, const ph_record* rec) noexcept nogil:
        """A process whose birth was not seen: what the record says, and /proc while it lives; its parent stays UNKNOWN."""
        cdef state* s = state_new()
        cdef entry* e
        if s == NULL:
            return NULL
        self.adopted += 1
        self._header(s, rec)
        if rec.type == PH_FORK or rec.type == PH_EXEC or rec.type == PH_EXIT or rec.type == PH_TASK:
            self._details(s, rec)
            e = self.table.find(rec.task.ppid, rec.task.parent_start)
            if e != NULL:
                self.table.set_parent(s, e.now)
            elif rec.task.ppid == 0:
                self.table.set_parent(s, NULL)
        self._place(s, rec)
        with gil:
            self._ask_arguments(s)
        self._name(s, NULL)
        e = self.table.put(rec.pid, rec.start, s)
        return NULL if e == NULL else e.now

    cdef int _ask_arguments(self, state* s) except -1:
        cdef bytes argv, env
        argv, env, exe, cwd = self.owner.arguments(s.pid, s.start)
        self._arguments(s, argv, len(argv), env, len(env), len(argv) >= PH_PATH_MAX or len(env) >= PH_PATH_MAX)
        if exe is not None and s.exepath == NULL:
            set_text(&s.exepath, text_of(exe))
        if cwd is not None and s.cwd == NULL:
            set_text(&s.cwd, text_of(cwd))
        return 0

    cdef state* _exec(self, const ph_record* rec) noexcept nogil:
        cdef entry* e = self.table.find(rec.pid, rec.start)
        cdef entry* above
        cdef state* old = NULL
        cdef state* s
        if e != NULL:
            old = e.now
            s = state_copy(old)
        else:
            s = state_new()
        if s == NULL:
            return NULL
        self._header(s, rec)
        self._details(s, rec)
        self._place(s, rec)
        self._program(s, rec)
        set_text(&s.cwd, self._path_text(PH_S_CWD))
        self._arguments(
            s, self.strings[<int>PH_S_ARGV], self.lengths[<int>PH_S_ARGV] if self.strings[<int>PH_S_ARGV] != NULL else 0,
            self.strings[<int>PH_S_ENV], self.lengths[<int>PH_S_ENV] if self.strings[<int>PH_S_ENV] != NULL else 0, rec.flags & PH_F_ARGS_CUT,
        )
        if s.parent != NULL:
            # who made it, in the present state if it still lives; a later foster parent (init) is no ancestor
            above = self.table.find(s.parent.pid, s.parent.start)
            if above != NULL and above.now != s.parent:
                self.table.set_parent(s, above.now)
        elif s.parent_is == PARENT_UNKNOWN:
            above = self.table.find(rec.task.ppid, rec.task.parent_start)
            if above != NULL:
                self.table.set_parent(s, above.now)
        # in a container, an exec may be the first after the root changed, and with it the files that name users
        self._name(s, old if s.container != NULL and _on_host(s.container) else NULL)
        e = self.table.put(rec.pid, rec.start, s)
        return NULL if e == NULL else e.now

    cdef state* _fork(self, const ph_record* rec) noexcept nogil:
        cdef entry* e = self.table.find(rec.pid, rec.start)
        cdef entry* above
        cdef state* s
        if e != NULL:
            return e.now  # the snapshot was faster
        above = self.table.find(<uint32_t>rec.arg[1], rec.arg[2])
        if above == NULL:
            return self._adopt(rec)
        s = state_copy(above.now)
        if s == NULL:
            return NULL
        self._header(s, rec)
        self._details(s, rec)
        self._place(s, rec)
        self.table.set_parent(s, above.now)
        self._name(s, above.now)
        e = self.table.put(rec.pid, rec.start, s)
        return NULL if e == NULL else e.now

    cdef void _task(self, const ph_record* rec) noexcept nogil:
        """A process that was there before the sensor."""
        cdef state* s
        if self.table.find(rec.pid, rec.start) != NULL:
            return
        s = state_new()
        if s == NULL:
            return
        self._header(s, rec)
        self._details(s, rec)
        self._place(s, rec)
        if self.strings[<int>PH_S_EXE] != NULL:
            self._program(s, rec)
        set_text(&s.cwd, self._path_text(PH_S_CWD))
        if not rec.flags & PH_F_KTHREAD:
            with gil:
                self._ask_arguments(s)
        self._name(s, NULL)
        s.exe_ino = rec.task.exe_ino
        # until `link` has run, the start of its parent waits here
        s.batch = rec.task.parent_start
        self.table.put(rec.pid, rec.start, s)

    cdef void _link_one(self, state* s, int depth):
        cdef entry* e
        cdef uint64_t parent_start = s.batch
        if s.parent_is != PARENT_UNKNOWN or s.python != NULL:
            return
        s.batch = 0
        if s.ppid == 0:
            self.table.set_parent(s, NULL)
            return
        e = self.table.find(s.ppid, parent_start)
        if e == NULL:
            # some kernels keep a process back from the iterator; /proc may show it
            self._from_proc(s.ppid, parent_start)
            e = self.table.find(s.ppid, parent_start)
        if e == NULL or e.now == s:
            return
        if depth < 256:
            self._link_one(e.now, depth + 1)
        self.table.set_parent(s, e.now)

    cdef int _from_proc(self, uint32_t pid, uint64_t start) except -1:
        cdef ph_record rec
        cdef bytes name
        cdef entry* e
        fact = self.owner.facts(pid)
        if fact is None or abs(fact.start_ns - <int64_t>start) > 20000000:
            return 0  # gone, or another with its pid
        memset(&rec, 0, sizeof(rec))
        memset(self.strings, 0, sizeof(self.strings))
        name = fact.name
        memcpy(rec.comm, <const char*>name, min(len(name), 15))
        rec.type = PH_TASK
        rec.pid = pid
        rec.start = start
        rec.uid = fact.uid
        rec.gid = fact.gid
        rec.cap_permitted = fact.cap_permitted
        rec.cap_effective = fact.cap_effective
        rec.cap_inheritable = fact.cap_inheritable
        rec.cgroup = self.owner.cgroup_id(fact.cgroup)
        rec.task.ppid = fact.ppid
        rec.task.sid = fact.sid
        rec.task.pgid = fact.pgid
        rec.task.vpid = fact.vpid
        rec.task.vpgid = fact.vpgid
        rec.task.tty = fact.tty
        rec.task.loginuid = fact.loginuid
        if fact.ppid:
            e = self.table.find_pid(fact.ppid)
            if e != NULL:
                rec.task.parent_start = e.start
        self._task(&rec)
        return 0

    def link(self):
        """After the snapshot: give every process its parent."""
        cdef uint32_t index
        cdef entry* e
        for index in range(65536):
            e = self.table.buckets[index]
            while e != NULL:
                self._link_one(e.now, 0)
                e = e.next


cdef int _on_host(const text* container) noexcept nogil:
    return container.size == 4 and memcmp(text_bytes(container), b"host", 4) == 0


cdef size_t bounded(const char* raw, size_t most) noexcept nogil:
    cdef size_t n = 0
    while n < most and raw[n] != 0:
        n += 1
    return n


cdef const char** _SECRETS = [b"SECRET", b"TOKEN", b"PASSW", b"CREDENTIAL", b"_KEY", b"APIKEY", b"PRIVATE", b"AUTHORIZATION", b"COOKIE"]


cdef int _secret(const char* name, size_t size) noexcept nogil:
    """True when the value of the environment variable ``name`` is to be masked."""
    cdef int which
    cdef size_t at, k, n
    cdef char here
    for which in range(9):
        n = strlen(_SECRETS[which])
        for at in range(size):
            if at + n > size:
                break
            k = 0
            while k < n:
                here = name[at + k]
                if c'a' <= here <= c'z':
                    here -= 32
                if here != _SECRETS[which][k]:
                    break
                k += 1
            if k == n:
                return 1
    return 0
