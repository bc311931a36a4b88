"""Readers of the formats of which no real file is at hand: small hand-made files in their published layouts."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from phalanx.advisories.compiler import Compiler
from phalanx.advisories.database import Database
from phalanx.advisories.local import read_directory
from phalanx.advisories.match import match
from phalanx.advisories.model import FixState
from phalanx.advisories.readers import signals
from phalanx.advisories.readers.csaf import read_csaf
from phalanx.advisories.readers.debian import read_debian_tracker
from phalanx.advisories.readers.nvd import read_nvd
from phalanx.advisories.readers.secdb import read_secdb
from phalanx.advisories.readers.tally import Tally
from phalanx.advisories.readers.xml import read_cnnvd, read_cnvd, read_oval, read_updateinfo
from phalanx.errors import CorruptError
from phalanx.model.severity import Severity

TRACKER = {
    "curl": {
        "CVE-2024-1": {
            "description": "a flaw\n in curl",
            "releases": {
                "bookworm": {"status": "resolved", "fixed_version": "7.88.1-10+deb12u5", "urgency": "not yet assigned"},
                "bullseye": {"status": "open", "urgency": "low**", "nodsa": "Minor issue", "nodsa_reason": "ignored"},
                "trixie": {"status": "resolved", "fixed_version": "0", "urgency": "unimportant"},
                "buster": {"status": "open", "urgency": "end-of-life"},
                "sid": {"status": "open", "urgency": "medium"},
            },
        },
        "CVE-2024-2": {"releases": {"bookworm": {"status": "undetermined"}}},
    }
}
OVAL = """<?xml version="1.0"?>
<oval_definitions xmlns="http://oval.mitre.org/XMLSchema/oval-definitions-5" xmlns:l="http://oval.mitre.org/XMLSchema/oval-definitions-5#linux">
 <definitions><definition id="oval:x:def:1" class="patch"><metadata><title>curl update</title><reference source="CVE" ref_id="CVE-2024-1"/>
  <advisory><severity>Important</severity></advisory></metadata><criteria><criterion test_ref="oval:x:tst:1"/></criteria></definition></definitions>
 <tests><l:rpminfo_test id="oval:x:tst:1"><l:object object_ref="oval:x:obj:1"/><l:state state_ref="oval:x:ste:1"/></l:rpminfo_test></tests>
 <objects><l:rpminfo_object id="oval:x:obj:1"><l:name>curl</l:name></l:rpminfo_object></objects>
 <states><l:rpminfo_state id="oval:x:ste:1"><l:evr operation="less than">0:7.76.1-26.el9</l:evr></l:rpminfo_state></states>
