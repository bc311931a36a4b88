"""The pytest plugin: ``pytest --phalanx-app`` runs the tests with the agent and shows what they passed through.

It does nothing without the option. Test modules keep pytest's own rewriting; the application's modules get the agent's.
"""

from __future__ import annotations

from typing import Any

_SEVERITIES = ("info", "low", "medium", "high", "critical")


def pytest_addoption(parser: Any) -> None:
    """The options."""
    group = parser.getgroup("phalanx-app")
    group.addoption("--phalanx-app", action="store_true", help="find security flaws while the tests run")
    group.addoption("--phalanx-app-report", default="", help="file for findings, a line of JSON each")
    group.addoption(
        "--phalanx-app-fail", choices=_SEVERITIES, help="fail the run for findings of this severity or worse"
    )


def pytest_load_initial_conftests(early_config: Any) -> None:
    """Start before any test or application module is imported."""
    options = early_config.known_args_namespace
    if not getattr(options, "phalanx_app", False):
        return
    import dataclasses

    from . import agent, config

    settings = config.from_environment()
    if options.phalanx_app_report:
        settings = dataclasses.replace(settings, report=options.phalanx_app_report)
    running = agent.start(settings)
    found: list[dict[str, Any]] = []
    early_config._phalanx_app = found
    tell = running.reporter.finding

    def finding(one: dict[str, Any]) -> None:
        found.append(one)
        tell(one)

    running.reporter.finding = finding


def pytest_terminal_summary(terminalreporter: Any, config: Any) -> None:
    """Show the findings."""
    found = getattr(config, "_phalanx_app", None)
    if found is None:
        return
    terminalreporter.section(f"phalanx-app: {len(found)} findings")
    for one in sorted(found, key=lambda finding: -_SEVERITIES.index(finding["severity"])):
        sink = one["sink"]
        terminalreporter.line(
            f"{one['severity']:8} {one['rule']} (CWE-{one['cwe']}) {sink['file']}:{sink['line']} {one['route']}"
        )


def pytest_sessionfinish(session: Any) -> None:
    """Fail when asked to."""
    found = getattr(session.config, "_phalanx_app", None)
    limit = session.config.getoption("--phalanx-app-fail", default=None)
    if (
        found
        and limit
        and any(_SEVERITIES.index(one["severity"]) >= _SEVERITIES.index(limit) for one in found)
        and session.exitstatus == 0
    ):
        session.exitstatus = 1
