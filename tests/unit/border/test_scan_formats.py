"""Outputs of a scan: valid by the official schemas, safe with hostile names, and without loss through an SBOM and back."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from phalanx.advisories.compiler import Compiler
from phalanx.advisories.database import Database
from phalanx.advisories.model import Advisory, Affected, FixState, Range, Signal
from phalanx.artifacts import judge
from phalanx.artifacts.advice import blame, upgrades
from phalanx.artifacts.model import Component, Inventory, Issue, Layer, Location, OsRelease, Skipped
from phalanx.artifacts.report import Report
from phalanx.artifacts.vulnerabilities import vulnerabilities
from phalanx.border.cyclonedx import render_cyclonedx
from phalanx.border.openvex import render_openvex
from phalanx.border.sbom import component_of_purl
from phalanx.border.sbom_file import read_sbom
from phalanx.border.scan_ci import render_gitlab, render_html, render_junit, render_markdown
from phalanx.border.scan_json import render_json
from phalanx.border.scan_sarif import render_sarif
from phalanx.border.scan_table import render_table
from phalanx.border.spdx import render_spdx
from phalanx.errors import UsageError
from phalanx.model.severity import Severity

HOSTILE = "a\x1b[2J<script>alert(1)</script>|`x`\u202e]]>&\"'"


def component(type_: str, name: str, version: str, ecosystem: str, **more: Any) -> Component:
    return Component(type=type_, name=name, version=version, ecosystem=ecosystem, **more)


def database(tmp_path: Path) -> Database:
    def advisory(identifier: str, ecosystem: str, name: str, fixed: str, **more: Any) -> Advisory:
        affected = Affected(ecosystem=ecosystem, name=name, ranges=(Range(fixed=fixed),), state=FixState.FIXED)
        return Advisory(id=identifier, source="test", affected=(affected,), summary=f"flaw in {name}", **more)

    compiler = Compiler()
    compiler.advisories(
        [
            advisory(
                "CVE-2024-1",
                "PyPI",
                "jinja2",
                "3.0",
                vectors=("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",),
                cwes=("CWE-79",),
                aliases=("GHSA-1",),
            ),
            advisory("CVE-2024-2", "Debian:12", "openssl", "3.0.11-1+deb12u2"),
            advisory("CVE-2024-3", "npm", "@s/a", "2.0.0", severity=Severity.LOW),
            advisory("CVE-2024-4", "Maven", "g:a", "2.0"),
            advisory("CVE-2024-5", "npm", HOSTILE, "2.0.0"),
        ]
    )
    compiler.signals([Signal(id="CVE-2024-1", kev="2024-02-01")])
    compiler.write(tmp_path / "a.db")
    return Database(tmp_path / "a.db")


COMPONENTS = (
    component(
        "pypi",
        "Jinja2",
        "2.10",
        "PyPI",
        locations=(Location(path="x/METADATA", layer="sha256:aa"),),
        licences=("BSD-3-Clause",),
        method="METADATA",
    ),
    component(
        "deb",
        "libssl3",
        "3.0.11-1+b1",
        "Debian:12",
        namespace="debian",
        source_name="openssl",
        source_version="3.0.11-1",
        qualifiers={"arch": "amd64", "distro": "debian-12", "upstream": "openssl@3.0.11-1"},
    ),
    component("npm", "a", "1.0.0", "npm", namespace="@s", development=True),
    component("maven", "a", "1.0", "Maven", namespace="g", confidence=0.7, method="package directories"),
    component("pypi", "Jinja2", "2.10", "PyPI", owner="pkg:deb/debian/python3-jinja2@2.10"),
    component("npm", HOSTILE, "1.0.0", "npm", locations=(Location(path=HOSTILE),)),
    component("golang", "text", "v0.3.5", "Go", namespace="golang.org/x"),
)


@pytest.fixture
def report(tmp_path: Path) -> Report:
    issue = Issue(
        kind="secret",
        rule="secret-github-token",
        title="GitHub token",
        severity=Severity.CRITICAL,
        path=HOSTILE,
        line=3,
        text="ghp_… (40 characters)",
    )
    inventory = Inventory(
        target=f"image {HOSTILE}",
        kind="image",
        digest="sha256:" + "a" * 64,
        os=OsRelease(id="debian", version_id="12", name="Debian 12"),
        components=COMPONENTS,
        issues=(issue,),
        skipped=(Skipped(path=HOSTILE, reason="a bomb"),),
    )
    found = tuple(vulnerabilities(COMPONENTS, database(tmp_path)))
    return Report(
        inventory=inventory,
        vulnerabilities=found,
        created="2026-01-02T03:04:05Z",
        phalanx="0.1.0",
        database="2026-01-01T00:00:00Z",
    )


def test_the_scan_finds_each_flaw_once_and_leaves_what_debian_owns_to_debian(report: Report) -> None:
    found = [(one.id, one.component.full_name, bool(one.component.owner)) for one in report.vulnerabilities]
    assert sorted(found) == [
        ("CVE-2024-1", "Jinja2", False),
        ("CVE-2024-2", "libssl3", False),
        ("CVE-2024-3", "@s/a", False),
        ("CVE-2024-4", "g:a", False),
        ("CVE-2024-5", HOSTILE, False),
    ]
    assert report.vulnerabilities[0].decision == "act"
    assert report.vulnerabilities[0].score == 9.8


def test_cyclonedx_is_valid_by_the_official_schema(report: Report) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(render_cyclonedx(report)) is None


def test_the_same_scan_gives_the_same_documents(report: Report) -> None:
    for render in (render_cyclonedx, render_spdx, render_openvex, render_sarif, render_gitlab):
        assert render(report) == render(report)


def test_spdx_has_what_version_2_3_requires(report: Report) -> None:
    made = json.loads(render_spdx(report))
    assert made["spdxVersion"] == "SPDX-2.3"
    ids = [one["SPDXID"] for one in made["packages"]]
    assert len(ids) == len(set(ids))
    assert {one["relatedSpdxElement"] for one in made["relationships"]} == set(ids)
    for one in made["packages"]:
        assert one["downloadLocation"]
        assert all(char.isalnum() or char in ".-" for char in one["SPDXID"].removeprefix("SPDXRef-"))


@pytest.mark.parametrize("render", [render_cyclonedx, render_spdx])
@pytest.mark.parametrize("wrapped", ["bare", "in-toto", "dsse"])
def test_an_sbom_comes_back_with_every_finding(report: Report, tmp_path: Path, render: Any, wrapped: str) -> None:
    text = render(report)
    if wrapped != "bare":
        statement = json.dumps(
            {"_type": "https://in-toto.io/Statement/v1", "predicateType": "x", "predicate": json.loads(text)}
        )
        text = (
            statement
            if wrapped == "in-toto"
            else json.dumps({"payload": base64.b64encode(statement.encode()).decode(), "payloadType": "x"})
        )
    (tmp_path / "sbom.json").write_text(text)
    back = read_sbom(tmp_path / "sbom.json")
    again = vulnerabilities(back.components, Database(tmp_path / "a.db"))
    assert {(one.id, one.component.purl) for one in again} == {
        (one.id, one.component.purl) for one in report.vulnerabilities
    }
    assert sorted(one.purl for one in back.components) == sorted(one.purl for one in report.inventory.components)


def test_the_source_package_is_read_in_each_spelling_of_other_tools(tmp_path: Path) -> None:
    syft = component_of_purl("pkg:deb/debian/libssl3@3.0.11-1?arch=amd64&distro=debian-12&upstream=openssl")
    assert syft is not None
    assert (syft.ecosystem, syft.source_name) == ("Debian:12", "openssl")
    trivy = {
        "bomFormat": "CycloneDX",
        "components": [
            {
                "purl": "pkg:deb/debian/libssl3@3.0.11-1%2Bb1?arch=amd64&distro=debian-12.5",
                "properties": [
                    {"name": "aquasecurity:trivy:SrcName", "value": "openssl"},
                    {"name": "aquasecurity:trivy:SrcVersion", "value": "3.0.11"},
                    {"name": "aquasecurity:trivy:SrcRelease", "value": "1"},
                ],
            }
        ],
    }
    (tmp_path / "t.json").write_text(json.dumps(trivy))
    (one,) = read_sbom(tmp_path / "t.json").components
    assert (one.source_name, one.source_version, one.ecosystem) == ("openssl", "3.0.11-1", "Debian:12")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"bomFormat":"CycloneDX","components":5}',
        '{"spdxVersion":"SPDX-2.3","packages":[{"externalRefs":5}]}',
    ],
)
def test_what_is_no_sbom_is_said(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(UsageError):
        read_sbom(path)


def test_sarif_has_rules_places_and_stable_fingerprints(report: Report) -> None:
    run = json.loads(render_sarif(report))["runs"][0]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(rules) == len(set(rules))
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in ("error", "warning", "note")
        assert result["locations"]
        uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        assert not set(uri) & set("<>\x1b|` ")
    newer = msgspec.structs.replace(
        report.vulnerabilities[0],
        component=msgspec.structs.replace(report.vulnerabilities[0].component, version="2.11"),
    )
    again = json.loads(render_sarif(msgspec.structs.replace(report, vulnerabilities=(newer,))))["runs"][0]["results"][0]
    assert again["partialFingerprints"] == run["results"][0]["partialFingerprints"]


def test_junit_and_html_are_well_formed_and_name_no_script(report: Report) -> None:
    suite = ElementTree.fromstring(render_junit(report))
    assert int(suite.find("testsuite").get("failures", "0")) == 6  # type: ignore[union-attr]
    html = render_html(report)
    assert "<script" not in html
    assert "\x1b" not in html
    assert "default-src 'none'" in html


def test_a_table_shows_hostile_names_and_moves_no_cursor(report: Report) -> None:
    for text in (render_table(report), render_markdown(report)):
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "act" in render_table(report)
    assert "\x1b[1;31m" in render_table(report, colour=True)
    assert "<script>" not in render_markdown(report)


def test_gitlab_and_openvex_have_what_their_readers_ask(report: Report) -> None:
    gitlab = json.loads(render_gitlab(report))
    assert gitlab["scan"]["type"] == "container_scanning"
    assert all(one["location"]["image"] and one["identifiers"] for one in gitlab["vulnerabilities"])
    vex = json.loads(render_openvex(report))
    assert all(one["status"] == "affected" and one["action_statement"] for one in vex["statements"])


def test_ignore_rules_mark_and_tell_when_they_are_over_or_do_nothing(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "ignore.yaml"
    path.write_text(
        """ignore:
  - {id: GHSA-1, reason: not reachable, owner: payments, component: "pkg:pypi/jinja2"}
  - {id: CVE-2024-3, reason: old, until: 2020-01-01}
  - {id: CVE-2024-4, reason: wrong component, component: "pkg:maven/other/a"}
  - {id: secret-github-token, reason: a test token}
