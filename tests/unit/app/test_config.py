"""The configuration: where it comes from, what it refuses, and that its page tells all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phalanx.app.config import DOCUMENTATION, HubConfig, is_loopback, load_config, parse_address
from phalanx.errors import PhalanxError, UsageError

ROOT = Path(__file__).resolve().parents[3]


def load(
    tmp_path: Path, text: str = "", *, address: str | None = None, environment: dict[str, str] | None = None
) -> HubConfig:
    file = tmp_path / "hub.yaml"
    file.write_text(text)
    return load_config(
        file=file, state_dir=Path("/s"), socket=Path("/s/sock"), address=address, environment=environment or {}
    )


def test_each_source_goes_over_the_one_before(tmp_path: Path) -> None:
    assert load(tmp_path).address == "127.0.0.1:7430"
    assert load(tmp_path, "address: 127.0.0.1:1").port == 1
    assert load(tmp_path, "address: 127.0.0.1:1", environment={"PHALANX_ADDRESS": "127.0.0.1:2"}).port == 2
    assert (
        load(
            tmp_path, "address: 127.0.0.1:1", address="127.0.0.1:3", environment={"PHALANX_ADDRESS": "127.0.0.1:2"}
        ).port
        == 3
    )


def test_units_are_read(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        "session_idle: 90m\nevents_keep: 7d\nevents_max_bytes: 2GiB\nlogin_attempts: 5\nallowed_hosts: [a.example]",
    )
    assert (config.session_idle, config.events_keep, config.events_max_bytes) == (5400, 7 * 86_400, 2 << 30)
    assert config.allowed_hosts == ("a.example",)
    assert load(tmp_path, environment={"PHALANX_ALLOWED_HOSTS": "a.example, b.example"}).allowed_hosts == (
        "a.example",
        "b.example",
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("adress: 127.0.0.1:1", "adress"),
        ("address: 0.0.0.0:7430", "no TLS"),
        ("address: 192.0.2.1:7430", "no TLS"),
        ("address: '[::]:7430'", "no TLS"),
        ("address: hub.example:7430", "no TLS"),
        ("address: nonsense", "address"),
        ("address: 127.0.0.1:99999", "address"),
        ("address: 5", "must be text"),
        ("tls_certificate: /x", "only one"),
        ("session_idle: 1s", "between"),
        ("session_idle: soon", "session_idle"),
        ("session_idle: -5", "between"),
        ("session_idle: true", "session_idle"),
        ("events_max_bytes: 1 parsec", "events_max_bytes"),
        ("allowed_hosts: 7", "configuration is wrong"),
        ("base_url: javascript:alert(1)", "base_url"),
        ("- a list", "names with values"),
        ("{", "not YAML"),
        ("a: !!python/object/apply:os.system [id]", "not YAML"),
    ],
)
def test_what_cannot_be_is_refused_and_says_why(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        load(tmp_path, text)


def test_a_file_that_is_not_there_and_an_endless_one_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_config(file=tmp_path / "none", state_dir=Path("/s"), socket=Path("/s"), environment={})
    with pytest.raises(UsageError, match="larger than"):
        load(tmp_path, "#" * (1 << 20) + "\n#")


@given(st.text(max_size=200))
def test_any_file_is_read_or_refused_with_a_typed_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    try:
        load(tmp_path_factory.getbasetemp(), text)
    except (PhalanxError, UnicodeEncodeError):
        return


@given(st.text(max_size=60))
def test_any_address_is_read_or_refused(text: str) -> None:
    try:
        host, port = parse_address(text)
    except UsageError:
        return
    assert host
    assert 0 <= port <= 65_535


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("localhost.evil.example", False),
        ("::", False),
        ("127.1", False),
    ],
)
def test_only_what_is_surely_loopback_counts(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_the_page_and_the_table_tell_every_key_and_its_default() -> None:
    fields: dict[str, Any] = {field.name: field.default for field in msgspec.structs.fields(HubConfig)}
    assert set(fields) == set(DOCUMENTATION)
    page = (ROOT / "docs/reference/configuration.md").read_text("utf-8")
    rows = {line.split("|")[1].strip().strip("`"): line for line in page.splitlines() if line.startswith("| `")}
    assert set(rows) == set(DOCUMENTATION)
    for name, (kind, meaning) in DOCUMENTATION.items():
        assert kind in rows[name], name
        assert meaning.split(";")[0].split(".")[0][:40] in rows[name], name