</oval_definitions>"""
UPDATEINFO = """<updates><update type="security"><id>ALAS2023-2024-1</id><title>curl</title><severity>important</severity><issued date="2024-01-02"/>
 <references><reference type="cve" id="CVE-2024-1" href="https://example.org/1"/></references>
 <pkglist><collection><package name="curl" epoch="1" version="8.0" release="2.amzn2023" arch="x86_64"/></collection></pkglist></update>
 <update type="bugfix"><id>X</id></update></updates>"""
CNVD = """<vulnerabilitys><vulnerability><number>CNVD-2021-95914</number><cves><cve><cveNumber>CVE-2021-44228</cveNumber></cve></cves>
 <title>Apache Log4j2远程代码执行漏洞</title><openTime>2021-12-10</openTime></vulnerability>
 <vulnerability><number>CNVD-1</number></vulnerability></vulnerabilitys>"""
CNNVD = """<cnnvd><entry><name>Apache Log4j 代码问题漏洞</name><vuln-id>CNNVD-202112-799</vuln-id><published>2021-12-10</published>
 <other-id><cve-id>CVE-2021-44228</cve-id></other-id></entry></cnnvd>"""
OPENSSL = "pkg:rpm/redhat/openssl@3.0.7-25.el9?arch=x86_64&epoch=1"
CSAF = {
    "document": {
        "title": "openssl",
        "aggregate_severity": {"text": "Important"},
        "tracking": {"id": "RHSA-2024:1", "current_release_date": "2024-01-03T00:00:00Z"},
    },
    "product_tree": {
        "branches": [
            {
                "branches": [
                    {
                        "product": {
                            "product_id": "AppStream-9",
                            "product_identification_helper": {"cpe": "cpe:/a:redhat:enterprise_linux:9::appstream"},
                        }
                    },
                    {
                        "product": {
                            "product_id": "openssl-new",
                            "product_identification_helper": {
                                "purl": "pkg:rpm/redhat/openssl@3.0.7-25.el9?arch=x86_64&epoch=1"
                            },
                        }
                    },
                    {
                        "product": {
                            "product_id": "openssl-old",
                            "product_identification_helper": {"purl": "pkg:rpm/redhat/compat-openssl?arch=x86_64"},
                        }
                    },
                ]
            }
        ],
        "relationships": [
            {
                "full_product_name": {"product_id": "A9:new"},
                "product_reference": "openssl-new",
                "relates_to_product_reference": "AppStream-9",
            },
            {
                "full_product_name": {"product_id": "A9:old"},
                "product_reference": "openssl-old",
                "relates_to_product_reference": "AppStream-9",
            },
        ],
    },
    "vulnerabilities": [
        {
            "cve": "CVE-2024-1",
            "product_status": {"fixed": ["A9:new"], "known_affected": ["A9:old"]},
            "remediations": [
                {"category": "no_fix_planned", "details": "Out of support scope", "product_ids": ["A9:old"]}
            ],
            "scores": [{"cvss_v3": {"vectorString": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}}],
        }
    ],
}
NVD = {
    "vulnerabilities": [
        {
            "cve": {
                "id": "CVE-2014-0160",
                "lastModified": "2024-01-01T00:00:00",
                "vulnStatus": "Analyzed",
                "descriptions": [{"lang": "en", "value": "Heartbleed"}],
                "metrics": {
                    "cvssMetricV31": [{"cvssData": {"vectorString": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"}}]
                },
                "weaknesses": [{"description": [{"lang": "en", "value": "CWE-125"}]}],
                "configurations": [
                    {
                        "nodes": [
                            {
                                "cpeMatch": [
                                    {
                                        "vulnerable": True,
                                        "criteria": "cpe:2.3:a:openssl:openssl:*:*:*:*:*:*:*:*",
                                        "versionStartIncluding": "1.0.1",
                                        "versionEndExcluding": "1.0.1g",
                                    }
                                ]
                            }
                        ]
                    }
                ],
            }
        },
        {"cve": {"id": "CVE-2", "vulnStatus": "Rejected"}},
        {"cve": {}},
    ]
}


def test_debians_tracker_tells_what_is_fixed_and_why_the_rest_is_not() -> None:
    (advisory,) = read_debian_tracker(json.dumps(TRACKER).encode(), Tally())
    states = {one.ecosystem: (one.state, one.ranges[0].fixed, one.severity) for one in advisory.affected}
    assert states == {
        "Debian:12": (FixState.FIXED, "7.88.1-10+deb12u5", None),
        "Debian:11": (FixState.WONT_FIX, "", Severity.LOW),
        "Debian:10": (FixState.END_OF_LIFE, "", None),
    }


def test_secdb_names_fixes_and_0_means_never_affected() -> None:
    raw = {
        "distroversion": "v3.19",
        "packages": [
            {"pkg": {"name": "curl", "secfixes": {"8.5.0-r0": ["CVE-2023-46218 GHSA-x"], "0": ["CVE-2021-22897"]}}}
        ],
    }
    (advisory,) = read_secdb(json.dumps(raw).encode(), Tally())
    assert (advisory.id, advisory.aliases, advisory.affected[0].ecosystem) == (
        "CVE-2023-46218",
        ("GHSA-x",),
        "Alpine:v3.19",
    )


def test_oval_joins_definition_test_object_and_state() -> None:
    (advisory,) = read_oval(io.BytesIO(OVAL.encode()), Tally(), ecosystem="Red Hat:9")
    (affected,) = advisory.affected
    assert (advisory.upstream, affected.name, affected.ranges[0].fixed, affected.severity) == (
        ("CVE-2024-1",),
        "curl",
        "7.76.1-26.el9",
        Severity.HIGH,
    )


def test_updateinfo_reads_security_updates_only_and_keeps_the_epoch() -> None:
    (advisory,) = read_updateinfo(io.BytesIO(UPDATEINFO.encode()), Tally(), ecosystem="Amazon:2023")
    assert (advisory.id, advisory.upstream, advisory.affected[0].ranges[0].fixed) == (
        "ALAS2023-2024-1",
        ("CVE-2024-1",),
        "1:8.0-2.amzn2023",
    )


def test_chinese_exports_give_titles_and_aliases() -> None:
    tally = Tally()
    (cnvd,) = read_cnvd(io.BytesIO(CNVD.encode()), tally)
    (cnnvd,) = read_cnnvd(io.BytesIO(CNNVD.encode()), Tally())
    assert (cnvd.id, cnvd.aliases, cnvd.title_zh) == (
        "CVE-2021-44228",
        ("CNVD-2021-95914",),
        "Apache Log4j2远程代码执行漏洞",
    )
    assert cnnvd.aliases == ("CNNVD-202112-799",)
    assert tally.skipped == 1


def test_csaf_tells_fix_platform_and_what_will_not_be_fixed() -> None:
    (advisory,) = read_csaf(json.dumps(CSAF).encode(), Tally())
    rows = {(one.ecosystem, one.name): (one.state, one.ranges[0].fixed) for one in advisory.affected}
    assert rows == {
        ("Red Hat:9", "openssl"): (FixState.FIXED, "1:3.0.7-25.el9"),
        ("Red Hat:9", "compat-openssl"): (FixState.END_OF_LIFE, ""),
    }
    assert advisory.upstream == ("CVE-2024-1",)


def test_nvd_gives_scores_and_cpe_ranges_and_leaves_rejected_ones_out() -> None:
    tally = Tally()
    ((signal, advisory),) = read_nvd(json.dumps(NVD).encode(), tally)
    assert signal.cwes == ("CWE-125",)
    assert (advisory.affected[0].name, advisory.affected[0].ranges[0].fixed) == ("openssl:openssl", "1.0.1g")
    assert tally.skipped == 1


def test_signals_are_read_and_bad_rows_are_counted() -> None:
    tally = Tally()
    epss = list(
        signals.read_epss(
            [
                "#model_version:v1,score_date:2024-01-01",
                "cve,epss,percentile",
                "CVE-1,0.5,0.9",
                "CVE-2,2,0.9",
                "CVE-3,x,1",
            ],
            tally,
        )
    )
    assert [(one.id, one.epss) for one in epss] == [("CVE-1", 0.5)]
    assert tally.skipped == 2
    kev = {
        "vulnerabilities": [{"cveID": "CVE-1", "dateAdded": "2024-01-01", "knownRansomwareCampaignUse": "Known"}, {}]
    }
    (known,) = signals.read_kev(json.dumps(kev).encode(), tally)
    assert known.ransomware
    exploits = list(signals.read_exploitdb(b"id,codes,date_updated\n50592,CVE-2021-44228;OSVDB-1,2021-12-14\n", tally))
    assert [(one.id, one.exploits[0].reference) for one in exploits] == [("CVE-2021-44228", "50592")]
    adp = {
        "metrics": [
            {
                "other": {
                    "type": "ssvc",
                    "content": {
                        "options": [{"Exploitation": "active"}, {"Automatable": "yes"}, {"Technical Impact": "total"}]
                    },
                }
            }
        ]
    }
    record = {"cveMetadata": {"cveId": "CVE-1"}, "containers": {"cna": {"title": "t"}, "adp": [adp]}}
    (rich,) = signals.read_vulnrichment(json.dumps(record).encode(), tally)
    assert (rich.ssvc, rich.automatable, rich.technical_impact) == ("active", True, "total")


def test_a_list_of_references_is_no_exploit() -> None:
    rows = [
        b'{"id":"CVE-1","refs":["https://x"],"github_named":[],"n_github":9}',
        b'{"id":"CVE-2","edb":["123/"],"github_named":["https://g/CVE-2"]}',
        b"{",
    ]
    tally = Tally()
    found = list(signals.read_poc_index(rows, tally))
    assert [(one.id, len(one.exploits)) for one in found] == [("CVE-2", 2)]
    assert tally.skipped == 1


@pytest.mark.parametrize(
    "raw",
    [
        b"<a><b>",
        b"",
        b"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><updates><update><id>&x;</id></update></updates>",
    ],
)
def test_broken_or_hostile_xml_is_an_error_and_reads_no_file(raw: bytes) -> None:
    with pytest.raises(CorruptError, match="not well-formed"):
        list(read_updateinfo(io.BytesIO(raw), Tally(), ecosystem="Amazon:2"))


def test_an_entity_bomb_ends_in_an_error() -> None:
    levels = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<!DOCTYPE x [<!ENTITY l0 "{"A" * 100}">{levels}]><updates><update><id>&l11;</id></update></updates>'
    with pytest.raises(CorruptError, match="not well-formed"):
        list(read_updateinfo(io.BytesIO(bomb.encode()), Tally(), ecosystem="Amazon:2"))


def test_a_directory_of_all_feeds_becomes_one_database_and_a_broken_file_costs_only_itself(tmp_path: Path) -> None:
    feeds = tmp_path / "feeds"
    for name, content in {
        "distro/debian-tracker.json": json.dumps(TRACKER),
        "csaf/redhat/2024/rhsa-2024_1.json": json.dumps(CSAF),
        "csaf/redhat/2024/broken.json": "{",
        "oval/Red Hat_9/rhel9.xml": OVAL,
        "updateinfo/Amazon_2023/updateinfo.xml": UPDATEINFO,
        "china/cnvd-2021.xml": CNVD,
        "china/cnnvd-2021.xml": CNNVD,
        "nvd/2014.json": json.dumps(NVD),
        "malicious/npm/evil/MAL-2024-1.json": json.dumps(
            {
                "id": "MAL-2024-1",
                "affected": [
                    {
                        "package": {"ecosystem": "npm", "name": "evil"},
                        "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}]}],
                    }
                ],
            }
        ),
    }.items():
        path = feeds / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    compiler = Compiler()
    read = {feed.name: feed for feed in read_directory(feeds, compiler)}
    assert read["csaf:redhat"].records == 1
    assert read["csaf:redhat"].skipped == 1
    assert not read["cnvd"].redistributable
    compiler.write(tmp_path / "a.db")
    database = Database(tmp_path / "a.db")
    assert {hit.advisory.source for hit in match(database, "Red Hat:9", "curl", "7.76.1-14.el9")} == {"oval:Red Hat:9"}
    assert match(database, "npm", "evil", "1.0.0")[0].advisory.id == "MAL-2024-1"
    signal = database.signal("CVE-2021-44228")
    assert signal is not None
    assert signal.aliases == ("CNNVD-202112-799", "CNVD-2021-95914") or set(signal.aliases) == {
        "CNVD-2021-95914",
        "CNNVD-202112-799",
    }
    assert [one.id for one in database.named("CVE-2014-0160")] == ["CVE-2014-0160"]
