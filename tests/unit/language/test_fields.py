"""Fields: what each gives for the known, the absent and the unknown, and that the catalogue is whole."""

from __future__ import annotations

from typing import Any

import pytest

from phalanx.language import CATALOGUE, parse_condition
from phalanx.language.catalogue import ArgumentProblem, lookup
from phalanx.language.fields import Ref
from phalanx.language.fields_process import register_boot
from phalanx.model.container import Container, Mount, Pod
from phalanx.model.event import Connect, Event, Exec, Loss, Open
from phalanx.model.process import Descriptor, Process
from phalanx.model.values import UNKNOWN
from phalanx.store.events.fieldsql import field_fragment
from phalanx.store.events.schema import COLUMNS

INIT = Process(id="b0b0b0b0:1:5", pid=1, start_ns=5, name="systemd", parent=None)
SHELL = Process(id="b0b0b0b0:7:9", pid=7, start_ns=9, name="bash", exe="-bash", sid=7, parent=INIT)


def event(**process: Any) -> Event:
    made = Process(id="b0b0b0b0:9:1000", pid=9, start_ns=1000, **{"name": "curl", "parent": SHELL, **process})
    return Exec(ts_ns=10_000, agent="a", seq=1, type="execve", ret=0, process=made, filename="/usr/bin/curl")


def value(field: str, of: Event) -> Any:
    name, _, argument = field.partition("[")
    ref = lookup(name, argument.removesuffix("]") or None if argument else None)
    assert ref is not None
    return ref.get(of)


def holds(condition: str, of: Event) -> bool | None:
    return parse_condition(condition).holds(of)


@pytest.mark.parametrize(
    ("field", "attribute"),
    [
        ("user.name", "user"),
        ("user.homedir", "homedir"),
        ("user.shell", "shell"),
        ("user.loginname", "loginuser"),
        ("group.name", "group"),
    ],
)
def test_a_user_or_group_without_an_entry_is_the_text_na(field: str, attribute: str) -> None:
    nobody, somebody = event(), event(**{attribute: "www"})
    assert value(field, nobody) == "<NA>"
    assert holds(f'{field} = "<NA>"', nobody) is True
    assert holds(f"{field} != www", nobody) is True
    assert holds(f"{field} exists", nobody) is True
    assert holds(f'{field} != "<NA>"', somebody) is True


def in_container(*mounts: Mount, **more: Any) -> Event:
    made = event(container_id="abc")
    fact = Container(id="abc", full_id="abcabc", since_ns=0, mounts=mounts, **more)
    return Exec(ts_ns=1, agent="a", seq=1, type="execve", process=made.process, container=fact)


@pytest.mark.parametrize(
    "field",
    [
        "container.mount.dest[/proc*]",
        "container.mount.dest[/var/run/docker.sock]",
        "container.mount.dest[0]",
        "container.mount.mode[/x]",
        "container.mount.source[/x]",
    ],
)
def test_a_mount_that_is_not_there_satisfies_no_comparison(field: str) -> None:
    bare = in_container()
    assert value(field, bare) is None
    for comparison in ('!= "N/A"', '= "N/A"', "startswith /", "exists", "!= none"):
        assert holds(f"{field} {comparison}", bare) is False
    assert holds(f"{field} exists", event()) is False, "on the host"
    assert holds(f'{field} != "N/A"', event(container_id="abc")) is None, "nothing is known of the container yet"


def test_a_mount_is_found_by_number_source_and_glob() -> None:
    made = in_container(
        Mount(source="/proc", destination="/host/proc", mode="ro", writable=False),
        Mount(source="/data", destination="/d"),
    )
    assert value("container.mount.dest[/proc*]", made) == "/host/proc"
    assert value("container.mount.dest[1]", made) == "/d"
    assert value("container.mount.source[/host/proc]", made) == "/proc"
    assert value("container.mount.rdwr[/proc]", made) == "false"
    assert value("container.mount[0]", made) == "/proc:/host/proc:ro:false:"
    assert value("container.mount[9]", made) == "none"
    assert holds('container.mount.dest[/proc*] != "N/A"', made) is True


