"""The chain of the operators' trail: what an attacker with the database could try."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phalanx.identity.audit import GENESIS, MAX_DETAIL, MAX_TEXT, AuditEntry, bounded_detail, entry_hash, verify_chain


def chain(length: int) -> list[AuditEntry]:
    entries: list[AuditEntry] = []
    for number in range(1, length + 1):
        fields = {
            "number": number,
            "ts_ns": number * 1_000,
            "actor": "ann",
            "via": "session",
            "credential": "c1",
            "source": "127.0.0.1",
            "action": "finding.state",
            "object": f"F-{number}",
            "outcome": "done",
            "detail": {"before": "open", "after": "fixed"},
            "previous": entries[-1].hash if entries else GENESIS,
        }
        entries.append(AuditEntry(**fields, hash=entry_hash(**fields)))  # type: ignore[arg-type]
    return entries


def test_a_whole_chain_is_intact() -> None:
    entries = chain(20)
    report = verify_chain(entries)
    assert (report.entries, report.broken_at, report.head) == (20, None, entries[-1].hash)
    assert verify_chain([]).head == GENESIS


@pytest.mark.parametrize(
    "change",
    [
        {"actor": "bob"},
        {"ts_ns": 7},
        {"action": "finding.owner"},
        {"object": "F-9"},
        {"outcome": "refused"},
        {"detail": {"before": "open"}},
        {"source": "10.0.0.1"},
        {"credential": "c2"},
        {"via": "token"},
    ],
)
def test_a_changed_entry_shows_at_its_place(change: dict[str, object]) -> None:
    entries = chain(9)
    entries[4] = msgspec.structs.replace(entries[4], **change)
    report = verify_chain(entries)
    assert report.broken_at == 5
    assert "hash" in report.why
    assert report.entries == 4


def test_an_entry_changed_together_with_its_hash_breaks_the_next_one() -> None:
    entries = chain(9)
    fields = msgspec.structs.asdict(msgspec.structs.replace(entries[4], actor="bob"))
    fields.pop("hash")
    entries[4] = AuditEntry(**fields, hash=entry_hash(**fields))
    assert verify_chain(entries).broken_at == 6


def test_a_missing_a_doubled_and_a_swapped_entry_show() -> None:
    entries = chain(9)
    assert verify_chain([*entries[:3], *entries[4:]]).broken_at == 4
    assert verify_chain([*entries[:3], entries[2], *entries[3:]]).broken_at == 4
    assert verify_chain([entries[1], entries[0], *entries[2:]]).broken_at == 1


def test_a_cut_end_needs_the_noted_head() -> None:
    # the chain itself cannot tell; this is why `audit verify` prints the head
    entries = chain(9)
    report = verify_chain(entries[:5])
    assert report.broken_at is None
    assert report.head != entries[-1].hash


@given(st.dictionaries(st.text(), st.text(), max_size=40))
def test_detail_is_bounded_whatever_it_holds(detail: dict[str, str]) -> None:
    kept = bounded_detail(detail)
    assert len(kept) <= MAX_DETAIL
    assert all(len(key) <= 64 and len(value) <= MAX_TEXT + 20 for key, value in kept.items())


def test_two_entries_that_only_join_alike_have_different_hashes() -> None:
    common = {
        "number": 1,
        "ts_ns": 1,
        "via": "session",
        "credential": "",
        "source": "",
        "outcome": "done",
        "detail": {},
        "previous": GENESIS,
    }
    one = entry_hash(actor="ab", action="c", object="d", **common)  # type: ignore[arg-type]
    other = entry_hash(actor="a", action="bc", object="d", **common)  # type: ignore[arg-type]
    assert one != other
