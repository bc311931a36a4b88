"""From a detection to the words of a finding: title, story, evidence. Templates over typed facts; what was observed is shown, never interpreted."""

from __future__ import annotations

import msgspec

from phalanx.model.container import Container
from phalanx.model.detection import Detection, Match
from phalanx.model.event import Event
from phalanx.model.evidence import Evidence, ProcessTree, RuleMatch, SeenEvent
from phalanx.model.finding import AssetRef
from phalanx.model.process import Process
from phalanx.text.hostile import show

__all__ = ["RuleText", "entities_of", "evidence_of", "keep_evidence", "process_of", "story_of", "title_of"]

_MAX_COMMAND = 400
_MAX_MATCHES = 40
_MAX_EVIDENCE_BYTES = 48 * 1024
"""Of one event with its process and ancestors, encoded; a larger one loses its ancestors' arguments."""


class RuleText(msgspec.Struct, frozen=True, kw_only=True):
    """What the hub knows of a rule beside what the detection carries."""

    title: str = ""
    """A sentence that says what is true when it fires."""
    condition: str = ""
    advice: str = ""
    refs: tuple[str, ...] = ()


def process_of(detection: Detection) -> Process | None:
    """Who acted; None when not known."""
    process = detection.event.process
    if isinstance(process, Process):
        return process
    return detection.lineage[0] if detection.lineage else None


def title_of(detection: Detection, rule: RuleText) -> str:
    """The rule's own sentence, or its name."""
    return show(rule.title or detection.rule_name, 200)


def story_of(detection: Detection, process: Process | None, container: Container | None, host: str) -> str:
    """Two or three sentences: who did it and where, who started it, what the rule says."""
    where = _place(process, container, host)
    if process is None:
        first = f"A process that is not known acted {where}."
    else:
        who = f"as {show(process.user, 40)}" if process.user and process.user != "<NA>" else f"with uid {process.uid}"
        first = f"{show(process.name or '?', 40)} (pid {process.pid}, {who}) ran {where}: {show(process.cmdline, _MAX_COMMAND)}."
    parents = [show(parent.name, 40) for parent in detection.lineage[1:4] if parent.name]
    second = f" It was started by {' ← '.join(parents)}." if parents else ""
    third = f" {show(detection.output, 600)}" if detection.output else ""
    return first + second + third


def _place(process: Process | None, container: Container | None, host: str) -> str:
    shown = show(host, 80)
    if container is not None:
        image = f" ({show(container.image, 120)})" if container.image else ""
        pod = f" of pod {show(container.pod.namespace, 80)}/{show(container.pod.name, 80)}" if container.pod else ""
        return f"in container {show(container.name or container.id, 80)}{image}{pod} on {shown}"
    if process is not None and process.container_id != "host":
        return f"in container {show(process.container_id, 20)} on {shown}"
    return f"on the host {shown}"


def entities_of(asset: AssetRef, host: str, container: Container | None) -> tuple[AssetRef, ...]:
    """Further assets that a threat touches."""
    found = [AssetRef(kind="host", key=host, name=host)]
    if container is not None:
        found.append(AssetRef(kind="container", key=container.id, name=container.name or container.id))
        if container.image:
            found.append(AssetRef(kind="image", key=container.image_digest or container.image, name=container.image))
        if container.pod is not None:
            pod = f"{container.pod.namespace}/{container.pod.name}"
            found.append(AssetRef(kind="pod", key=pod, name=pod))
    return tuple(entity for entity in found if (entity.kind, entity.key) != (asset.kind, asset.key))


def evidence_of(detection: Detection, rule: RuleText) -> tuple[Evidence, ...]:
    """What a sighting rests on: why the rule fired, the event, the process with its ancestors."""
    lineage = tuple(_flat(process) for process in detection.lineage)
    why = RuleMatch(
        sensor="kernel",
        ts_ns=detection.decided_ns,
        rule=detection.rule,
        rule_version=detection.rule_version,
        condition=rule.condition[:8_192],
        matches=tuple(_bounded(match) for match in detection.matches[:_MAX_MATCHES]),
    )
    tree = ProcessTree(sensor="kernel", ts_ns=detection.ts_ns, lineage=lineage)
    seen = SeenEvent(sensor="kernel", ts_ns=detection.ts_ns, event=_alone(detection.event))
    size = len(msgspec.json.encode((tree, seen)))
    if size > _MAX_EVIDENCE_BYTES:
        short = tuple(
            msgspec.structs.replace(process, argv=process.argv[:8], env=(), args_cut=True) for process in lineage[:8]
        )
        tree = ProcessTree(sensor="kernel", ts_ns=detection.ts_ns, lineage=short, cut_from=size)
    return why, tree, seen


def _flat(process: Process) -> Process:
    # the lineage lists the ancestors one after another; each of them would carry all of its own once more
    return msgspec.structs.replace(process, parent=None)


def _alone(event: Event) -> Event:
    process = event.process
    if isinstance(process, Process):
        return msgspec.structs.replace(event, process=_flat(process))
    return event


def _bounded(match: Match) -> Match:
    return Match(text=match.text[:1_024], field=match.field[:128], value=match.value[:1_024])


def keep_evidence(known: tuple[Evidence, ...], new: tuple[Evidence, ...], sightings: int) -> tuple[Evidence, ...]:
    """The evidence of the first sightings and of the last ones, ``sightings`` in all; how it began matters most, then how it goes on."""
    blocks = _sightings(known)
    if len(blocks) < sightings:
        return known + new
    first = sightings // 2
    kept = blocks[:first] + blocks[len(blocks) - (sightings - first) + 1 :]
    return tuple(item for block in kept for item in block) + new


def _sightings(evidence: tuple[Evidence, ...]) -> list[tuple[Evidence, ...]]:
    blocks: list[list[Evidence]] = []
    for item in evidence:
        if isinstance(item, RuleMatch) or not blocks:
            blocks.append([])
        blocks[-1].append(item)
    return [tuple(block) for block in blocks]