def test_absent_makes_every_comparison_false_and_not_of_it_true() -> None:
    made = event()
    for comparison in ("= x", "!= x", "contains x", "in (x)", "glob *", "exists"):
        assert holds(f"fd.name {comparison}", made) is False
        assert holds(f"not fd.name {comparison}", made) is True


def test_unknown_is_kleenes() -> None:
    made = event(container_id="abc")
    assert holds("container.image.repository = x", made) is None
    assert holds("not container.image.repository = x", made) is None
    assert holds("container.image.repository = x and proc.name = other", made) is False
    assert holds("container.image.repository = x or proc.name = curl", made) is True
    assert holds("container.image.repository exists", made) is None
    assert holds("container.id = abc", made) is True
    lost = Exec(ts_ns=1, agent="a", seq=1, type="execve")
    assert holds("proc.name = x", lost) is None
    assert holds("evt.type = execve", lost) is True
    assert holds("proc.name = x", Loss(ts_ns=1, agent="a", seq=1, type="loss", process=None)) is False


def test_ancestors_by_level_and_any() -> None:
    made = event()
    assert [value(f"proc.aname[{level}]", made) for level in range(4)] == ["curl", "bash", "systemd", None]
    assert holds("proc.aname = systemd", made) is True
    assert holds("proc.aname = curl", made) is False, "the process itself is no ancestor"
    assert holds("proc.aname in (x, bash)", made) is True
    cut = event(parent=Process(id="b0b0b0b0:7:9", pid=7, start_ns=9, name="bash", parent=UNKNOWN))
    assert holds("proc.aname = bash", cut) is True
    assert holds("proc.aname = systemd", cut) is None
    assert value("proc.aname[2]", cut) is UNKNOWN


def test_ends_of_a_connection() -> None:
    fd = Descriptor(num=3, type="4", cip="10.0.0.1", cport=5000, sip="1.2.3.4", sport=443, is_server=False)
    made = Connect(ts_ns=1, agent="a", seq=1, type="connect", process=INIT, fd=fd)
    assert holds("fd.ip = 1.2.3.4", made) is True
    assert holds("fd.ip != 1.2.3.4", made) is False, "either end counts: both must differ"
    assert holds("fd.ip != 9.9.9.9", made) is True
    assert holds("fd.net = 10.0.0.0/8", made) is True
    assert holds("fd.snet in (10.0.0.0/8, 1.2.0.0/16)", made) is True
    assert holds("fd.port in (443)", made) is True
    assert (value("fd.lip", made), value("fd.rip", made), value("fd.lport", made), value("fd.rport", made)) == (
        "10.0.0.1",
        "1.2.3.4",
        5000,
        443,
    )


@pytest.mark.parametrize(
    ("type_", "name", "directory", "filename"),
    [
        ("f", "/etc/passwd", "/etc", "passwd"),
        ("f", "/x", "/", "x"),
        ("f", "x", "/", "x"),
        ("d", "/etc", "/etc", None),
        ("u", "/run/x", None, None),
        ("f", "/a/", "/a", "/"),
    ],
)
def test_directory_and_filename(type_: str, name: str, directory: str | None, filename: str | None) -> None:
    made = Open(ts_ns=1, agent="a", seq=1, type="openat", process=INIT, fd=Descriptor(num=3, type=type_, name=name))
    assert (value("fd.directory", made), value("fd.filename", made)) == (directory, filename)


def test_environment_arguments_and_times() -> None:
    made = event(env=("PATH=/bin", "LD_PRELOAD=/tmp/x"), argv=("-o", "", "é"))
    assert value("proc.env[LD_PRELOAD]", made) == "/tmp/x"
    assert value("proc.env[NONE]", made) is None
    assert value("proc.env", made) == "PATH=/bin LD_PRELOAD=/tmp/x"
    assert (value("proc.args", made), value("proc.args[2]", made), value("proc.args[3]", made)) == ("-o  é", "é", None)
    assert value("proc.duration", made) is None
    register_boot("b0b0b0b0", 2_000)
    assert (value("proc.duration", made), value("proc.pid.ts", made)) == (7_000, 3_000)


