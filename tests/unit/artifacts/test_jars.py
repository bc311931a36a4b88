"""Java archives: by coordinates, and by what a jar shows when it has none."""

from __future__ import annotations

import io
import zipfile
from types import SimpleNamespace

import pytest

from phalanx.artifacts.cataloguers.java import JarHint, catalogue_jar, pom_xml
from phalanx.artifacts.jars import resolve_jar
from phalanx.artifacts.model import Component

KNOWN = {
    "spring-beans": ["org.springframework"],
    "h2": ["com.h2database"],
    "core": ["com.google.zxing", "org.apache.other"],
    "log4j-core": ["org.apache.logging.log4j"],
}
LOG4J = {
    "META-INF/maven/org.apache.logging.log4j/log4j-core/pom.properties": "groupId=org.apache.logging.log4j\nartifactId=log4j-core\nversion=2.14.1\n"
}


def jar(path: str, data: bytes) -> tuple[list[Component], list[tuple[str, str]]]:
    skipped: list[tuple[str, str]] = []
    found = [
        resolve_jar(one, lambda artifact: KNOWN.get(artifact, ())) if isinstance(one, JarHint) else one
        for one in catalogue_jar(path, io.BytesIO(data), lambda place, reason: skipped.append((place, reason)))
    ]
    return found, skipped


def names(found: list[Component]) -> list[tuple[str, str, str]]:
    return [(one.namespace, one.name, one.version) for one in found]


def test_spring4shell_is_found_in_a_jar_without_pom_properties(make: SimpleNamespace) -> None:
    data = make.zip(
        {
            "META-INF/MANIFEST.MF": "Manifest-Version: 1.0\r\nImplementation-Title: spring-beans\r\nImplementation-Version: 5.3.17\r\nAutomatic-Module-Name: spring.beans\r\n\r\n",  # noqa: E501
            **{f"org/springframework/beans/{name}.class": b"" for name in ("A", "B", "C")},
        }
    )
    (one,), _ = jar("spring-beans-5.3.17.jar", data)
    assert names([one]) == [("org.springframework", "spring-beans", "5.3.17")]
    assert one.confidence == 0.9


def test_a_renamed_jar_is_known_by_its_symbolic_name_and_directories(make: SimpleNamespace) -> None:
    manifest = "Manifest-Version: 1.0\nBundle-SymbolicName: com.h2database\nImplementation-Title: H2 Database Engine\nImplementation-Version: 1.4.200\n\n"
    found, _ = jar(
        "renamed.jar",
        make.zip({"META-INF/MANIFEST.MF": manifest, "org/h2/Driver.class": b"", "org/h2/engine/Engine.class": b""}),
    )
    assert names(found) == [("com.h2database", "h2", "1.4.200")]


def test_a_name_that_many_use_is_not_matched_without_its_directories(make: SimpleNamespace) -> None:
    (one,), _ = jar("core-1.0.jar", make.zip({"com/acme/shop/core/A.class": b""}))
    assert one.namespace not in KNOWN["core"]
    assert one.confidence == 0.5


def test_log4j_is_found_in_a_war_in_an_ear_and_in_a_shaded_jar(make: SimpleNamespace) -> None:
    inner = make.zip(LOG4J)
    war = make.zip({"WEB-INF/lib/log4j-core-2.14.1.jar": inner})
    (one,), _ = jar("big.ear", make.zip({"app.war": war}))
    assert one.locations[0].path == "big.ear!/app.war!/WEB-INF/lib/log4j-core-2.14.1.jar"
    shaded = {**LOG4J, "META-INF/maven/a/b/pom.properties": "groupId=a\nartifactId=b\nversion=1\n"}
    assert names(jar("shaded.jar", make.zip(shaded))[0]) == [
        ("org.apache.logging.log4j", "log4j-core", "2.14.1"),
        ("a", "b", "1"),
    ]


def test_archives_nested_too_deep_are_told(make: SimpleNamespace) -> None:
    data = make.zip(LOG4J)
    for _ in range(12):
        data = make.zip({"inner.jar": data})
    found, skipped = jar("deep.jar", data)
    assert found == []
    assert any("nested deeper" in reason for _, reason in skipped)


def test_a_bomb_is_told_and_not_unpacked(make: SimpleNamespace) -> None:
    found, skipped = jar("bomb.jar", make.zip({"inner.jar": b"\0" * (64 << 20), **LOG4J}))
    assert [one.name for one in found] == ["log4j-core"]
    assert any("bomb" in reason for _, reason in skipped)


def test_an_encrypted_and_a_lying_entry_are_told_and_the_rest_is_read(make: SimpleNamespace) -> None:
    data = bytearray(make.zip({"a.jar": b"x" * 100, **LOG4J}))
    place = data.rfind(b"PK\x01\x02", 0, data.rfind(b"PK\x01\x02"))
    data[place + 8] |= 1
    found, skipped = jar("x.jar", bytes(data))
    assert [one.name for one in found] == ["log4j-core"]
    assert ("x.jar!/a.jar", "encrypted") in skipped


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"PK\x05\x06" + b"\0" * 18, b"\xff" * 500])
def test_what_is_no_zip_is_told(data: bytes) -> None:
    found, skipped = jar("x.jar", data)
    assert found == []
    assert len(skipped) <= 1


def test_duplicate_entries_are_read_once_each_and_do_not_hide_one_another() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        name = "META-INF/maven/a/b/pom.properties"
        archive.writestr(name, "groupId=a\nartifactId=b\nversion=1\n")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr(name, "groupId=a\nartifactId=b\nversion=2\n")
    assert {version for _, _, version in names(jar("x.jar", made.getvalue())[0])} == {"1", "2"}


def test_a_pom_resolves_its_own_properties_and_reads_no_entity() -> None:
    pom = b"""<project xmlns="http://maven.apache.org/POM/4.0.0"><version>3.1</version><properties><v>1.2.3</v><a>${b}</a><b>${a}</b></properties><dependencies>
    <dependency><groupId>g</groupId><artifactId>x</artifactId><version>${v}</version></dependency>
    <dependency><groupId>g</groupId><artifactId>own</artifactId><version>${project.version}</version></dependency>
    <dependency><groupId>g</groupId><artifactId>loop</artifactId><version>${a}</version></dependency>
    <dependency><groupId>g</groupId><artifactId>managed</artifactId></dependency></dependencies></project>"""
    assert [(one.name, one.version) for one in pom_xml("pom.xml", pom)] == [("x", "1.2.3"), ("own", "3.1")]
    with pytest.raises(ValueError, match="document type"):
        list(pom_xml("pom.xml", b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + pom))
