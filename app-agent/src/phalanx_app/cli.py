"""The command `phalanx-app`: `run`, `verify`, `show`, `on`, `off`. Exit codes: 0 done, 1 findings or a flaw confirmed (with `--fail`), 2 wrong use."""

from __future__ import annotations

import argparse
import json
import os
import sys

from .errors import AgentError
from .version import VERSION

_HERE = os.path.dirname(os.path.abspath(__file__))


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="phalanx-app", description="Finds security flaws from inside an application while it runs."
    )
    parser.add_argument("--version", action="version", version=f"phalanx-app {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser(
        "run", help="run a program under the agent", description="phalanx-app run [options] -- python app.py"
    )
    run.add_argument("--root", help="directory of first-party code (default: the working directory)")
    run.add_argument("--report", help="file for findings, a line of JSON each")
    run.add_argument("--hub", help="URL of the hub")
    run.add_argument("--project", help="name of the project")
    run.add_argument("--app-version", help="version of the application")
    run.add_argument("--environment", choices=("test", "staging", "production"))
    run.add_argument("program", nargs=argparse.REMAINDER)
    verify = commands.add_parser("verify", help="replay findings with harmless markers and tell which are real")
    verify.add_argument("--report", required=True, help="file with findings")
    verify.add_argument("--url", required=True, help="where the application runs, such as http://127.0.0.1:5000")
    verify.add_argument(
        "--key",
        default=os.environ.get("PHALANX_APP_VERIFY_KEY", ""),
        help="the key given to the application as PHALANX_APP_VERIFY_KEY",
    )
    verify.add_argument(
        "--header", action="append", default=[], help="a header of every request, 'Name: value' (a session)"
    )
    verify.add_argument("--rule", action="append", default=[], help="only findings of this rule")
    verify.add_argument("--json", action="store_true", help="one line of JSON for each finding")
    verify.add_argument("--fail", action="store_true", help="exit with 1 when a flaw is confirmed")
    show = commands.add_parser("show", help="show the findings of a report")
    show.add_argument("report")
    show.add_argument("--fail", action="store_true", help="exit with 1 when there are findings")
    for name in ("on", "off"):
        switch = commands.add_parser(
            name, help=f"turn analysis {name} in running applications of this user, without a restart"
        )
        switch.add_argument("--state", default="", help="their PHALANX_APP_STATE")
    options = parser.parse_args(argv)
    try:
        if options.command == "run":
            return _run(options)
        if options.command == "verify":
            from .replay import verify_report

            return verify_report(options)
        if options.command == "show":
            return _show(options)
        return _switch(options)
    except AgentError as error:
        print(f"phalanx-app: {error}" + (f"\n  {error.hint}" if error.hint else ""), file=sys.stderr)
        return 2


def command_of(program: list[str]) -> list[str]:
    """The command that runs `program` under the agent: `python app.py` becomes `python -m phalanx_app.script app.py`.

    Everything else is started as it is; the agent comes in by `sitecustomize`.
    """
    name = os.path.basename(program[0])
    if not name.startswith("python"):
        return program
    takes_value = {"-W", "-X", "--check-hash-based-pycs"}
    at = 1
    while at < len(program):
        word = program[at]
        if word in ("-m", "-c", "-") or word[:2] in ("-m", "-c"):
            return program
        if word in takes_value:
            at += 2
        elif word.startswith("-"):
            at += 1
        else:
            break
    if at >= len(program):
        return program
    return [*program[:at], "-m", "phalanx_app.script", *program[at:]]


def _run(options: argparse.Namespace) -> int:
    program = options.program[1:] if options.program[:1] == ["--"] else options.program
    if not program:
        raise AgentError("no program given", "phalanx-app run -- python app.py")
    env = os.environ
    env["PHALANX_APP_RUN"] = "1"
    env["PHALANX_APP_SOURCE"] = os.path.dirname(_HERE)
    env["PYTHONPATH"] = os.pathsep.join([os.path.join(_HERE, "bootstrap"), *filter(None, [env.get("PYTHONPATH", "")])])
    for name, value in (
        ("ROOT", os.path.abspath(options.root) if options.root else env.get("PHALANX_APP_ROOT", os.getcwd())),
        ("REPORT", os.path.abspath(options.report) if options.report else ""),
        ("HUB", options.hub),
        ("PROJECT", options.project),
        ("VERSION", options.app_version),
        ("ENVIRONMENT", options.environment),
    ):
        if value:
            env[f"PHALANX_APP_{name}"] = value
    from .config import from_environment

    from_environment()  # a wrong setting is told here, before the program starts
    sys.stdout.flush()
    try:
        os.execvp(program[0], command_of(program))  # noqa: S606 - what the caller asked for
    except OSError as cause:
        raise AgentError(
            f"cannot start {program[0]}: {cause.strerror}", "is it installed in this environment?"
        ) from cause


def read_findings(path: str) -> list[dict[str, object]]:
    """The findings of a report, each once.

    Raises:
        AgentError: when the file cannot be read.
    """
    found: dict[str, dict[str, object]] = {}
    try:
        with open(path, encoding="utf-8") as file:
            for line in file:
                try:
                    message = json.loads(line)
                except ValueError:
                    continue
                if isinstance(message, dict) and message.get("kind") == "finding":
                    found.setdefault(str(message["fingerprint"]), message)
    except OSError as cause:
        raise AgentError(f"cannot read {path}: {cause.strerror}", "give the file that --report wrote") from cause
    return list(found.values())


def _show(options: argparse.Namespace) -> int:
    findings = read_findings(options.report)
    order = ["critical", "high", "medium", "low", "info"]
    findings.sort(key=lambda one: order.index(str(one["severity"])))
    for one in findings:
        sink: dict[str, object] = one["sink"]  # type: ignore[assignment]
        print(f"{one['severity']:8} {one['rule']}  CWE-{one['cwe']}  {sink['file']}:{sink['line']}  {one['route']}")
        source = one.get("source")
        if isinstance(source, dict):
            print(f"         {source['kind']} {source['name']!r} -> {sink['name']}")
        steps = one.get("flow")
        for step in steps if isinstance(steps, list) else []:
            print(f"           {step['file']}:{step['line']}  {step['code'] or step['operation']}")
        print(f"         fix: {one['fix']}")
    print(f"{len(findings)} findings")
    return 1 if findings and options.fail else 0


def _switch(options: argparse.Namespace) -> int:
    from .config import from_environment

    state = options.state or from_environment().state
    try:
        from .report import private

        private(os.path.join(state, "spool"))
        path = os.path.join(state, "control")
        with open(path + ".new", "w", encoding="ascii") as file:
            file.write(options.command + "\n")
        os.replace(path + ".new", path)
    except OSError as cause:
        raise AgentError(f"cannot write the control file in {state}: {cause.strerror}", "give --state") from cause
    print(f"analysis {options.command} for applications with the state directory {state}; they notice within a second")
    return 0
