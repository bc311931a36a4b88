"""``phalanx rules``: check, try and explain detection rules.

``check``, ``run`` and ``explain`` work on files alone and need no hub; ``test`` asks the history of a hub. Exit codes: 0 done and nothing to report; 1 there is
something (``check``: an error in a rule; ``run``, ``test``: it fires); 2 the call is wrong; 3 no hub answers.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import click
import msgspec

from phalanx.cli.hub_client import HubClient, clock_text, hub_options, parse_time, write_json
from phalanx.errors import CorruptError, NotFoundError, PhalanxError, UsageError
from phalanx.text.hostile import show

if TYPE_CHECKING:
    from phalanx.language import Rule, RuleSet
    from phalanx.language.problems import Problem

__all__ = ["rules"]

_PROGRESS_S: Final = 1.0
_LONGEST_LINE: Final = 16 << 20
_file = click.Path(path_type=Path, exists=True, dir_okay=True)


@click.group()
def rules() -> None:
    """Check, try and explain detection rules."""


# files


def _load(paths: tuple[Path, ...], *, own: bool = False) -> RuleSet:
    from phalanx.language import RuleSource, load_rules
    from phalanx.text.hostile import decode

    sources = []
    if own or not paths:
        from phalanx.content import rule_files

        sources += [RuleSource(name, text) for name, text in rule_files()]
    for path in _expand(paths):
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from error
        sources.append(RuleSource(str(path), decode(raw)))
    return load_rules(sources)


def _expand(paths: tuple[Path, ...]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(
                found for found in path.iterdir() if found.suffix in (".yaml", ".yml") and found.is_file()
            )
        else:
            yield path


def _find(ruleset: RuleSet, name: str) -> Rule:
    rule = ruleset.rule(name)
    if rule is None:
        from difflib import get_close_matches

        near = get_close_matches(name, [known for each in ruleset.rules for known in (each.id, each.name)], 1)
        raise NotFoundError(
            f"there is no rule {name!r}",
            hint=f"did you mean {near[0]!r}?" if near else "phalanx rules check lists what a file holds with -v",
        )
    return rule


def _problem_lines(problem: Problem) -> Iterator[str]:
    """A problem for a terminal: place, message, the line with a caret, advice."""
    yield (
        f"{show(problem.file, 300)}:{problem.line}:{problem.column}: {problem.severity}: {show(problem.message, 1000)}"
        + (f" [{show(problem.item, 120)}]" if problem.item else "")
    )
    if problem.source:
        start = max(0, problem.column - 1 - 90)
        yield "    " + show(problem.source[start : start + 150])
        yield "    " + " " * len(show(problem.source[start : problem.column - 1])) + "^"
    if problem.hint:
        yield f"    → {show(problem.hint, 500)}"


# check


@rules.command("check")
@click.argument("files", nargs=-1, type=_file)
@click.option("-v", "--verbose", is_flag=True, help="List every rule with its state.")
@click.option("--with-own", is_flag=True, help="Load phalanx's own rules first, as the hub does.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def check_command(files: tuple[Path, ...], verbose: bool, with_own: bool, as_json: bool) -> int:
    """Read rule FILES (or directories of them) and say what is wrong; phalanx's own rules when none is named.

    The last line counts: rules, macros and lists are definitions read, fields those that rules use, live and dormant the rules that a sensor's events
    can and cannot satisfy.
    """
    ruleset = _load(files, own=with_own)
    counts = {
        "rules": ruleset.rules_read,
        "macros": ruleset.macros_read,
        "lists": ruleset.lists_read,
        "fields": len(ruleset.fields),
        "errors": len(ruleset.errors),
        "warnings": len(ruleset.warnings),
        "live": ruleset.live,
        "dormant": ruleset.dormant,
    }
    if as_json:
        states = [
            {
                "id": rule.id,
                "name": rule.name,
                "state": rule.state,
                "dormant": rule.dormant,
                "file": rule.file,
                "line": rule.line,
            }
            for rule in ruleset.rules
        ]
        write_json([{**counts, "problems": ruleset.problems, "states": states}])
        return 1 if ruleset.errors else 0
    for problem in ruleset.problems:
        for line in _problem_lines(problem):
            click.echo(line)
    for rule in ruleset.rules:
        if verbose:
            click.echo(
                f"{rule.state:<8} {show(rule.id, 60)}" + (f"  {show(rule.name, 80)}" if rule.name != rule.id else "")
            )
        if rule.dormant:
            click.echo(f"dormant: {show(rule.name, 120)}: {show(rule.dormant, 300)}")
    click.echo(" ".join(f"{name}={count}" for name, count in counts.items()))
    return 1 if ruleset.errors else 0


# run


@rules.command("run")
@click.option(
    "--events",
    "events_file",
    required=True,
    type=click.File("rb"),
    help="Events, one JSON object a line; - is standard input.",
)
@click.argument("files", nargs=-1, type=_file)
@click.option("--rule", "only", multiple=True, help="Only this rule (id or name); may be given several times.")
@click.option("--json", "as_json", is_flag=True, help="Print each detection as JSON.")
def run_command(events_file: IO[bytes], files: tuple[Path, ...], only: tuple[str, ...], as_json: bool) -> int:
    """Ask rule FILES (phalanx's own when none is named) of recorded events, with the same engine as an agent."""
    from phalanx.detect import Engine
    from phalanx.model.container import Container
    from phalanx.model.event import decode_event

    ruleset = _load(files)
    if ruleset.errors:
        for problem in ruleset.errors:
            for line in _problem_lines(problem):
                click.echo(line, err=True)
        return 1
    if only:
        chosen = {_find(ruleset, name).id for name in only}
        ruleset = ruleset.without(rule.id for rule in ruleset.rules if rule.id not in chosen)
    now = [0]
    engine = Engine(ruleset, clock=lambda: now[0])
    seen = fired = 0
    noted = time.monotonic()
    for number, raw in enumerate(_lines(events_file), 1):
        try:
            event = decode_event(raw)
        except msgspec.MsgspecError as error:
            raise CorruptError(
                f"line {number} is no event: {error}",
                hint="one JSON object a line, as `phalanx events query --json` and docs/reference/events.md have it",
            ) from error
        now[0] = max(now[0], event.ts_ns)
        engine.tick()
        seen += 1
        found = engine.feed(event)
        if isinstance(event.container, Container):
            found += engine.facts_arrived(event.container)
        for detection in found:
            fired += 1
            if as_json:
                click.echo(msgspec.json.encode(detection))
                continue
            click.echo(f"{detection.priority:<13} {show(detection.rule, 60)}  {show(detection.output, 400)}")
            for match in detection.matches:
                click.echo(f"    {show(match.text, 200)}  ←  {show(match.value, 200)}")
        if time.monotonic() - noted > _PROGRESS_S and sys.stderr.isatty():
            noted = time.monotonic()
            click.echo(f"\r{seen} events, {fired} detections", nl=False, err=True)
    now[0] += 60_000_000_000
    engine.tick()
    statistics = engine.statistics()
    click.echo(
        f"events={seen} detections={fired} undecided={statistics.undecided} rules={len(ruleset.active)}", err=True
    )
    return 1 if fired else 0


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    while line := file.readline(_LONGEST_LINE + 1):
        if len(line) > _LONGEST_LINE:
            raise CorruptError(f"a line is longer than {_LONGEST_LINE} bytes", hint="one event a line")
        if line.strip():
            yield line


# explain


@rules.command("explain")
@click.argument("name")
@click.argument("files", nargs=-1, type=_file)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def explain_command(name: str, files: tuple[Path, ...], as_json: bool) -> int:
    """What the rule NAME (of FILES, or phalanx's own) becomes: its tree, the matcher, the question to the history, the kernel filter."""
    ruleset = _load(files)
    rule = _find(ruleset, name)
    parts = _explained(ruleset, rule)
    if as_json:
        write_json([parts])
        return 0
    click.echo(f"{rule.name}  ({rule.state}{': ' + rule.dormant if rule.dormant else ''})  {rule.file}:{rule.line}")
    click.echo("event types: " + (", ".join(rule.event_types) if rule.event_types is not None else "any"))
    for title, value in parts.items():
        if title in ("rule", "state"):
            continue
        click.echo(f"\n{title}")
        click.echo(
            _indented(value if isinstance(value, str) else msgspec.json.format(msgspec.json.encode(value)).decode())
        )
    return 0


def _indented(text: str) -> str:
    return "\n".join("  " + show(line, 4000) for line in text.splitlines())


def _explained(ruleset: RuleSet, rule: Rule) -> dict[str, Any]:
    from phalanx.language.analysis import TypeSets, Universe, type_literals
    from phalanx.language.cover import cover
    from phalanx.language.event_types import KIND_OF
    from phalanx.language.generate import source_of
    from phalanx.language.normal import Normalizer

    node = rule.condition.node
    universe = Universe(type_literals(node))
    types = TypeSets(universe, filled_only=True)
    parts: dict[str, Any] = {"rule": rule.id, "state": rule.state, "condition": rule.written, "tree": _tree(node)}
    asked = [
        kind
        for kind in (rule.event_types or tuple(KIND_OF))
        if kind in KIND_OF and types.true_for(node) & universe.bit[kind]
    ]
    if asked:
        parts["matcher"] = f"# for {asked[0]}\n" + source_of(
            [(0, Normalizer(asked[0], TypeSets(universe), "known").form(node))]
        )
    try:
        from phalanx.store.events.lowering import lower_condition

        lowered = lower_condition(rule.condition)
        parts["query"] = {"sql": lowered.sql, "parameters": [repr(value) for value in lowered.parameters]}
    except PhalanxError as error:
        parts["query"] = str(error)
    filters: dict[str, Any] = {}
    for kind in asked:
        atoms = cover(node, types, universe.bit[kind])
        filters[kind] = "everything" if atoms is None else sorted(f"{what} {value}" for what, value in atoms)
    parts["kernel filter"] = filters
    del ruleset
    return parts


def _tree(node: Any, depth: int = 0) -> str:
    from phalanx.language.tree import All, Any_, Not, One

    pad = "  " * depth
    words = {All: "all of", Any_: "any of", One: "exactly one of", Not: "not"}
    for kind, word in words.items():
        if isinstance(node, kind):
            return f"{pad}{word}\n" + "\n".join(_tree(child, depth + 1) for child in node.children)
    return pad + repr(node)


# test


@rules.command("test")
@click.argument("rule")
@click.option("--since", default="7d", show_default=True, help="From: 15m, 7d ago, or an RFC 3339 time.")
@click.option("--until", default=None, help="To, exclusive.  [default: now]")
@click.option(
    "--file",
    "file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    default=None,
    help="Ask the rule as this file has it, instead of the one in force.",
)
@hub_options
def test_command(client: HubClient, as_json: bool, rule: str, since: str, until: str | None, file: Path | None) -> int:
    """When would RULE have fired? Asks the history of a hub; the answer ends with what it rests on."""
    from phalanx.text.hostile import decode

    began = time.monotonic()
    answer = client.call(
        "POST",
        "rules/back-test",
        body={
            "text": decode(file.read_bytes()) if file is not None else "",
            "rule": rule,
            "since_ns": parse_time(since),
            "until_ns": parse_time(until),
        },
    )
    if as_json:
        write_json([answer])
        return 2 if answer["refused"] else 1 if answer["fires"] else 0
    if answer["refused"]:
        raise UsageError(answer["refused"], hint="what was never recorded is not answered 0")
    for sample in reversed(answer["samples"]):
        click.echo(f"{clock_text(sample['ts_ns'])}  {show(sample['process'], 20):<20} {show(sample['what'], 240)}")
    for actor, count in answer["by_actor"]:
        click.echo(f"{count:>8}  {show(actor, 120)}", err=True)
    capped = " or more" if answer["capped"] else ""
    sentence = answer["coverage"].get("sentence") or (
        "Complete." if answer["coverage"].get("complete") else "Not complete."
    )
    click.echo(f"fires={answer['fires']}{capped}. {sentence} ({time.monotonic() - began:.1f} s)")
    return 1 if answer["fires"] else 0
