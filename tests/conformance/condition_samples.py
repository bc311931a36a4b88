"""Random events and random conditions over one small vocabulary, so that comparisons hold often."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import strategies as st

from phalanx.model.container import Container, Mount, Pod
from phalanx.model.event import (
    Bpf,
    Chmod,
    Connect,
    Cred,
    Dup,
    Event,
    Exec,
    Exit,
    Link,
    Loss,
    Mkdir,
    Open,
    Ptrace,
    Rename,
    Send,
    Socket,
    Unlink,
)
from phalanx.model.event import (
    Mount as MountEvent,
)
from phalanx.model.process import Descriptor, Process
from phalanx.model.values import UNKNOWN

HOST, AGENT, BOOT = "node", "0123456789abcdef", "aabbccdd-0000"
START = 1_700_000_000_000_000_000
NAMES = ("bash", "sh", "nginx", "Nginx", "é\n", "", "a.b")
PATHS = (
    "/",
    "/etc/passwd",
    "/etc//passwd",
    "/etc",
    "/tmp/a.b",
    "/tmp/x y",
    "etc/passwd",
    "/ETC/Passwd",
    "/tmp/ü/[x]",
    "",
)
WORDS = (
    *NAMES,
    *PATHS,
    "<NA>",
    "host",
    "-c",
    "-e sh",
    "O_CREAT|O_WRONLY",
    "CAP_KILL",
    "SUCCESS",
    "ENOENT",
    "abc",
    "none",
    "execve",
    "open",
    "4",
    "f",
    "9",
)
ADDRESSES = ("10.1.2.3", "10.1.2.4", "127.0.0.1", "192.168.7.9", "fe80::1", "::1")
NETWORKS = (
    *ADDRESSES,
    "10.0.0.0/8",
    "10.1.2.0/24",
    "10.1.2.2/31",
    "127.0.0.1/8",
    "0.0.0.0/0",
    "192.168.0.0/20",
    "::/0",
)
NUMBERS = (-1, 0, 1, 2, 9, 22, 443, 1000)


class Sampler:
    """Random events from one number: quicker than drawing each of their hundred attributes."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def of(self, *values: Any) -> Any:
        return self.random.choice(values)

    def some(self, *values: Any) -> Any:
        """One of the values or, one time in four, nothing."""
        return None if self.random.random() < 0.25 else self.random.choice(values)

    def many(self, most: int, *values: Any) -> tuple[Any, ...]:
        return tuple(self.random.choice(values) for _ in range(self.random.randint(0, most)))

    def name(self) -> Any:
        return self.of(*NAMES)

    def path(self) -> Any:
        return self.some(*PATHS)

    def truth(self) -> bool:
        return self.random.random() < 0.5

    def container(self) -> Container:
        sources = list(dict.fromkeys(self.many(2, *PATHS)))
        return Container(
            id="abc",
            full_id="abcabc",
            since_ns=START - 10,
            name=self.name(),
            runtime=self.of("containerd", ""),
            image=self.name(),
            image_repository=self.some(*NAMES),
            image_tag=self.some(*NAMES),
            privileged=self.some(True, False),
            start_ns=self.some(START - 5),
            mounts=tuple(
                Mount(source=source, destination=self.of(*PATHS), mode=self.name(), writable=self.truth())
                for source in sources
            ),
            pod=self.some(
                Pod(
                    name=self.name(),
                    namespace=self.name(),
                    labels={key: self.name() for key in self.many(2, "app", "a/b")},
                )
            ),
        )

    def process(self, container_id: str) -> Process:
        parent: Any = self.of(None, None, UNKNOWN)
        for level in range(self.random.randint(1, 4)):
            parent = Process(
                id=f"aabbccdd:{10 + level}:{self.random.randint(1, 2**40)}",  # type: ignore[arg-type]
                pid=self.of(1, 9, 10 + level),
                start_ns=level + 1,
                vpid=self.some(1, 9),
                ppid=self.some(9),
                sid=self.some(1, 9),
                vpgid=self.some(1, 9),
                name=self.name(),
                exe=self.path(),
                exepath=self.path(),
                argv=self.many(3, "-c", "-e sh", "", "é"),
                env=self.many(2, "PATH=/etc", "A=", "LD_PRELOAD=/tmp/x y"),
                cwd=self.path(),
                tty=self.of(0, 9),
                uid=self.some(0, 9, 1000),
                user=self.some("<NA>", "bash"),
                loginuid=self.some(-1, 1000),
                cap_permitted=self.of(0, 1 << 5, (1 << 41) - 1),
                exe_upper=self.some(True, False),
                exe_memfd=self.truth(),
                exe_writable=self.truth(),
                container_id=container_id,
                parent=parent,
            )
        assert isinstance(parent, Process)
        return parent

    def descriptor(self) -> Descriptor:
        kind = self.of("f", "f", "d", "4", "6", "u", "?")
        if kind in ("4", "6"):
            return Descriptor(
                num=self.of(*NUMBERS),
                type=kind,
                name=self.some("10.1.2.3:9->10.1.2.4:22"),
                l4proto=self.of("tcp", "udp"),
                cip=self.some(*ADDRESSES),
                cport=self.some(9, 22),
                sip=self.some(*ADDRESSES),
                sport=self.some(22, 443),
                is_server=self.truth(),
                connected=self.truth(),
            )
        return Descriptor(num=self.of(*NUMBERS), type=kind, name=self.path())

    def event(self, seq: int) -> Event:
        """One event; what is UNKNOWN of it is so in the store as well."""
        if self.random.random() < 0.03:
            return Loss(
                type="loss",
                ts_ns=START + seq,
                agent=AGENT,
                seq=seq,
                process=None,
                container=None,
                cause="ring_full",
                count=9,
            )
        container_id = self.of("host", "abc")
        process: Any = UNKNOWN if self.random.random() < 0.08 else self.process(container_id)
        container: Any = UNKNOWN
        if process is not UNKNOWN:
            container = None if container_id == "host" else self.of(UNKNOWN, self.container())
        flags, p, q = self.some("O_CREAT|O_WRONLY", "O_RDONLY"), self.path(), self.path()
        kind, type_, own = self.of(
            (Exec, "execve", {"filename": p}),
            (Exec, "execveat", {"filename": p, "flags": flags}),
            (Open, "openat", {"name": p, "flags": flags, "is_read": self.truth(), "is_write": self.truth()}),
            (Open, "creat", {"name": p, "flags": flags, "is_exec": True}),
            (Connect, "connect", {"addr": p}),
            (Rename, "renameat2", {"oldpath": p, "newpath": q}),
            (Unlink, "rmdir", {"name": p}),
            (Link, "symlink", {"target": p, "linkpath": q}),
            (Mkdir, "mkdir", {"path": p}),
            (Chmod, "fchmodat", {"filename": p, "mode": "S_ISUID", "uid": self.some(0, 9)}),
            (MountEvent, "mount", {"dev": p, "dir": q, "fstype": self.some(*NAMES)}),
            (Socket, "socket", {"domain": "AF_INET", "proto": self.some(0, 9)}),
            (Dup, "dup2", {"oldfd": 1, "newfd": self.some(*NUMBERS)}),
            (Ptrace, "ptrace", {"request": "PTRACE_ATTACH", "target_pid": self.some(*NUMBERS)}),
            (Cred, "setuid", {"uid": self.some(0, 9, 1000)}),
            (Bpf, "bpf", {"cmd": "BPF_PROG_LOAD"}),
            (Send, "sendto", {"size": self.some(*NUMBERS), "addr": p}),
            (Exit, "procexit", {"duration_ns": self.some(9)}),
        )
        made: Event = kind(
            type=type_,
            ts_ns=START + seq,
            agent=AGENT,
            seq=seq,
            tid=self.of(0, 9),
            cpu=self.of(0, 1),
            ret=self.some(0, 9, -2, -13, -9999),
            process=process,
            container=container,
            fd=self.descriptor() if self.random.random() < 0.75 else None,
            **own,
        )
        return made

    def events(self, count: int) -> list[Event]:
        return [self.event(seq) for seq in range(1, count + 1)]


