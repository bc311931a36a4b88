"""What each kind of system call says, performed for real; and what a filter lets through."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from phalanx.language.kernel_filter import KernelFilter, TypeFilter
from phalanx.model.event import (
    Accept,
    Bpf,
    Cgroup,
    Chmod,
    Connect,
    Cred,
    Dup,
    Event,
    Exec,
    Link,
    Memfd,
    Mount,
    Namespace,
    Open,
    Ptrace,
    Rename,
    Send,
    Unlink,
)
from phalanx.sensors.kernel import KernelSensor

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_kernel]
LIBC = ctypes.CDLL(None, use_errno=True)


@pytest.fixture(autouse=True)
def _unfiltered(sensor: KernelSensor) -> Iterator[None]:
    sensor.set_filter(None)
    yield
    sensor.set_filter(None)


def mine(event: Event, kind: type[Event]) -> bool:
    return isinstance(event, kind) and event.process is not None and event.process.pid == os.getpid()


def drain(sensor: KernelSensor) -> list[Event]:
    seen: list[Event] = []
    for _ in range(10):
        seen += sensor.poll(0.02).candidates
    return seen


def test_an_open_names_the_file_that_the_kernel_gave_not_the_link_that_was_asked_for(wait, tmp_path: Path) -> None:
    secret, innocent = tmp_path / "shadow", tmp_path / "notes"
    secret.write_text("x")
    innocent.symlink_to(secret)
    innocent.read_text()
    event = wait(lambda e: mine(e, Open) and e.name == str(innocent))
    assert event.fd.name == str(secret)
    assert event.fd.type == "f"
    assert event.fd.ino == secret.stat().st_ino
    assert (event.is_read, event.is_write, event.is_exec) == (True, False, False)
    assert event.flags == "O_RDONLY|O_CLOEXEC"


def test_a_file_below_a_bind_mount_has_the_path_that_the_process_sees(wait, tmp_path: Path) -> None:
    real, seen = tmp_path / "real", tmp_path / "seen"
    real.mkdir()
    seen.mkdir()
    subprocess.run(["mount", "--bind", str(real), str(seen)], check=True)
    try:
        (seen / "file").write_text("x")
    finally:
        subprocess.run(["umount", str(seen)], check=True)
    event = wait(lambda e: mine(e, Open) and e.name == str(seen / "file"))
    assert event.fd.name == str(seen / "file")
    assert event.is_write
    mounted = wait(lambda e: isinstance(e, Mount) and e.dir == str(seen) and e.type == "mount")
    assert "MS_BIND" in mounted.flags
    assert mounted.dev == str(real)


def test_a_chrooted_process_is_told_in_its_own_paths(wait, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    pid = os.fork()
    if pid == 0:
        os.chroot(tmp_path)
        os.chdir("/")
        os.close(os.open("/inner/made", os.O_CREAT | os.O_WRONLY))
        os._exit(0)
    os.waitpid(pid, 0)
    event = wait(lambda e: isinstance(e, Open) and e.process.pid == pid)
    assert event.fd.name == "/inner/made"
    assert wait(lambda e: isinstance(e, Namespace) and e.type == "chroot").path == str(tmp_path)


def test_relative_names_are_made_whole_by_their_directory_descriptor(wait, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    directory = os.open(tmp_path, os.O_RDONLY)
    (tmp_path / "x").mkdir()
    os.rename("a", "./x/../b", src_dir_fd=directory, dst_dir_fd=directory)
    os.link("b", "c", src_dir_fd=directory, dst_dir_fd=directory)
    os.symlink("/etc/shadow", "d", dir_fd=directory)
    os.chmod(tmp_path / "b", 0o4711)
    os.unlink("b", dir_fd=directory)
    os.close(directory)
    renamed = wait(lambda e: mine(e, Rename))
    assert (renamed.oldpath, renamed.newpath) == (str(tmp_path / "a"), str(tmp_path / "b"))
    assert wait(lambda e: mine(e, Link) and e.type == "linkat").newpath == str(tmp_path / "c")
    link = wait(lambda e: mine(e, Link) and e.type == "symlinkat")
    assert (link.target, link.linkpath) == ("/etc/shadow", str(tmp_path / "d"))
    assert wait(lambda e: mine(e, Chmod)).mode == "S_ISUID|S_IRUSR|S_IWUSR|S_IXUSR|S_IXGRP|S_IXOTH"
    assert wait(lambda e: mine(e, Unlink) and e.type == "unlinkat").name == str(tmp_path / "b")


def test_a_connection_is_told_at_both_ends_and_on_every_copy_of_its_descriptor(wait) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        taken, _ = server.accept()
        tuple_text = "{}:{}->{}:{}".format(*client.getsockname(), *server.getsockname())
        os.dup2(client.fileno(), 210)
        os.dup2(taken.fileno(), 211)
        connected = wait(lambda e: mine(e, Connect) and e.fd.name == tuple_text)
        accepted = wait(lambda e: mine(e, Accept) and e.fd.name == tuple_text)
        out, back = wait(lambda e: mine(e, Dup) and e.ret == 210), wait(lambda e: mine(e, Dup) and e.ret == 211)
        taken.close()
    os.close(210)
    os.close(211)
    assert (connected.fd.is_server, accepted.fd.is_server, out.fd.is_server, back.fd.is_server) == (
        False,
        True,
        False,
        True,
    )
    assert connected.fd.connected
    assert connected.addr == f"127.0.0.1:{connected.fd.sport}"
    assert (out.fd.type, out.fd.l4proto, out.fd.name) == ("4", "tcp", tuple_text)


def test_ipv6_and_mapped_ipv4_addresses(wait) -> None:
    with (
        socket.create_server(("::1", 0), family=socket.AF_INET6) as server,
        socket.create_connection(server.getsockname()[:2]) as client,
    ):
        wait(
            lambda e: mine(e, Connect) and e.fd.name == f"::1:{client.getsockname()[1]}->::1:{server.getsockname()[1]}"
        )
    with socket.socket(socket.AF_INET6) as mapped:
        with contextlib.suppress(OSError):
            mapped.connect(("::ffff:127.0.0.1", 9))
        refused = wait(lambda e: mine(e, Connect) and e.addr == "127.0.0.1:9")
    assert refused.ret == -111
    assert (refused.fd.type, refused.fd.sip, refused.fd.sport) == ("4", "127.0.0.1", 9)


def test_a_question_to_a_name_server_is_read_and_a_hostile_one_is_not_believed(wait) -> None:
    question = b"\x12\x34\x01\x00\x00\x01\0\0\0\0\0\0\x05evil\x1b\x07example\x03com\0\0\x01\0\x01"
    loop = b"\x12\x34\x01\x00\x00\x01\0\0\0\0\0\0\xc0\x0c\0\x01\0\x01"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(question, ("127.0.0.1", 53))
        sender.sendmsg([question], [], 0, ("127.0.0.2", 53))
        sender.sendto(loop, ("127.0.0.3", 53))
    asked = wait(lambda e: mine(e, Send) and e.addr == "127.0.0.1:53")
    assert asked.dns_name == "evil\x1b.example.com"
    assert asked.fd.name_changed
    assert wait(lambda e: mine(e, Send) and e.type == "sendmsg").dns_name == "evil\x1b.example.com"
    assert wait(lambda e: mine(e, Send) and e.addr == "127.0.0.3:53").dns_name is None


def test_doors_into_the_kernel_and_changes_of_rights(wait, tmp_path: Path) -> None:
    child = subprocess.Popen(["/bin/sleep", "5"])
    LIBC.ptrace(16, child.pid, 0, 0)
    os.waitpid(child.pid, 0)
    LIBC.ptrace(17, child.pid, 0, 0)
    child.kill()
    child.wait()
    attached = wait(lambda e: mine(e, Ptrace) and e.request == "PTRACE_ATTACH")
    assert attached.target_pid == child.pid
    os.close(os.memfd_create("hidden", os.MFD_CLOEXEC))
    assert wait(lambda e: mine(e, Memfd)).name == "hidden"
    pid = os.fork()
    if pid == 0:
        LIBC.unshare(0x00020000)
        os.setresuid(65534, 65534, 65534)
        LIBC.unshare(0x10000000)
        os._exit(0)
    os.waitpid(pid, 0)
    assert (
        wait(lambda e: isinstance(e, Namespace) and e.process.pid == pid and e.type == "unshare").flags == "CLONE_NEWNS"
    )
    changed = wait(lambda e: isinstance(e, Cred) and e.process.pid == pid)
    assert (changed.type, changed.uid, changed.euid) == ("setresuid", 65534, 65534)
    assert changed.process.user == "nobody", "the state is that after the call"
    assert changed.process.cap_effective == 0


def test_a_new_cgroup_is_told_before_anything_runs_in_it(wait) -> None:
    from phalanx.sensors.kernel.groups import cgroup2_mount

    mount = cgroup2_mount()
    if mount is None:
        pytest.skip("needs a cgroup v2 mount")
    path = Path(mount, f"phalanx-test-{os.getpid()}")
    path.mkdir()
    path.rmdir()
    assert wait(lambda e: isinstance(e, Cgroup) and e.path == f"/{path.name}" and e.type == "cgroup_mkdir")
    assert wait(lambda e: isinstance(e, Cgroup) and e.path == f"/{path.name}" and e.type == "cgroup_rmdir")


def test_a_failed_exec_leaves_the_program_as_it_is(wait) -> None:
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(OSError):
            os.execv("/not/there", ["x"])
        os._exit(0)
    os.waitpid(pid, 0)
    event = wait(lambda e: isinstance(e, Exec) and e.process.pid == pid and e.ret < 0)
    assert (event.ret, event.filename) == (-2, "/not/there")
    assert event.process.exepath.rpartition("/")[2].startswith("python")


INT80 = r"""
static long call(long n, long a, long b, long c) {
    long r; __asm__ volatile("int $0x80" : "=a"(r) : "a"(n), "b"(a), "c"(b), "d"(c) : "memory"); return r; }
