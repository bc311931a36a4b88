"""A detection: a rule that matched an event, with why."""

from __future__ import annotations

from msgspec import Struct

from phalanx.model.container import Container
from phalanx.model.event import Event
from phalanx.model.ids import RuleId
from phalanx.model.process import Process
from phalanx.model.severity import Severity

__all__ = ["Detection", "Match"]


class Match(Struct, frozen=True, kw_only=True):
    """One comparison of the rule's condition that held, with the value it saw: the answer to "why did it fire"."""

    text: str
    """The comparison as it stands in the rule, after its macros: ``proc.name in (nc, ncat)``."""
    field: str
    value: str
    """What the event held there, bounded."""


class Detection(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A rule matched an event."""

    id: str
    """``<event id>/<rule id>``: the same rule on the same event is the same detection, delivered once or twice."""
    rule: RuleId
    """Own rules by id, others by name."""
    rule_name: str
    rule_version: str
    """Hash of the rule as loaded, so that a finding can say under which text it fired."""
    severity: Severity
    priority: str
    """Falco's priority as written."""
    techniques: tuple[str, ...] = ()
    """ATT&CK ids."""
    tags: tuple[str, ...] = ()
    output: str
    """The rule's output with its fields filled in, bounded, text still hostile."""
    ts_ns: int
    """Time of the event."""
    decided_ns: int
    """When the rule was decided, UTC ns; minus ``ts_ns`` is the delay of detection."""
    waited: bool = False
    """True when it waited for metadata."""
    event: Event
    container: Container | None = None
    """As known when decided; None on the host."""
    lineage: tuple[Process, ...] = ()
    """The process and its ancestors, nearest first."""
    matches: tuple[Match, ...] = ()