def test_the_text_of_capabilities_flags_and_results() -> None:
    made = event(cap_effective=1 << 21, exe_upper=True, exe_writable=True)
    assert value("thread.cap_effective", made) == "CAP_SYS_ADMIN"
    assert value("evt.arg.flags", made) == "EXE_WRITABLE|EXE_UPPER_LAYER"
    failed = Open(ts_ns=1, agent="a", seq=1, type="openat", ret=-13, process=INIT)
    assert (value("evt.res", failed), value("evt.rawres", failed), value("evt.failed", failed)) == ("EACCES", -13, True)


def test_pod_labels_by_bracket_and_by_dot() -> None:
    made = in_container(pod=Pod(name="p", namespace="n", labels={"app": "web", "a.b/c": "x"}))
    assert holds("k8s.pod.label.app = web", made) is True
    assert holds("k8s.pod.label[a.b/c] = x", made) is True
    assert holds("k8s.pod.label.other exists", made) is False


def test_getopt_reads_as_getopt_does() -> None:
    made = event(argv=("-ab", "-c", "value", "--long", "-dX", "-z", "file", "-q"))
    assert holds('getopt(proc.args, "abc:d:")[c] = value', made) is True
    assert holds('getopt(proc.args, "abc:d:")[d] = X', made) is True
    assert holds('getopt(proc.args, "abc:d:")[q] exists', made) is False
    assert holds('getopt(proc.args, "abc:d:") intersects ("?")', made) is True
    assert holds('getopt(proc.args, "abc:d:z") in (a, b, c, value, d, X, z)', made) is True


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("proc.exe bcontains 2d62", True),
        ("proc.name b64 = x", None),
        ("b64(proc.cwd) = hello", True),
        ("basename(proc.exepath) = curl", True),
        ("len(proc.name) = 4", True),
        ('concat(proc.name, ":", proc.pname) = "curl:bash"', True),
        ("proc.exe bstartswith 2d", True),
        ("proc.name iglob CU*", True),
        ("proc.exepath pmatch (/usr/*)", True),
        ("proc.exepath pmatch (/usr/bi)", False),
        ("proc.exepath pmatch (/)", True),
    ],
)
def test_operators_and_transformers(condition: str, expected: bool | None) -> None:
    made = event(exe="-bash", cwd="aGVsbG8=", exepath="/usr/bin/curl")
    if expected is None:
        with pytest.raises(Exception, match="operator"):
            holds(condition, made)
        return
    assert holds(condition, made) is expected


def test_every_field_has_a_name_a_sentence_and_columns_that_exist() -> None:
    assert len(CATALOGUE) > 300
    for name, field in CATALOGUE.items():
        assert name == field.name
        assert len(field.doc.split()) > 1, name
        assert set(field.columns) <= set(COLUMNS), name


def test_a_field_is_stored_exactly_when_its_columns_say_so() -> None:
    constant = {"evt.dir", "evt.is_async", "evt.is_wait", "evt.count", "evt.count.exit", "evt.count.error.memory"}
    for name, field in CATALOGUE.items():
        if field.argument == "required":
            continue
        fragment = field_fragment(Ref(field))
        if name == "proc.aargs":
            assert fragment is None
        elif name not in constant:
            assert (fragment is not None) == bool(field.columns), name
        if fragment is not None:
            assert fragment.columns <= set(COLUMNS), name