static char path[] = "@PATH@";
static unsigned char address[16] = {2, 0, 0, 9, 127, 0, 0, 1};
static unsigned args[3];
void _start(void) {
    long fd = call(5, (long)path, 0101, 0600);
    call(6, fd, 0, 0);
    args[0] = 2; args[1] = 1; args[2] = 0;
    fd = call(102, 1, (long)args, 0);
    args[0] = fd; args[1] = (unsigned)(long)address; args[2] = 16;
    call(102, 3, (long)args, 0);
    call(10, (long)path, 0, 0);
    call(1, 0, 0, 0);
}
"""


def test_32_bit_system_calls_do_not_hide(wait, tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    target = tmp_path / "through-int80"
    (tmp_path / "x.c").write_text(INT80.replace("@PATH@", str(target)))
    # not position-independent, so that every address fits into 32 bits
    subprocess.run(
        ["gcc", "-nostdlib", "-static", "-no-pie", "-fno-pie", "-fno-stack-protector", "-o", "x", "x.c"],
        cwd=tmp_path,
        check=True,
    )
    child = subprocess.Popen([tmp_path / "x"])
    child.wait()
    opened = wait(lambda e: isinstance(e, Open) and e.process.pid == child.pid and e.compat32)
    assert (opened.type, opened.fd.name, opened.is_write) == ("open", str(target), True)
    connected = wait(lambda e: isinstance(e, Connect) and e.process.pid == child.pid)
    assert (connected.compat32, connected.addr, connected.fd.name.rpartition("->")[2]) == (
        True,
        "127.0.0.1:9",
        "127.0.0.1:9",
    )
    assert wait(lambda e: isinstance(e, Unlink) and e.process.pid == child.pid).name == str(target)


URING = r"""
#include <fcntl.h>
#include <linux/io_uring.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int argc, char **argv) {
    struct io_uring_params p; memset(&p, 0, sizeof p);
    int ring = syscall(__NR_io_uring_setup, 4, &p);
    if (ring < 0) return 77;
    char *sq = mmap(0, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    struct io_uring_sqe *sqe = mmap(0, p.sq_entries * sizeof *sqe, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
    memset(sqe, 0, sizeof *sqe);
    sqe->opcode = IORING_OP_OPENAT; sqe->fd = AT_FDCWD; sqe->addr = (unsigned long)argv[1]; sqe->open_flags = O_WRONLY | O_CREAT; sqe->len = 0600;
    unsigned tail = *(unsigned *)(sq + p.sq_off.tail);
    *(unsigned *)(sq + p.sq_off.array) = 0;
    __atomic_store_n((unsigned *)(sq + p.sq_off.tail), tail + 1, __ATOMIC_RELEASE);
    return syscall(__NR_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, 0, 0) == 1 ? 0 : 1;
}
"""


def test_an_open_through_io_uring_does_not_hide(wait, tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    (tmp_path / "x.c").write_text(URING)
    subprocess.run(["gcc", "-o", "x", "x.c"], cwd=tmp_path, check=True)
    child = subprocess.Popen([tmp_path / "x", tmp_path / "through-the-ring"])
    if child.wait() == 77:
        pytest.skip("this kernel has io_uring switched off")
    assert wait(lambda e: isinstance(e, Bpf) and e.type == "io_uring_setup" and e.process.pid == child.pid)
    opened = wait(
        lambda e: isinstance(e, Open) and e.process.pid == child.pid and e.fd.name == str(tmp_path / "through-the-ring")
    )
    assert (opened.type, opened.is_write, opened.fd.type) == ("openat", True, "f")


def test_a_filter_lets_through_what_a_rule_can_match_and_the_history_keeps_the_profile(
    sensor: KernelSensor, rebuild, tmp_path: Path
) -> None:
    watched, other, read = tmp_path / "watched", tmp_path / "other", tmp_path / "read"
    read.write_text("x")
    drain(sensor)
    sensor.set_filter(
        KernelFilter(
            types={
                "openat": TypeFilter(fd_prefixes=(str(watched),)),
                "execve": TypeFilter(arg_substrings=("true needle",)),
                "unlink": TypeFilter(proc_names=("no-such-program",)),
            }
        )
    )
    candidates: list[Event] = []
    recorded: list[Event] = []
    since = time.time_ns()
    watched.write_text("x")
    other.write_text("x")
    read.read_text()
    os.unlink(other)
    subprocess.run(["/bin/true", "hay"], check=True)
    subprocess.run(["/bin/true", "needle"], check=True)
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        harvest = sensor.poll(0.02)
        candidates += harvest.candidates
        recorded += rebuild(harvest.batch) if harvest.batch else []
    ours = [e for e in candidates if e.process.pid == os.getpid() or e.process.ppid == os.getpid()]
    assert [(e.type, e.fd and e.fd.name, e.process.argv[-1:] if isinstance(e, Exec) else ()) for e in ours] == [
        ("openat", str(watched), ()),
        ("execve", None, ("needle",)),
    ]
    read_names = {e.fd.name for e in recorded if isinstance(e, Open) and not e.is_write and e.ts_ns > since}
    assert str(read) not in read_names, "reads are kept only when a rule wants them"
    assert {e.process.argv for e in recorded if isinstance(e, Exec)} >= {("hay",), ("needle",)}
    assert not [e for e in recorded if isinstance(e, Unlink) and e.ts_ns > since]


def test_our_own_bulk_writing_is_not_recorded_but_that_of_others_is(
    sensor: KernelSensor, rebuild, tmp_path: Path
) -> None:
    sensor.set_filter(KernelFilter(types={}))
    skipped = sensor.statistics().own_skipped
    (tmp_path / "by-us").write_text("x")
    subprocess.run(["/bin/sh", "-c", "echo x > by-others"], cwd=tmp_path, check=True)
    recorded: list[Event] = []
    deadline = time.monotonic() + 0.6
    while time.monotonic() < deadline:
        harvest = sensor.poll(0.02)
        recorded += rebuild(harvest.batch) if harvest.batch else []
    names = {e.fd.name for e in recorded if isinstance(e, Open)}
    assert str(tmp_path / "by-others") in names
    assert str(tmp_path / "by-us") not in names
    assert sensor.statistics().own_skipped > skipped


def test_a_state_is_that_of_its_time_although_the_process_moved_on(wait, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    subprocess.run(["/bin/sh", "-c", f"cd {first}; echo > a; cd {second}; echo > b"], check=True)
    assert wait(lambda e: isinstance(e, Open) and e.fd.name == str(first / "a")).process.cwd == str(first)
    assert wait(lambda e: isinstance(e, Open) and e.fd.name == str(second / "b")).process.cwd == str(second)


def test_a_thread_is_told_by_its_own_id(wait, tmp_path: Path) -> None:
    ids: list[int] = []

    def work() -> None:
        ids.append(threading.get_native_id())
        (tmp_path / "threaded").write_text("x")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    event = wait(lambda e: mine(e, Open) and e.fd.name == str(tmp_path / "threaded"))
    assert event.tid == ids[0] != event.process.pid


def test_a_bpf_program_load_is_told(wait) -> None:
    attr = struct.pack("<IIQQIIQI", 1, 2, 0, 0, 0, 0, 0, 0).ljust(128, b"\0")
    LIBC.syscall(321, 5, attr, 128)
    assert wait(lambda e: mine(e, Bpf)).cmd == "BPF_PROG_LOAD"
