"""Fingerprints: the same statement has the same one, whatever is volatile; another statement has another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phalanx.model.container import Container, Pod
from phalanx.model.finding import AssetRef
from phalanx.model.process import Process
from phalanx.risk import fingerprint as fp

HOST = AssetRef(kind="host", key="node-17", name="node-17")
OTHER = AssetRef(kind="host", key="node-18", name="node-18")


def process(exepath: str, *argv: str, pid: int = 7, start: int = 3) -> Process:
    return Process(
        id=f"b:{pid}:{start}", pid=pid, start_ns=start, name=exepath.rpartition("/")[2], exepath=exepath, argv=argv
    )  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/tmp/.x9f2/a.out", "/tmp/kk"),
        ("/dev/shm/1", "/dev/shm/zz"),
        ("/usr/lib/jvm/java-17.0.9/bin/java", "/usr/lib/jvm/java-17.0.13/bin/java"),
        ("/opt/app/releases/20261123/bin/run", "/opt/app/releases/20261124/bin/run"),
        ("/proc/4711/fd/5", "/proc/12/fd/9"),
        ("/memfd:one", "/memfd:two"),
        ("/usr/bin/nc (deleted)", "/usr/bin/nc"),
        ("/srv/build-9f3c2ab41d/x", "/srv/build-0a1b2c3d4e/x"),
    ],
)
def test_what_changes_from_run_to_run_does_not_count(one: str, other: str) -> None:
    assert fp.stable_path(one) == fp.stable_path(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/usr/bin/nc", "/usr/bin/ncat"),
        ("/usr/bin/nc", "/usr/local/bin/nc"),
        ("/usr/bin/deadbeef", "/usr/bin/cafe"),
        ("/tmp/x", "/var/tmp/x"),
    ],
)
def test_different_programs_stay_different(one: str, other: str) -> None:
    assert fp.stable_path(one) != fp.stable_path(other)


def test_an_interpreter_is_told_apart_by_its_script() -> None:
    assert fp.program_of(process("/usr/bin/python3.11", "/opt/a.py")) != fp.program_of(
        process("/usr/bin/python3.11", "/opt/b.py")
    )
    assert fp.program_of(process("/usr/bin/python3.11", "-u", "/opt/a.py")) == fp.program_of(
        process("/usr/bin/python3.12", "/opt/a.py", "x")
    )
    assert fp.program_of(process("/bin/sh", "-c", "id; one")) == fp.program_of(process("/bin/sh", "-c", "id; two"))
    assert fp.program_of(None) == "?"


@pytest.mark.parametrize(
    ("pod", "owner"),
    [
        ("order-api-7d9c5b6f8d-x2x7k", "order-api"),
        ("fluentd-8xk2p", "fluentd"),
        ("postgres-0", "postgres"),
        ("postgres-12", "postgres"),
        ("backup-28712345-x2x7k", "backup"),
        ("order-api", "order-api"),
    ],
)
def test_a_pod_is_known_by_its_workload(pod: str, owner: str) -> None:
    container = Container(id="aaaaaaaaaaaa", full_id="a" * 64, since_ns=1, pod=Pod(name=pod, namespace="shop"))
    assert fp.workload_of("node-17", "aaaaaaaaaaaa", container).key == f"shop/{owner}"


def test_two_containers_of_one_image_on_one_host_are_one_workload() -> None:
    def of(identifier: str, image: str) -> AssetRef:
        return fp.workload_of(
            "node-17",
            identifier,
            Container(id=identifier, full_id=identifier, since_ns=1, name=identifier, image=image),
        )

    assert (
        of("aaaaaaaaaaaa", "reg:5000/web:1.25").key
        == of("bbbbbbbbbbbb", "reg:5000/web:1.26").key
        == "node-17/reg:5000/web"
    )
    assert of("aaaaaaaaaaaa", "web:1").key != of("bbbbbbbbbbbb", "db:1").key
    assert fp.workload_of("node-17", "host", None) == HOST
    assert fp.workload_of("node-17", "cccccccccccc", None).key == "node-17/cccccccccccc"


def test_a_threat_is_rule_place_and_program_and_nothing_else() -> None:
    one = fp.threat("PHX-1", HOST, fp.program_of(process("/usr/bin/nc", "-e", pid=1, start=2)))
    same = fp.threat("PHX-1", HOST, fp.program_of(process("/usr/bin/nc", "-l", "4444", pid=99, start=77)))
    assert one == same
    assert one.recipe == "threat/1"
    assert (
        len(
            {
                one,
                fp.threat("PHX-2", HOST, "/usr/bin/nc"),
                fp.threat("PHX-1", OTHER, "/usr/bin/nc"),
                fp.threat("PHX-1", HOST, "/bin/x"),
            }
        )
        == 4
    )


def test_the_other_kinds_leave_out_what_is_volatile() -> None:
    assert fp.vulnerability("CVE-1", "pkg:maven/a/b@1.0", HOST) == fp.vulnerability(
        "CVE-1", "pkg:maven/a/b@1.1?x=y", HOST
    )
    assert fp.vulnerability("CVE-1", "pkg:maven/a/b@1.0", HOST) != fp.vulnerability("CVE-2", "pkg:maven/a/b@1.0", HOST)
    assert fp.misconfiguration("C", HOST, "/spec/containers/0/image") == fp.misconfiguration(
        "C", HOST, "/spec/containers/3/image"
    )
    assert fp.misconfiguration("C", HOST, "/spec/containers/0/image") != fp.misconfiguration(
        "C", HOST, "/spec/containers/0/name"
    )
    assert fp.weakness("R", "a.py", "x =  f( y )\n") == fp.weakness("R", "a.py", "x = f(y)")
    assert fp.weakness("R", "a.py", "x = f(y)") != fp.weakness("R", "b.py", "x = f(y)")
    assert fp.secret("R", "d1", HOST) != fp.secret("R", "d2", HOST)
    assert fp.malware("S", "sha", HOST) != fp.malware("S", "sha", OTHER)
    assert fp.anomaly("D", HOST, "egress") != fp.anomaly("D", HOST, "exec")
    assert fp.exposure(HOST, "tcp", 80, "internet") != fp.exposure(HOST, "tcp", 81, "internet")
    kinds = {
        fp.vulnerability("a", "a", HOST).recipe,
        fp.misconfiguration("a", HOST, "a").recipe,
        fp.weakness("a", "a", "a").recipe,
        fp.secret("a", "a", HOST).recipe,
        fp.malware("a", "a", HOST).recipe,
        fp.anomaly("a", HOST, "a").recipe,
        fp.exposure(HOST, "tcp", 1, "a").recipe,
        fp.threat("a", HOST, "a").recipe,
    }
    assert kinds == set(fp.RECIPES.values())


def test_a_recipe_never_changes_silently() -> None:
    # these values are in people's stores: a changed recipe needs a new version, and this line then gets a second one beside it
    assert fp.threat("PHX-1", HOST, "/usr/bin/nc").value == EXPECTED_THREAT_1


EXPECTED_THREAT_1 = "1ac34e4b88cb8c2133fd3b9eb458ac9c"


@given(st.text(max_size=300))
def test_any_path_has_a_stable_form(path: str) -> None:
    once = fp.stable_path(path)
    assert fp.stable_path(path) == once


@given(st.text(min_size=1, max_size=80))
def test_any_pod_name_has_an_owner(name: str) -> None:
    assert fp.pod_owner(name)