TEXT_FIELDS = [
    "proc.name",
    "proc.pname",
    "proc.exe",
    "proc.exepath",
    "proc.pexepath",
    "proc.cmdline",
    "proc.pcmdline",
    "proc.args",
    "proc.args[0]",
    "proc.args[2]",
    "proc.env",
    "proc.env[PATH]",
    "proc.env[A]",
    "proc.cwd",
    "proc.aname",
    "proc.aname[0]",
    "proc.aname[1]",
    "proc.aname[2]",
    "proc.aname[3]",
    "proc.aname[9]",
    "proc.aexepath",
    "proc.aexe[2]",
    "proc.acmdline",
    "proc.acmdline[1]",
    "proc.exeline",
    "user.name",
    "user.homedir",
    "user.loginname",
    "group.name",
    "thread.cap_permitted",
    "fd.name",
    "fd.directory",
    "fd.filename",
    "fd.typechar",
    "fd.type",
    "fd.l4proto",
    "fd.sockfamily",
    "fd.nameraw",
    "fd.uid",
    "fd.containername",
    "container.id",
    "container.name",
    "container.image",
    "container.image.repository",
    "container.type",
    "container.mount[0]",
    "container.mount.dest[/etc]",
    "container.mount.source[/tmp/a.b]",
    "container.mount.dest[1]",
    "container.mount.rdwr[0]",
    "k8s.pod.name",
    "k8s.ns.name",
    "k8s.pod.label[app]",
    "k8s.pod.label[a/b]",
    "evt.type",
    "evt.res",
    "evt.dir",
    "evt.category",
    "evt.io_dir",
    "fs.path.name",
    "fs.path.source",
    "fs.path.target",
]
DYNAMIC_FIELDS = [
    "evt.arg.name",
    "evt.arg.path",
    "evt.arg.filename",
    "evt.arg.flags",
    "evt.arg.oldpath",
    "evt.arg.newpath",
    "evt.arg.target",
    "evt.arg.linkpath",
    "evt.arg.mode",
    "evt.arg.uid",
    "evt.arg.addr",
    "evt.arg.type",
    "evt.arg.newfd",
    "evt.arg.pid",
    "evt.arg.size",
    "evt.arg.proto",
    "evt.arg.domain",
    "evt.arg.request",
    "evt.arg.cmd",
    "evt.arg.dev",
    "evt.arg.res",
    "evt.arg.fd",
]
NUMBER_FIELDS = [
    "evt.rawres",
    "evt.num",
    "evt.cpu",
    "fd.num",
    "proc.pid",
    "proc.vpid",
    "proc.tty",
    "proc.ppid",
    "proc.apid",
    "proc.apid[1]",
    "user.uid",
    "user.loginuid",
    "thread.tid",
    "proc.cmdnargs",
    "proc.cmdlenargs",
    "evt.count",
    "evt.count.error",
    "evt.type.is.openat",
    "container.start_ts",
    "container.duration",
    "proc.sid",
]
PORT_FIELDS = ["fd.port", "fd.cport", "fd.sport", "fd.lport", "fd.rport"]
FLAG_FIELDS = [
    "evt.is_open_read",
    "evt.is_open_write",
    "evt.is_open_exec",
    "evt.is_open_create",
    "evt.failed",
    "fd.is_server",
    "fd.connected",
    "proc.is_exe_upper_layer",
    "proc.is_exe_lower_layer",
    "proc.is_exe_from_memfd",
    "proc.is_exe_writable",
    "proc.is_sid_leader",
    "proc.is_vpgid_leader",
    "container.privileged",
    "thread.ismain",
    "evt.is_io",
]
ADDRESS_FIELDS = ["fd.ip", "fd.cip", "fd.sip", "fd.lip", "fd.rip", "fd.net", "fd.cnet", "fd.snet", "fd.lnet", "fd.rnet"]
PATTERNS = (
    "*",
    "/etc/*",
    "*.b",
    "*ss*",
    "?ash",
    "[a-z]*",
    "[!a]*",
    "/tmp/\\[x\\]",
    "é*",
    "/etc/passwd",
    "*/[[]x]",
    "**",
)
EXPRESSIONS = ("ba.*", "(?i)NGINX", ".*", "[^/]*", "/etc/+passwd", "a.b", "\\W*", "(-c|-e sh)+", "é.", "(?s)é.")
PREFIXES = ("/etc", "/tmp", "/", "etc", "/t*", "/etc/passwd/", "/tmp/?.b")


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _list(values: list[str]) -> str:
    return "(" + ", ".join(values) + ")"


