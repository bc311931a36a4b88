"""The kernel filter lets every event pass that some rule matches: it may let too much through, never too little."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conformance.condition_samples import Sampler, conditions

from phalanx.language import KernelFilter, RuleSource, TypeFilter, load_rules
from phalanx.language.fields_event import event_argument_names
from phalanx.language.matcher import Matcher
from phalanx.model.event import Event
from phalanx.model.process import Process


def passes(filters: KernelFilter, event: Event) -> bool:
    """What a sensor does: the plain meaning of the atoms."""
    found = filters.types.get(event.type)
    if found is None:
        return False
    if found.everything:
        return True
    name = event.fd.name if event.fd is not None else None
    process = event.process
    texts = [value for _, value in event_argument_names(event) if isinstance(value, str)]
    if not isinstance(process, Process):
        return True
    texts.append(process.cmdline)
    return (
        (
            name is not None
            and (
                name.startswith(found.fd_prefixes)
                or name in found.fd_names
                or name.endswith(found.fd_suffixes)
                or any(part in name for part in found.fd_substrings)
            )
        )
        or process.name in found.proc_names
        or process.exepath in found.exe_paths
        or any(part in text for part in found.arg_substrings for text in texts)
    )


def filter_of(*conditions_: str) -> KernelFilter:
    text = "".join(
        f"- rule: R{number}\n  desc: d\n  condition: |\n    {condition}\n  output: o\n  priority: INFO\n"
        for number, condition in enumerate(conditions_)
    )
    ruleset = load_rules([RuleSource("r", text)])
    assert not ruleset.errors, ruleset.errors
    return ruleset.kernel_filter()


def test_the_most_selective_conjunct_is_taken() -> None:
    found = filter_of(
        "evt.type in (open, openat) and proc.name in (cat, less) and fd.name = /etc/shadow and user.uid = 0"
    )
    assert found.types == {name: TypeFilter(fd_names=("/etc/shadow",)) for name in ("open", "openat")}


def test_rules_of_one_type_are_joined_and_one_without_atoms_asks_for_everything() -> None:
    found = filter_of(
        "evt.type = openat and fd.name startswith /etc/",
        "evt.type = openat and fd.filename = id_rsa",
        "evt.type = connect and user.uid = 0",
    )
    assert found.types["openat"] == TypeFilter(fd_prefixes=("/etc/",), fd_suffixes=("/id_rsa",), fd_names=("id_rsa",))
    assert found.types["connect"].everything


def test_globs_and_arguments_give_substrings() -> None:
    found = filter_of(
        "evt.type = openat and fd.name glob */.ssh/id_*",
        "evt.type = execve and proc.cmdline contains 'nc -e'",
        "evt.type = ptrace and evt.arg.request = PTRACE_ATTACH",
    )
    assert found.types["openat"].fd_substrings == ("/.ssh/id_",)
    assert found.types["execve"].arg_substrings == ("nc -e",)
    assert found.types["ptrace"].arg_substrings == ("PTRACE_ATTACH",)


def test_disabled_and_dormant_rules_want_nothing() -> None:
    text = "- rule: A\n  desc: d\n  condition: evt.type = openat and fd.name = /x\n  output: o\n  priority: INFO\n  enabled: false\n"
    assert load_rules([RuleSource("r", text)]).kernel_filter() == KernelFilter(types={})


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(condition=conditions, seed=st.integers(0, 2**32))
def test_no_event_that_a_rule_matches_is_held_back(condition: str, seed: int) -> None:
    text = f"- rule: R\n  desc: d\n  condition: |\n    {condition}\n  output: o\n  priority: INFO\n"
    ruleset = load_rules([RuleSource("r", text)])
    filters, matcher = ruleset.kernel_filter(), Matcher(ruleset)
    for event in Sampler(seed).events(24):
        if event.type != "loss" and isinstance(event.process, Process) and matcher.match(event)[0]:
            assert passes(filters, event), (condition, event, filters)
