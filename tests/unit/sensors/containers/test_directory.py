"""A directory that never waits, is bounded, and asks again."""

from __future__ import annotations

import threading
import time

from phalanx.model.container import Container
from phalanx.model.values import UNKNOWN
from phalanx.sensors.containers.directory import MAX_CONTAINERS, MAX_WAITING, ContainerDirectory


def until(condition, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never became true"
        time.sleep(0.005)


def test_a_container_is_unknown_until_a_runtime_has_told_and_then_known_and_told_on() -> None:
    answers: dict[str, Container] = {}
    directory = ContainerDirectory(lookups=(lambda id, since_ns: answers.get(id),))
    directory.start()
    try:
        assert directory.lookup("host") is None
        before = time.time_ns()
        assert directory.lookup("aaaaaaaaaaaa") is UNKNOWN
        time.sleep(0.03)
        assert directory.lookup("aaaaaaaaaaaa") is UNKNOWN
        answers["aaaaaaaaaaaa"] = Container(id="aaaaaaaaaaaa", full_id="a" * 64, since_ns=before, image="nginx")
        until(lambda: directory.lookup("aaaaaaaaaaaa") is not UNKNOWN)
        found = directory.lookup("aaaaaaaaaaaa")
        assert isinstance(found, Container)
        assert found.image == "nginx"
        assert directory.changes() == [found]
        assert directory.changes() == []
        directory.ended("aaaaaaaaaaaa")
        (ended,) = directory.changes()
        assert ended.until_ns is not None
        assert ended.image == "nginx"
    finally:
        directory.close()


def test_a_runtime_that_stalls_delays_nobody_who_asks() -> None:
    release = threading.Event()

    def stalls(id: str, since_ns: int) -> None:
        release.wait(10)

    directory = ContainerDirectory(lookups=(stalls,))
    directory.start()
    try:
        answers = [directory.lookup(f"{number:012x}") for number in range(200)]
        assert set(answers) == {UNKNOWN}
        assert directory.statistics().waiting == 200
    finally:
        release.set()
        directory.close()


def test_what_waits_and_what_is_known_is_bounded_and_the_rest_is_counted() -> None:
    directory = ContainerDirectory(lookups=())
    for number in range(MAX_WAITING + 50):
        directory.lookup(f"{number:012x}")
    assert directory.statistics().waiting == MAX_WAITING
    assert directory.statistics().dropped == 50
    directory = ContainerDirectory(lookups=(lambda id, since_ns: Container(id=id, full_id=id, since_ns=0),))
    directory.start()
    try:
        for start in range(0, MAX_CONTAINERS + 200, 500):
            for number in range(start, start + 500):
                directory.lookup(f"{number:012x}")
            until(lambda: directory.statistics().waiting == 0)
        assert directory.statistics().known == MAX_CONTAINERS
    finally:
        directory.close()
