"""From records to hits: ranges, listed versions, aliases, withdrawals, states, and the file itself."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phalanx.advisories.compiler import Compiler, merge_signals
from phalanx.advisories.database import Database, verify
from phalanx.advisories.match import match
from phalanx.advisories.model import Advisory, Affected, Exploit, Feed, FixState, Range, Signal
from phalanx.advisories.rank import decide, rate
from phalanx.advisories.readers.osv import read_osv
from phalanx.advisories.readers.tally import Tally
from phalanx.errors import CorruptError, UnavailableError
from phalanx.model.severity import Severity


def record(identifier: str, ecosystem: str, name: str, events: list[dict[str, str]], **more: Any) -> bytes:
    affected = {"package": {"ecosystem": ecosystem, "name": name}, "ranges": [{"type": "ECOSYSTEM", "events": events}]}
    affected.update(more.pop("affected", {}))
    return json.dumps({"id": identifier, "modified": "2024-01-01T00:00:00Z", "affected": [affected], **more}).encode()


def database(tmp_path: Path, *records: bytes, signals: tuple[Signal, ...] = ()) -> Database:
    compiler, tally = Compiler(), Tally()
    for raw in records:
        compiler.advisories(read_osv(raw, "osv:test", tally))
    compiler.signals(signals)
    compiler.feed(Feed(name="osv:test", title="hand-made", licence="CC0-1.0", records=tally.records))
    compiler.write(tmp_path / "a.db")
    return Database(tmp_path / "a.db")


def ids(found: Database, ecosystem: str, name: str, version: str) -> list[str]:
    return sorted(flaw for hit in match(found, ecosystem, name, version) for flaw in hit.flaws)


def test_a_range_ends_before_its_fix_and_holds_its_start(tmp_path: Path) -> None:
    found = database(tmp_path, record("CVE-1", "PyPI", "Jinja2", [{"introduced": "2.0"}, {"fixed": "2.10.1"}]))
    assert [ids(found, "PyPI", "jinja2", version) for version in ("1.9", "2.0", "2.10", "2.10.1")] == [
        [],
        ["CVE-1"],
        ["CVE-1"],
        [],
    ]
    (hit,) = match(found, "PyPI", "JINJA2", "2.10")
    assert hit.comparison == "2.0 <= version < 2.10.1"
    assert hit.fixed == "2.10.1"


def test_last_affected_is_affected(tmp_path: Path) -> None:
    found = database(tmp_path, record("CVE-1", "npm", "x", [{"introduced": "0"}, {"last_affected": "1.2.0"}]))
    assert [ids(found, "npm", "x", version) for version in ("1.2.0", "1.2.1")] == [["CVE-1"], []]


def test_introduced_0_covers_go_pseudo_versions(tmp_path: Path) -> None:
    found = database(
        tmp_path,
        record("GO-1", "Go", "golang.org/x/sys", [{"introduced": "0"}, {"fixed": "0.0.0-20220412211240-33da011f77ad"}]),
    )
    assert ids(found, "Go", "golang.org/x/sys", "v0.0.0-20200116001909-b77594299b42") == ["GO-1"]
    assert ids(found, "Go", "golang.org/x/sys", "v0.1.0") == []


def test_a_listed_version_counts_although_its_range_does_not_hold_it(tmp_path: Path) -> None:
    events = [{"introduced": "3.2"}, {"fixed": "3.2.5"}]
    found = database(
        tmp_path, record("CVE-1", "PyPI", "django", events, affected={"versions": ["3.2rc1", "3.2", "3.2.4"]})
    )
    (hit,) = match(found, "PyPI", "Django", "3.2rc1")
    assert hit.listed
    assert hit.fixed == "3.2.5"
    assert ids(found, "PyPI", "Django", "3.2rc2") == []
    assert ids(found, "PyPI", "Django", "3.2.0") == ["CVE-1"]


def test_several_introductions_make_several_ranges(tmp_path: Path) -> None:
    events = [{"introduced": "0"}, {"fixed": "1.16.13"}, {"introduced": "1.17.0"}, {"fixed": "1.17.9"}]
    found = database(tmp_path, record("CVE-1", "Kubernetes", "k8s.io/apiserver", events))
    got = [
        bool(ids(found, "Kubernetes", "k8s.io/apiserver", version))
        for version in ("1.16.12", "1.16.13", "1.17.8", "1.17.9")
    ]
    assert got == [True, False, True, False]


def test_a_withdrawn_advisory_is_known_but_matches_nothing(tmp_path: Path) -> None:
    found = database(tmp_path, record("CVE-1", "npm", "x", [{"introduced": "0"}], withdrawn="2024-01-01T00:00:00Z"))
    assert ids(found, "npm", "x", "1.0.0") == []
    assert found.named("CVE-1")[0].withdrawn


def test_an_alias_that_means_one_cve_elsewhere_is_told_by_that_cve(tmp_path: Path) -> None:
    found = database(
        tmp_path,
        record("GHSA-aaaa", "npm", "x", [{"introduced": "0"}]),
        record("PYSEC-1", "PyPI", "y", [{"introduced": "0"}], aliases=["CVE-2024-1", "GHSA-aaaa"]),
    )
    assert ids(found, "npm", "x", "1.0.0") == ["CVE-2024-1"]


def test_a_dsa_tells_each_cve_it_answers(tmp_path: Path) -> None:
    found = database(
        tmp_path,
        record(
            "DSA-1",
            "Debian:12",
            "curl",
            [{"introduced": "0"}, {"fixed": "7.88-2"}],
            upstream=["CVE-2024-1", "CVE-2024-2"],
        ),
    )
    assert ids(found, "Debian:12", "curl", "7.88-1") == ["CVE-2024-1", "CVE-2024-2"]
    assert ids(found, "Debian:11", "curl", "7.88-1") == []


def test_what_a_publisher_calls_not_affected_never_matches(tmp_path: Path) -> None:
    compiler = Compiler()
    not_affected = Affected(ecosystem="npm", name="x", ranges=(Range(),), state=FixState.NOT_AFFECTED)
    compiler.advisories([Advisory(id="CVE-1", source="vex", affected=(not_affected,))])
    compiler.write(tmp_path / "b.db")
    assert ids(Database(tmp_path / "b.db"), "npm", "x", "1.0.0") == []


def test_broken_records_are_counted_by_reason_and_the_rest_is_read() -> None:
    tally = Tally()
    raws = [
        b"{",
        b"[]",
        b'{"id": ""}',
        b'{"id": "X", "affected": null}',
        b'{"id":"Y","affected":[{"package":null,"ranges":[{"events":[null,{"introduced":5}]}]}]}',
    ]
    read = [advisory.id for raw in raws for advisory in read_osv(raw, "test", tally)]
    assert read == ["X", "Y"]
    assert dict(tally.reasons) == {"not JSON": 1, "no id": 2}


def test_two_sources_of_one_flaw_keep_the_stronger_statement() -> None:
    weak = Signal(id="CVE-1", ssvc="poc", exploits=(Exploit(source="github", reference="a"),), epss=0.1)
    strong = Signal(id="CVE-1", kev="2024-02-01", ssvc="active", ransomware=True)
    for merged in (merge_signals(weak, strong), merge_signals(strong, weak)):
        assert (merged.kev, merged.ssvc, merged.ransomware, merged.epss, len(merged.exploits)) == (
            "2024-02-01",
            "active",
            True,
            0.1,
            1,
        )


def test_the_file_is_replaced_while_a_reader_has_it_open(tmp_path: Path) -> None:
    old = database(tmp_path, record("CVE-OLD", "npm", "x", [{"introduced": "0"}]))
    new = database(tmp_path, record("CVE-NEW", "npm", "x", [{"introduced": "0"}]))
    assert ids(old, "npm", "x", "1.0.0") == ["CVE-OLD"]
    assert ids(new, "npm", "x", "1.0.0") == ["CVE-NEW"]
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a.db", "a.db.sha256"]


def test_a_changed_file_is_found_by_its_hash(tmp_path: Path) -> None:
    database(tmp_path, record("CVE-1", "npm", "x", [{"introduced": "0"}])).close()
    verify(tmp_path / "a.db")
    with (tmp_path / "a.db").open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        last = stream.read(1)
        stream.seek(-1, os.SEEK_END)
        stream.write(bytes((last[0] ^ 1,)))
    with pytest.raises(CorruptError, match="not what its"):
        verify(tmp_path / "a.db")


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0", b"garbage" * 1000])
def test_what_is_no_database_is_said_with_a_hint(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(content)
    with pytest.raises(CorruptError, match="not an advisory database"):
        Database(path)


def test_no_database_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="advisories update"):
        Database(tmp_path / "none.db")


def test_exploitation_makes_act_and_a_score_alone_does_not() -> None:
    exploited = decide(Severity.MEDIUM, Signal(id="x", kev="2024-01-01"), fixable=True)
    critical = decide(Severity.CRITICAL, None, fixable=True)
    proven = decide(
        Severity.HIGH, Signal(id="x", exploits=(Exploit(source="exploit-db", reference="1"),)), fixable=True
    )
    likely = decide(Severity.HIGH, Signal(id="x", epss=0.9), fixable=True)
    quiet = decide(Severity.HIGH, Signal(id="x", ssvc="none"), fixable=True)
    assert [one.decision for one in (exploited, critical, proven, likely, quiet)] == [
        "act",
        "attend",
        "attend",
        "act",
        "track",
    ]
    assert exploited.reasons[0].startswith("exploited: in CISA's catalogue since 2024-01-01")
    assert decide(Severity.MEDIUM, Signal(id="x", kev="2024-01-01"), fixable=True, in_use=False).decision != "act"


def test_the_newest_cvss_generation_rates_and_a_word_only_without_vectors() -> None:
    two, three = "AV:N/AC:L/Au:N/C:C/I:C/A:C", "CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N"
    assert rate([two, three], [Severity.CRITICAL])[:2] == (Severity.LOW, 1.8)
    assert rate([], [None, Severity.HIGH])[:2] == (Severity.HIGH, None)
    assert rate(["nonsense"], []) == (None, None, "")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "id",
                    "affected",
                    "package",
                    "name",
                    "ecosystem",
                    "ranges",
                    "events",
                    "introduced",
                    "fixed",
                    "versions",
                    "type",
                    "severity",
                    "score",
                    "aliases",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@settings(max_examples=300, deadline=None)
@given(JSON)
def test_any_json_is_read_or_counted(value: Any) -> None:
    tally, compiler = Tally(), Compiler()
    compiler.advisories(read_osv(json.dumps(value).encode(), "fuzz", tally))
    assert tally.records + tally.skipped == 1
