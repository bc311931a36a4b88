"""The two or three sentences of a finding, made from typed facts by template, in the reader's language."""

from __future__ import annotations

from markupsafe import Markup

from phalanx.console.hostile import hostile, middle
from phalanx.console.tree import acting_process
from phalanx.console.words import Words
from phalanx.model.event import Exec
from phalanx.model.evidence import SeenEvent
from phalanx.model.finding import Finding
from phalanx.model.values import UNKNOWN

__all__ = ["host_of", "story"]


def host_of(finding: Finding) -> str:
    """Name of the host that a finding is about; empty when it names none."""
    for asset in (finding.asset, *finding.entities):
        if asset.kind in ("host", "node"):
            return asset.name
    return ""


def story(finding: Finding, words: Words, title: str) -> Markup:
    """What happened: who did what, where, started by whom, and which rule said so. The finding's own story where facts are missing."""
    lineage = acting_process(finding)
    seen = next((e.event for e in finding.evidence if isinstance(e, SeenEvent)), None)
    if not lineage or seen is None:
        return Markup("{}").format(hostile(finding.story or finding.title, 4000))
    process = lineage[0]
    host = host_of(finding) or seen.agent
    container = seen.container
    if process.container_id == "host":
        where = words("story.host", host=_bold(host))
    else:
        name = process.container_id if container is None or container is UNKNOWN else (container.name or container.id)
        where = words("story.container", container=_bold(name), host=_bold(host))
    parent = words("story.parent", parent=_bold(lineage[1].name)) if len(lineage) > 1 else Markup()
    facts = {
        "who": _bold(process.user) if process.user else words("story.somebody"),
        "where": where,
        "parent": parent,
        "rule": words("story.fired", rule=_bold(title, 200)) if finding.rule else Markup(),
    }
    if isinstance(seen, Exec):
        return words("story.exec", what=_bold(process.cmdline, 160), **facts)
    return words("story.other", proc=_bold(process.name), what=_bold(_what(seen), 160), **facts)


def _what(event: object) -> str:
    fd = getattr(event, "fd", None)
    name = fd.name if fd is not None and fd.name else ""
    for attribute in ("addr", "newpath", "path", "name", "filename", "target", "nstype", "request", "cmd", "dir"):
        name = name or (getattr(event, attribute, None) or "")
    return f"{getattr(event, 'type', '')} {name}".strip()


def _bold(text: str, limit: int = 60) -> Markup:
    return Markup("<b>{}</b>").format(hostile(middle(text, limit)))
