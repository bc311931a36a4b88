"""The rules at work on a stream of events.

An event is judged at once. A rule that rests on something UNKNOWN waits: when the facts come within :data:`DECIDE_NS` it is decided as if
nothing had happened; after that it is recorded as *undecided*, counted and shown, and still decided when the facts come within
:data:`KEEP_NS`. No alert rests on an UNKNOWN, and nobody silences a rule by stalling a runtime. Bounded: at most :data:`MAX_WAITING` events wait; what
that forces out is recorded as undecided at once and counted.

Not safe to use from two threads at once, except :meth:`Engine.reload` and :meth:`Engine.statistics`, which may be called from any.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from phalanx.detect.statistics import EngineStatistics, RuleStatistics, UndecidedRecord
from phalanx.language.explain import why
from phalanx.language.fields_process import register_boot
from phalanx.language.interpreter import interpret
from phalanx.language.matcher import Matcher
from phalanx.language.ruleset import Rule, RuleSet
from phalanx.model.container import Container
from phalanx.model.detection import Detection
from phalanx.model.event import Event
from phalanx.model.ids import RuleId
from phalanx.model.process import Process
from phalanx.model.values import UNKNOWN, Maybe

__all__ = ["DECIDE_NS", "KEEP_NS", "MAX_WAITING", "Engine", "FactLookup"]

DECIDE_NS: Final = 500_000_000
"""How long a rule waits before it is recorded as undecided."""
KEEP_NS: Final = 60_000_000_000
"""How long its event is kept, to be judged again when the facts come."""
MAX_WAITING: Final = 20_000
"""Events that may wait at once."""
_SAMPLE: Final = 64
"""Of so many events one is timed, for the cost of rules."""

FactLookup = Callable[[str, int], Maybe[Container]]
"""``(container id, time of the event)`` → what is known of the container; UNKNOWN when nothing is yet, None when there is none."""


class _Waiting:
    """An event some of whose rules wait."""

    __slots__ = ("deadline", "event", "records", "rules", "until")

    def __init__(self, event: Event, rules: dict[str, Rule], now_ns: int) -> None:
        self.event = event
        self.rules = rules
        self.deadline: int | None = now_ns + DECIDE_NS
        """When its rules are recorded as undecided; None once they are."""
        self.until = now_ns + KEEP_NS
        self.records: list[int] = []
        """Numbers of its records, once recorded."""


class _Counts:
    __slots__ = ("last_match_ns", "matched", "undecided", "waited")

    def __init__(self) -> None:
        self.matched = 0
        self.undecided = 0
        self.waited = 0
        self.last_match_ns: int | None = None


class Engine:
    """Judges events by a rule set that may change at any time."""

    def __init__(
        self,
        ruleset: RuleSet,
        clock: Callable[[], int] = time.time_ns,
        facts: FactLookup | None = None,
    ) -> None:
        """``clock`` gives UTC ns; ``facts`` is asked for the container of events that come without one."""
        self._clock = clock
        self._facts = facts
        self._matcher = ruleset.matcher
        self._ruleset = ruleset
        self._offered: tuple[RuleSet, Matcher] | None = None
        self._lock = threading.Lock()
        self._by_container: dict[str, OrderedDict[int, _Waiting]] = {}
        self._order: OrderedDict[int, tuple[str, _Waiting]] = OrderedDict()
        self._undue: deque[tuple[int, int]] = deque()
        self._serial = 0
        self._types: dict[str, int] = {}
        self._type_ns: dict[str, list[int]] = {}
        self._counts: dict[str, _Counts] = {}
        self._records: OrderedDict[int, UndecidedRecord] = OrderedDict()
        self._events = self._detections = self._undecided = self._dropped = self._reloads = 0
        _register_this_boot()

    @property
    def ruleset(self) -> RuleSet:
        """The rule set in force."""
        offered = self._offered
        return offered[0] if offered is not None else self._ruleset

    def reload(self, ruleset: RuleSet) -> None:
        """Put another rule set into force from the next event on; from any thread. Waiting events are judged by the rules of the same id in it.

        A large set takes a second to compile: ask for ``ruleset.matcher`` before, where waiting harms nobody.

        RuleError when the set has errors: then nothing changes.
        """
        if ruleset.errors:
            raise ruleset.errors[0].error()
        matcher = ruleset.matcher
        with self._lock:
            self._offered = (ruleset, matcher)

    def _take_offer(self) -> None:
        with self._lock:
            offered, self._offered = self._offered, None
        if offered is None:
            return
        self._ruleset, self._matcher = offered
        self._reloads += 1
        for _, waiting in self._order.values():
            rules = {}
            for rule_id in waiting.rules:
                rule = self._ruleset.rule(rule_id)
                if rule is not None and rule.state == "live":
                    rules[rule_id] = rule
            waiting.rules = rules

    def feed(self, event: Event) -> list[Detection]:
        """Judge one event; the detections it makes at once."""
        if self._offered is not None:
            self._take_offer()
        self._events += 1
        kind = event.type
        seen = self._types[kind] = self._types.get(kind, 0) + 1
        if self._facts is not None and event.container is UNKNOWN:
            event = self._with_facts(event)
        if seen % _SAMPLE == 1:
            began = time.perf_counter_ns()
            hits, undecided = self._matcher.match(event)
            timed = self._type_ns.setdefault(kind, [0, 0])
            timed[0] += time.perf_counter_ns() - began
            timed[1] += 1
        else:
            hits, undecided = self._matcher.match(event)
        if undecided:
            rules = self._matcher.rules
            self._wait(event, {rules[index].id: rules[index] for index in undecided})
        if not hits:
            return []
        now = self._clock()
        return [self._detect(self._matcher.rules[index], event, now, waited=False) for index in hits]

    def _with_facts(self, event: Event) -> Event:
        process = event.process
        if not isinstance(process, Process):
            return event
        if process.container_id == "host":
            return msgspec.structs.replace(event, container=None)
        assert self._facts is not None
        found = self._facts(process.container_id, event.ts_ns)
        return event if found is UNKNOWN else msgspec.structs.replace(event, container=found)

    def _detect(self, rule: Rule, event: Event, now_ns: int, *, waited: bool) -> Detection:
        self._detections += 1
        counts = self._counts.setdefault(rule.id, _Counts())
        counts.matched += 1
        counts.waited += waited
        counts.last_match_ns = event.ts_ns
        process = event.process
        lineage = (process, *process.ancestors()) if isinstance(process, Process) else ()
        return Detection(
            id=f"{event.id}/{rule.id}",
            rule=RuleId(rule.id),
            rule_name=rule.name,
            rule_version=rule.version,
            severity=rule.severity,
            priority=rule.priority,
            techniques=rule.techniques,
            tags=rule.tags,
            output=rule.output.render(event),
            ts_ns=event.ts_ns,
            decided_ns=now_ns,
            waited=waited,
            event=event,
            container=event.container if isinstance(event.container, Container) else None,
            lineage=lineage,
            matches=why(rule.condition.node, event),
        )

    # waiting

    def _wait(self, event: Event, rules: dict[str, Rule]) -> None:
        process = event.process
        container = process.container_id if isinstance(process, Process) and event.container is UNKNOWN else ""
        now = self._clock()
        while len(self._order) >= MAX_WAITING:
            serial, (_, oldest) = next(iter(self._order.items()))
            self._dropped += 1
            if oldest.deadline is not None:
                self._record(oldest, now)
            self._forget(serial)
        self._serial += 1
        waiting = _Waiting(event, rules, now)
        self._order[self._serial] = (container, waiting)
        self._by_container.setdefault(container, OrderedDict())[self._serial] = waiting
        self._undue.append((now + DECIDE_NS, self._serial))
        if len(self._undue) > 4 * MAX_WAITING:
            self._undue = deque(entry for entry in self._undue if entry[1] in self._order)

    def _forget(self, serial: int) -> None:
        container, _ = self._order.pop(serial)
        group = self._by_container[container]
        del group[serial]
        if not group:
            del self._by_container[container]

    def _record(self, waiting: _Waiting, now_ns: int) -> None:
        """The wait is over: say of each rule that it is undecided."""
        waiting.deadline = None
        event = waiting.event
        process = event.process
        container = process.container_id if isinstance(process, Process) and event.container is UNKNOWN else ""
        for rule_id in waiting.rules:
            self._undecided += 1
            self._counts.setdefault(rule_id, _Counts()).undecided += 1
            number = self._undecided
            waiting.records.append(number)
            self._records[number] = UndecidedRecord(
                rule=RuleId(rule_id), event=event.id, container=container, ts_ns=event.ts_ns, recorded_ns=now_ns
            )
            if len(self._records) > 200:
                self._records.popitem(last=False)

    def facts_arrived(self, container: Container) -> list[Detection]:
        """Judge again what waited for this container."""
        if self._offered is not None:
            self._take_offer()
        group = self._by_container.get(container.id)
        if not group:
            return []
        now = self._clock()
        detections: list[Detection] = []
        for serial, waiting in list(group.items()):
            if now >= waiting.until or waiting.event.ts_ns < container.since_ns - KEEP_NS:
                continue
            event = msgspec.structs.replace(waiting.event, container=container)
            still: dict[str, Rule] = {}
            for position, (rule_id, rule) in enumerate(waiting.rules.items()):
                answer = interpret(rule.condition.node, event)
                if answer is None:
                    still[rule_id] = rule
                    continue
                if answer:
                    detections.append(self._detect(rule, event, now, waited=True))
                if (
                    position < len(waiting.records)
                    and (record := self._records.get(waiting.records[position])) is not None
                ):
                    self._records[waiting.records[position]] = msgspec.structs.replace(record, decided=answer)
            self._forget(serial)
            if still and waiting.deadline is not None:
                self._wait(event, still)
        return detections

    def tick(self, now_ns: int | None = None) -> list[UndecidedRecord]:
        """Let time pass; call it several times a second. Returns the rules that became undecided since the last call."""
        if self._offered is not None:
            self._take_offer()
        now = self._clock() if now_ns is None else now_ns
        before = self._undecided
        while self._undue and self._undue[0][0] <= now:
            _, serial = self._undue.popleft()
            held = self._order.get(serial)
            if held is not None and held[1].deadline is not None:
                self._record(held[1], now)
        while self._order:
            serial, (_, waiting) = next(iter(self._order.items()))
            if waiting.until > now:
                break
            self._forget(serial)
        return [record for number, record in self._records.items() if number > before]

    def statistics(self) -> EngineStatistics:
        """Counters; cheap."""
        matcher = self._matcher
        per_type = dict(self._types)
        evaluated = dict.fromkeys(range(len(matcher.rules)), 0)
        spent = dict.fromkeys(range(len(matcher.rules)), 0.0)
        for kind, events in per_type.items():
            bucket = matcher.bucket(kind)
            total, samples = self._type_ns.get(kind, (0, 0))
            share = total / samples * events / len(bucket) if samples and bucket else 0.0
            for index in bucket:
                evaluated[index] += events
                spent[index] += share
        rules = []
        for index, rule in enumerate(matcher.rules):
            counts = self._counts.get(rule.id) or _Counts()
            rules.append(
                RuleStatistics(
                    rule=RuleId(rule.id),
                    evaluated=evaluated[index],
                    matched=counts.matched,
                    undecided=counts.undecided,
                    waited=counts.waited,
                    last_match_ns=counts.last_match_ns,
                    ns=round(spent[index]),
                )
            )
        return EngineStatistics(
            events=self._events,
            detections=self._detections,
            undecided=self._undecided,
            waiting=len(self._order),
            dropped=self._dropped,
            reloads=self._reloads,
            rules_version=self._ruleset.version,
            rules=tuple(rules),
            recent_undecided=tuple(self._records.values()),
        )


def _register_this_boot() -> None:
    """Let ``proc.duration`` of processes of this machine have a value."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return
    register_boot(boot, time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME))