"""
    )
    judged = judge.apply_ignores(report, judge.read_ignores(path), "2026-01-02")
    assert {one.id: one.suppressed for one in judged.vulnerabilities if one.suppressed} == {
        "CVE-2024-1": "ignored: not reachable (payments)"
    }
    assert judged.inventory.issues == ()
    assert [(one.rule, one.reason) for one in judged.stale] == [
        ("CVE-2024-3", "expired on 2020-01-01"),
        ("CVE-2024-4", "matches nothing"),
    ]
    assert json.loads(render_sarif(judged))["runs"][0]["results"][0]["suppressions"][0]["justification"].startswith(
        "ignored"
    )


@pytest.mark.parametrize(
    "text",
    [
        "[",
        "{}",
        "ignore: x",
        "ignore: [1]",
        "ignore: [{id: x}]",
        "ignore: [{id: x, reason: y, until: soon}]",
        "ignore: [{id: x, reason: y, z: 1}]",
    ],
)
def test_an_ignore_file_without_reasons_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "i.yaml").write_text(text)
    with pytest.raises(UsageError):
        judge.read_ignores(tmp_path / "i.yaml")


OPENVEX = {
    "@context": "https://openvex.dev/ns/v0.2.0",
    "@id": "https://x/vex",
    "statements": [
        {
            "vulnerability": {"name": "CVE-2024-1"},
            "products": [{"@id": "pkg:pypi/jinja2@2.10"}],
            "status": "not_affected",
            "justification": "component_not_present",
        },
        {
            "vulnerability": {"name": "CVE-2024-3"},
            "products": [{"@id": "pkg:npm/%40s/a@9.9.9"}],
            "status": "not_affected",
        },
        {"vulnerability": {"name": "CVE-2024-4"}, "products": ["pkg:maven/g/a"], "status": "affected"},
    ],
}
CYCLONEDX_VEX = {
    "bomFormat": "CycloneDX",
    "vulnerabilities": [
        {
            "id": "CVE-2024-1",
            "analysis": {"state": "not_affected", "justification": "code_not_reachable"},
            "affects": [{"ref": "urn:cdx:1/1#pkg:pypi/jinja2@2.10"}],
        }
    ],
}
CSAF_VEX = {
    "document": {"tracking": {"id": "V-1"}},
    "product_tree": {
        "branches": [
            {"product": {"product_id": "p", "product_identification_helper": {"purl": "pkg:pypi/jinja2@2.10"}}}
        ]
    },
    "vulnerabilities": [
        {
            "cve": "CVE-2024-1",
            "product_status": {"known_not_affected": ["p"]},
            "flags": [{"label": "vulnerable_code_not_present", "product_ids": ["p"]}],
        }
    ],
}


@pytest.mark.parametrize("document", [OPENVEX, CYCLONEDX_VEX, CSAF_VEX], ids=["openvex", "cyclonedx", "csaf"])
def test_vex_of_each_kind_marks_its_component_alone(report: Report, tmp_path: Path, document: dict[str, Any]) -> None:
    (tmp_path / "vex.json").write_text(json.dumps(document))
    judged = judge.apply_vex(report, judge.read_vex(tmp_path / "vex.json"))
    assert [one.id for one in judged.vulnerabilities if one.suppressed] == ["CVE-2024-1"]
    assert json.loads(render_openvex(judged))["statements"][0]["status"] == "not_affected"


def test_a_baseline_leaves_only_what_is_new_whatever_the_version(report: Report, tmp_path: Path) -> None:
    old = msgspec.structs.replace(report, vulnerabilities=report.vulnerabilities[1:])
    (tmp_path / "base.json").write_text(render_json(old))
    judged = judge.apply_baseline(report, judge.read_baseline(tmp_path / "base.json"))
    assert [one.id for one in judged.counting] == ["CVE-2024-1"]
    assert judged.inventory.issues == ()
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(UsageError, match="not a report"):
        judge.read_baseline(tmp_path / "bad.json")


def test_advice_names_the_upgrade_that_removes_most_and_blame_the_layer(report: Report) -> None:
    steps = upgrades(report)
    assert (steps[0].name, steps[0].to, steps[0].act) == ("Jinja2", "3.0", 1)
    assert {one.name for one in steps} == {"Jinja2", "openssl", "@s/a", "g:a", HOSTILE}
    layered = msgspec.structs.replace(
        report,
        inventory=msgspec.structs.replace(
            report.inventory, layers=(Layer(digest="sha256:aa", created_by="COPY"), Layer(digest="sha256:bb"))
        ),
    )
    assert [(one.components, one.vulnerabilities, one.act) for one in blame(layered)] == [(1, 1, 1), (0, 0, 0)]
    assert "Upgrades that remove the most" in render_table(layered)
