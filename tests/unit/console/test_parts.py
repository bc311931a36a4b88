"""Small pure parts: time windows, charts, conditions, trees, addresses."""

from __future__ import annotations

from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phalanx.console.charts import HEIGHT, WIDTH, chart
from phalanx.console.condition import coloured, joined, quote
from phalanx.console.content import advice_of, titles
from phalanx.console.times import rfc3339, window
from phalanx.console.tree import connectors, process_tree
from phalanx.console.view import local_target
from phalanx.console.words import words_of
from phalanx.errors import UsageError
from phalanx.language.condition import parse_condition
from phalanx.model.event import Exec
from phalanx.model.evidence import ProcessTree, SeenEvent
from phalanx.model.finding import AssetRef, Finding, FindingKind, Risk
from phalanx.model.ids import FindingId, ProcessId
from phalanx.model.process import Process
from phalanx.model.severity import Severity
from phalanx.services.event_types import Bucket, CoverageAnswer, Histogram
from phalanx.services.events import EventRow

NOW = 1_790_000_000_000_000_000
S = 10**9


def test_windows_move_with_the_clock_or_stand_still() -> None:
    assert window({}, NOW).since_ns == NOW - 3600 * S
    assert window({"range": "7d"}, NOW).name == "7d"
    fixed = window({"from": "2026-09-21T14:13:20.000Z", "to": "2026-09-21T14:14:20Z"}, NOW)
    assert (fixed.length_ns, fixed.name) == (60 * S, "")
    later = fixed.moved(0.5)
    assert later["from"] == "2026-09-21T14:13:50.000Z"
    for wrong in (
        {"range": "9y"},
        {"from": "soon"},
        {"from": rfc3339(NOW), "to": rfc3339(NOW - S)},
        {"from": "99999-01-01"},
    ):
        with pytest.raises(UsageError):
            window(wrong, NOW)


def histogram(*buckets: Bucket, series: tuple[str, ...] = ()) -> Histogram:
    coverage = CoverageAnswer(complete=True, recorded_since_ns=0)
    return Histogram(
        since_ns=0, until_ns=len(buckets) * 60 * S, width_ns=60 * S, buckets=buckets, series=series, coverage=coverage
    )


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), st.booleans()), min_size=1, max_size=60))
def test_bars_stand_on_the_ground_and_stay_inside(parts: list[tuple[int, int, bool]]) -> None:
    buckets = [
        Bucket(since_ns=i * 60 * S, count=a + b, by={"high": a, "info": b}, covered=covered)
        for i, (a, b, covered) in enumerate(parts)
    ]
    drawn = chart(histogram(*buckets, series=("high", "info")), words_of("en"), UTC)
    assert drawn.total == sum(a + b for a, b, _ in parts)
    assert len(drawn.gaps) == sum(1 for *_, covered in parts if not covered)
    for bar in drawn.bars:
        assert bar.x >= 0
        assert bar.x + bar.width <= WIDTH + 0.1
        assert bar.y >= 0
        assert bar.y + bar.height <= HEIGHT + 0.1


def test_what_was_not_recorded_is_hatched_never_zero() -> None:
    drawn = chart(
        histogram(Bucket(since_ns=0, count=0, covered=False), Bucket(since_ns=60 * S, count=3, lost=2)),
        words_of("en"),
        UTC,
    )
    assert [gap.css for gap in drawn.gaps] == ["hatch", "hatch"]
    assert drawn.table[0][3] is False


@given(st.text(max_size=60).filter(lambda text: "\0" not in text))
def test_a_pivot_is_a_condition_of_the_language(value: str) -> None:
    parse_condition(f"proc.name = {quote(value)}")


def test_conditions_are_coloured_without_changing_their_text() -> None:
    text = 'evt.type in (open, openat) and not fd.name startswith "/tmp/<b>" or proc.aname[2]=x'
    shown = coloured(text, break_lines=False)
    assert shown.striptags() == " ".join(text.split())
    assert "<b>" not in str(shown).replace("<bdi", "")
    assert joined("a = b or c = d", "e = f") == "(a = b or c = d) and e = f"


@given(st.lists(st.integers(0, 8), max_size=40))
def test_connectors_fit_the_depths(depths: list[int]) -> None:
    lines = connectors(depths)
    assert [len(line) for line in lines] == depths
    for line in lines:
        assert set(line[:-1]) <= {"l", "z"}
        assert not line or line[-1] in ("f", "e")


def a_finding() -> Finding:
    init = Process(id=ProcessId("b:1:0"), pid=1, start_ns=0, name="systemd", parent=None)
    java = Process(id=ProcessId("b:5:1"), pid=5, start_ns=1, ppid=1, name="java", container_id="c0ffee", parent=init)
    shell = Process(
        id=ProcessId("b:6:1"),
        pid=6,
        start_ns=1,
        ppid=5,
        name="sh",
        argv=("-c", "id"),
        container_id="c0ffee",
        parent=java,
    )
    event = Exec(ts_ns=NOW, agent="a" * 16, seq=1, type="execve", process=shell)
    return Finding(
        id=FindingId("F-1"),
        kind=FindingKind.THREAT,
        fingerprint="f" * 32,
        recipe="threat/1",
        title="Shell in a container",
        severity=Severity.HIGH,
        asset=AssetRef(kind="container", key="c0ffee", name="web"),
        risk=Risk(score=70, likelihood=0.9, impact=0.78),
        first_seen_ns=NOW,
        last_seen_ns=NOW,
        evidence=(
            ProcessTree(sensor="kernel", ts_ns=NOW, lineage=(shell, java, init)),
            SeenEvent(sensor="kernel", ts_ns=NOW, event=event),
        ),
    )


def test_a_tree_shows_where_it_enters_the_container_and_folds_the_many() -> None:
    many = [
        EventRow(id=f"e{i}", ts_ns=NOW + i * S, kind="exec", type="execve", agent="a", process="gcc", what="gcc -c x.c")
        for i in range(36)
    ]
    tree = process_tree(a_finding(), many, words_of("en"), "node-1", title="Shell in a container")
    kinds = [node.kind for node in tree.rows]
    assert kinds == ["lane", "process", "edge", "lane", "process", "process", "fold"]
    assert tree.rows[2].place == "enters"
    assert tree.rows[-1].folded == 36
    assert tree.count == 39
    assert not tree.cut
    assert [node.name for node in tree.rows if node.acted] == ["sh"]


def test_titles_follow_the_language_and_fall_back() -> None:
    index = {
        "PHX-1": {"phalanx": {"title": {"en": "Shell", "zh": "外壳"}, "advice": {"en": "Look", "zh": "查看"}}},
        "other": {"rule": "x"},
    }
    assert titles(index, "zh")("Shell") == "外壳"
    assert titles(index, "zh")("Unknown") == "Unknown"
    assert titles(index, "en")("Shell") == "Shell"
    assert advice_of(index, "zh", "PHX-1", "Look") == "查看"
    assert advice_of(index, "zh", "other", "Look") == "Look"


@pytest.mark.parametrize(
    "wrong", ["", "//evil.example", "https://evil.example", "/\\evil.example", "/a\nb", "javascript:alert(1)"]
)
def test_forms_never_send_people_elsewhere(wrong: str) -> None:
    assert local_target(wrong) == "/"
    assert local_target("/findings?sort=title") == "/findings?sort=title"