_word = st.sampled_from(WORDS).map(_quote)
_text_operand = (
    st.sampled_from(TEXT_FIELDS)
    | st.sampled_from(DYNAMIC_FIELDS)
    | st.sampled_from(
        (
            "tolower(proc.name)",
            "toupper(proc.exepath)",
            "basename(fd.name)",
            "tolower(proc.aname)",
            'join(",", proc.args)',
            'concat(proc.name, ":", fd.name)',
        )
    )
)
_number_operand = (
    st.sampled_from(NUMBER_FIELDS)
    | st.sampled_from(PORT_FIELDS)
    | st.sampled_from(("len(proc.name)", "len(proc.cmdline)", "len(fd.name)"))
)


def _join(*parts: st.SearchStrategy[str] | str) -> st.SearchStrategy[str]:
    return st.tuples(*(st.just(part) if isinstance(part, str) else part for part in parts)).map(" ".join)


comparisons: st.SearchStrategy[str] = st.one_of(
    _join(_text_operand, st.sampled_from(("=", "!=", "contains", "icontains", "startswith", "endswith")), _word),
    _join(_text_operand, st.sampled_from(("in", "intersects")), st.lists(_word, min_size=0, max_size=4).map(_list)),
    _join(
        _text_operand.filter(
            lambda field: field not in ("proc.aname", "proc.aexepath", "proc.acmdline", "tolower(proc.aname)")
        ),
        st.sampled_from(("=", "!=", "startswith", "contains")),
        st.sampled_from(("oneof", "anyof", "allof")),
        st.lists(_word, max_size=3).map(_list),
    ),
    _join(_text_operand, st.sampled_from(("glob", "iglob")), st.sampled_from(PATTERNS).map(_quote)),
    _join(_text_operand, "regex", st.sampled_from(EXPRESSIONS).map(_quote)),
    _join(_text_operand, "pmatch", st.lists(st.sampled_from(PREFIXES).map(_quote), min_size=1, max_size=3).map(_list)),
    _join(_number_operand, st.sampled_from(("=", "!=", "<", "<=", ">", ">=")), st.sampled_from(NUMBERS).map(str)),
    _join(st.sampled_from(DYNAMIC_FIELDS), st.sampled_from(("<", "<=", ">", ">=")), st.sampled_from(NUMBERS).map(str)),
    _join(_number_operand, "in", st.lists(st.sampled_from(NUMBERS).map(str), min_size=1, max_size=3).map(_list)),
    _join(st.sampled_from(FLAG_FIELDS), st.sampled_from(("=", "!=")), st.sampled_from(("true", "false"))),
    _join(st.sampled_from(ADDRESS_FIELDS), st.sampled_from(("=", "!=")), st.sampled_from(NETWORKS).map(_quote)),
    _join(
        st.sampled_from(ADDRESS_FIELDS),
        "in",
        st.lists(st.sampled_from(NETWORKS).map(_quote), min_size=1, max_size=3).map(_list),
    ),
    _join(st.sampled_from((*TEXT_FIELDS, *NUMBER_FIELDS, *FLAG_FIELDS, *ADDRESS_FIELDS, *DYNAMIC_FIELDS)), "exists"),
    _join(
        st.sampled_from(("proc.name", "fd.name", "proc.exepath", "container.name", "evt.arg.name")),
        st.sampled_from(("=", "!=", "contains", "startswith", "endswith", "icontains")),
        st.sampled_from(
            ("val(proc.pname)", "val(proc.exe)", "tolower(proc.name)", "val(container.image)", "val(proc.aname[2])")
        ),
    ),
    _join(
        st.sampled_from(("proc.pid", "fd.num")),
        st.sampled_from(("=", "<", ">=", "!=")),
        st.sampled_from(("val(proc.vpid)", "val(user.uid)", "len(proc.name)")),
    ),
)

conditions: st.SearchStrategy[str] = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        inner.map(lambda text: f"not ({text})"),
        st.lists(inner, min_size=2, max_size=4).map(lambda texts: "(" + ") and (".join(texts) + ")"),
        st.lists(inner, min_size=2, max_size=4).map(lambda texts: "(" + ") or (".join(texts) + ")"),
    ),
    max_leaves=12,
)