FALCO_FIELDS = [
    "evt.num",
    "evt.time",
    "evt.time.s",
    "evt.time.iso8601",
    "evt.datetime",
    "evt.datetime.s",
    "evt.rawtime",
    "evt.rawtime.s",
    "evt.rawtime.ns",
    "evt.reltime",
    "evt.reltime.s",
    "evt.reltime.ns",
    "evt.pluginname",
    "evt.plugininfo",
    "evt.source",
    "evt.is_async",
    "evt.asynctype",
    "evt.hostname",
    "evt.latency",
    "evt.latency.s",
    "evt.latency.ns",
    "evt.latency.human",
    "evt.deltatime",
    "evt.deltatime.s",
    "evt.deltatime.ns",
    "evt.type",
    "evt.type.is",
    "syscall.type",
    "evt.category",
    "evt.cpu",
    "evt.args",
    "evt.arg",
    "evt.rawarg",
    "evt.info",
    "evt.buffer",
    "evt.buflen",
    "evt.res",
    "evt.rawres",
    "evt.failed",
    "evt.is_io",
    "evt.is_io_read",
    "evt.is_io_write",
    "evt.io_dir",
    "evt.is_wait",
    "evt.wait_latency",
    "evt.is_syslog",
    "evt.count",
    "evt.count.error",
    "evt.count.error.file",
    "evt.count.error.net",
    "evt.count.error.memory",
    "evt.count.error.other",
    "evt.count.exit",
    "evt.around",
    "evt.abspath",
    "evt.is_open_read",
    "evt.is_open_write",
    "evt.is_open_exec",
    "evt.is_open_create",
    "evt.dir",
    "proc.exe",
    "proc.pexe",
    "proc.aexe",
    "proc.exepath",
    "proc.pexepath",
    "proc.aexepath",
    "proc.name",
    "proc.pname",
    "proc.aname",
    "proc.args",
    "proc.aargs",
    "proc.cmdline",
    "proc.pcmdline",
    "proc.acmdline",
    "proc.cmdnargs",
    "proc.cmdlenargs",
    "proc.exeline",
    "proc.env",
    "proc.aenv",
    "proc.cwd",
    "proc.loginshellid",
    "proc.tty",
    "proc.pid",
    "proc.ppid",
    "proc.apid",
    "proc.vpid",
    "proc.pvpid",
    "proc.sid",
    "proc.sname",
    "proc.sid.exe",
    "proc.sid.exepath",
    "proc.vpgid",
    "proc.vpgid.name",
    "proc.vpgid.exe",
    "proc.vpgid.exepath",
    "proc.pgid",
    "proc.pgid.name",
    "proc.pgid.exe",
    "proc.pgid.exepath",
    "proc.duration",
    "proc.ppid.duration",
    "proc.pid.ts",
    "proc.ppid.ts",
    "proc.is_exe_writable",
    "proc.is_exe_upper_layer",
    "proc.is_exe_lower_layer",
    "proc.is_exe_from_memfd",
    "proc.is_sid_leader",
    "proc.is_vpgid_leader",
    "proc.is_pgid_leader",
    "proc.exe_ino",
    "proc.exe_ino.ctime",
    "proc.exe_ino.mtime",
    "proc.exe_ino.ctime_duration_proc_start",
    "proc.exe_ino.ctime_duration_pidns_start",
    "proc.pidns_init_start_ts",
    "thread.cap_permitted",
    "thread.cap_inheritable",
    "thread.cap_effective",
    "proc.fdopencount",
    "proc.fdlimit",
    "proc.fdusage",
    "proc.vmsize",
    "proc.vmrss",
    "proc.vmswap",
    "thread.pfmajor",
    "thread.pfminor",
    "thread.tid",
    "thread.ismain",
    "thread.vtid",
    "thread.exectime",
    "thread.totexectime",
    "thread.cgroups",
    "thread.cgroup",
    "proc.nthreads",
    "proc.nchilds",
    "thread.cpu",
    "thread.cpu.user",
    "thread.cpu.system",
    "thread.vmsize",
    "thread.vmrss",
    "proc.stdin.type",
    "proc.stdout.type",
    "proc.stderr.type",
    "proc.stdin.name",
    "proc.stdout.name",
    "proc.stderr.name",
    "user.uid",
    "user.name",
    "user.homedir",
    "user.shell",
    "user.loginuid",
    "user.loginname",
    "group.gid",
    "group.name",
    "fd.num",
    "fd.type",
    "fd.typechar",
    "fd.name",
    "fd.directory",
    "fd.filename",
    "fd.ip",
    "fd.cip",
    "fd.sip",
    "fd.lip",
    "fd.rip",
    "fd.port",
    "fd.cport",
    "fd.sport",
    "fd.lport",
    "fd.rport",
    "fd.l4proto",
    "fd.sockfamily",
    "fd.is_server",
    "fd.uid",
    "fd.containername",
    "fd.containerdirectory",
    "fd.proto",
    "fd.cproto",
    "fd.sproto",
    "fd.lproto",
    "fd.rproto",
    "fd.net",
    "fd.cnet",
    "fd.snet",
    "fd.lnet",
    "fd.rnet",
    "fd.connected",
    "fd.name_changed",
    "fd.cip.name",
    "fd.sip.name",
    "fd.lip.name",
    "fd.rip.name",
    "fd.dev",
    "fd.dev.major",
    "fd.dev.minor",
    "fd.ino",
    "fd.nameraw",
    "fd.types",
    "fd.is_upper_layer",
    "fd.is_lower_layer",
    "fs.path.name",
    "fs.path.nameraw",
    "fs.path.source",
    "fs.path.sourceraw",
    "fs.path.target",
    "fs.path.targetraw",
    "fdlist.nums",
    "fdlist.names",
    "fdlist.cips",
    "fdlist.sips",
    "fdlist.cports",
    "fdlist.sports",
    "container.id",
    "container.full_id",
    "container.name",
    "container.image",
    "container.image.id",
    "container.type",
    "container.privileged",
    "container.mounts",
    "container.mount",
    "container.mount.source",
    "container.mount.dest",
    "container.mount.mode",
    "container.mount.rdwr",
    "container.mount.propagation",
    "container.image.repository",
    "container.image.tag",
    "container.image.digest",
    "container.healthcheck",
    "container.liveness_probe",
    "container.readiness_probe",
    "container.start_ts",
    "container.duration",
    "container.ip",
    "container.cni.json",
    "container.host_pid",
    "container.host_network",
    "container.host_ipc",
    "container.label",
    "container.labels",
    "proc.is_container_healthcheck",
    "proc.is_container_liveness_probe",
    "proc.is_container_readiness_probe",
    "k8s.pod.name",
    "k8s.ns.name",
    "k8s.pod.id",
    "k8s.pod.uid",
    "k8s.pod.sandbox_id",
    "k8s.pod.full_sandbox_id",
    "k8s.pod.label",
    "k8s.pod.labels",
    "k8s.pod.ip",
    "k8s.pod.cni.json",
    "k8s.rc.name",
    "k8s.rc.id",
    "k8s.rc.label",
    "k8s.rc.labels",
    "k8s.svc.name",
    "k8s.svc.id",
    "k8s.svc.label",
    "k8s.svc.labels",
    "k8s.ns.id",
    "k8s.ns.label",
    "k8s.ns.labels",
    "k8s.rs.name",
    "k8s.rs.id",
    "k8s.rs.label",
    "k8s.rs.labels",
    "k8s.deployment.name",
    "k8s.deployment.id",
    "k8s.deployment.label",
    "k8s.deployment.labels",
]
"""Names of Falco's field reference (libs 0.25)."""


@pytest.mark.parametrize("name", FALCO_FIELDS)
def test_every_field_of_falcos_reference_is_known(name: str) -> None:
    field = CATALOGUE[name]
    if field.argument == "required":
        with pytest.raises(ArgumentProblem):
            lookup(name)
        assert lookup(name, "0" if field.index else "/x" if "mount" in name else "x") is not None
    else:
        assert lookup(name) is not None


def test_the_event_types_are_those_that_the_kernel_sensor_gives() -> None:
    from phalanx.language.event_types import KIND_OF
    from phalanx.sensors.kernel.calls import CALLS

    given = {call.name: call.kind for call in CALLS if call.kind != "state"}
    hooks = {
        "clone": "fork",
        "fork": "fork",
        "vfork": "fork",
        "clone3": "fork",
        "procexit": "exit",
        "cgroup_mkdir": "cgroup",
        "cgroup_rmdir": "cgroup",
    }
    assert given | hooks == KIND_OF
