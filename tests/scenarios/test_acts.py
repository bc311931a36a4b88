"""Every rule against its own attack and its benign twin, performed for real: kernel, namespaces, containers.

Each rule is loaded twice: as it is, and with the term deleted in which attack and twin differ (``…-M``). The attack must fire the rule; the twin
must fire no rule at all, but the one without its term: so the term, and nothing else, is what tells the two apart.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from shutil import which

import msgspec
import pytest
import yaml
from harness import Watch, perform, watching

from phalanx.content import rule_files
from phalanx.language import RuleSet, RuleSource, load_rules
from phalanx.model.detection import Detection
from phalanx.respond.simulate.acts import Act, all_acts
from phalanx.sensors.kernel import doctor

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.needs_kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(
        any(check.required and not check.ok for check in doctor.checks()), reason="the kernel sensor cannot run here"
    ),
]
ACTS = all_acts()
FIRED: dict[str, set[str]] = {}
"""Rule → acts whose attack fired it; filled as the attacks are performed."""


def with_mutants() -> RuleSet:
    sources = []
    for name, text in rule_files():
        sources.append(RuleSource(name, text))
        mutants = []
        for item in yaml.safe_load(text):
            if "rule" not in item:
                continue
            condition, term = " ".join(item["condition"].split()), " ".join(item["phalanx"]["twin"]["term"].split())
            assert condition.count(term) == 1, f"{item['phalanx']['id']}: its term must stand once in its condition"
            mutants.append(
                {
                    "rule": item["rule"] + " without its term",
                    "desc": item["desc"],
                    "condition": condition.replace(term, "").strip().removeprefix("and "),
                    "output": item["output"],
                    "priority": item["priority"],
                    "phalanx": {**item["phalanx"], "id": item["phalanx"]["id"] + "-M"},
                }
            )
        if mutants:
            sources.append(RuleSource(name.replace(".yaml", "-mutants.yaml"), yaml.safe_dump(mutants)))
    ruleset = load_rules(sources)
    assert not ruleset.errors, [str(error) for error in ruleset.errors]
    return ruleset


@pytest.fixture(scope="module")
def watch() -> Iterator[Watch]:
    with watching(with_mutants()) as watch:
        yield watch


def do(watch: Watch, act: Act, *words: str) -> set[str]:
    if act.container and which("runc") is None:
        pytest.skip("needs runc")
    performed, detections = perform(watch, act.id, *words)
    assert performed.error == ""
    for detection in detections:  # what the agent sends is what the hub reads
        assert msgspec.json.decode(msgspec.json.encode(detection), type=Detection) == detection
    return {str(detection.rule) for detection in detections}


def test_every_rule_has_an_act_and_every_act_a_rule() -> None:
    ids = {item["phalanx"]["id"] for _, text in rule_files() for item in yaml.safe_load(text) if "rule" in item}
    assert ids == set(ACTS)
    assert len(ids) >= 30


@pytest.mark.parametrize("act", ACTS.values(), ids=list(ACTS))
def test_the_attack_fires_its_rule(watch: Watch, act: Act) -> None:
    fired = do(watch, act)
    assert act.id in fired
    for rule in fired:
        FIRED.setdefault(rule, set()).add(act.id)


@pytest.mark.parametrize("act", ACTS.values(), ids=list(ACTS))
def test_the_twin_is_quiet_and_only_the_stated_term_keeps_it_so(watch: Watch, act: Act) -> None:
    fired = do(watch, act, "twin")
    assert {rule for rule in fired if not rule.endswith("-M")} == set()
    assert f"{act.id}-M" in fired


def test_no_two_rules_fire_on_the_same_set_of_attacks() -> None:
    if set(ACTS) - set().union(*FIRED.values(), set()):
        pytest.skip("needs all attacks of this module performed before it")
    by_set: dict[frozenset[str], list[str]] = {}
    for rule in ACTS:
        by_set.setdefault(frozenset(FIRED[rule]), []).append(rule)
    assert [rules for rules in by_set.values() if len(rules) > 1] == []
