"""One act in a process of its own: ``python -m phalanx.respond.simulate.perform ID [twin]``, one JSON line at the end."""

from __future__ import annotations

import os
import sys
import time

import msgspec
from msgspec import Struct

from phalanx.errors import PhalanxError, UnavailableError

__all__ = ["Performed", "main", "perform"]


class Performed(Struct, frozen=True, kw_only=True):
    """What became of one act."""

    id: str
    ts_ns: int = 0
    """When it began, UTC ns; 0 when it did not."""
    error: str = ""
    """Why it could not be performed; empty when it was."""


def perform(name: str, *, twin: bool = False) -> Performed:
    """Set a stage, do the act, take all down. Leaves this process's namespaces for good: call it in a process of its own, as root."""
    from phalanx.respond.simulate.acts import find_act
    from phalanx.respond.simulate.stage import on_stage

    act = find_act(name)
    if os.geteuid() != 0:
        raise UnavailableError(
            "simulations need root: they make namespaces of their own", hint="sudo phalanx simulate run …"
        )
    if act.container:
        from phalanx.respond.simulate.container import sweep

        sweep()  # what a run that was killed left
    os.setsid()  # no controlling terminal: an act must not depend on who started it
    began = time.time_ns()
    code = on_stage(act.twin if twin else act.attack)
    error = "" if code == 0 else f"the act ended with exit code {code}; its own words are on standard error"
    return Performed(id=act.id, ts_ns=began, error=error)


def main(arguments: list[str]) -> int:
    """Perform what is named; exit code 0 when it was performed, 3 when not."""
    name, twin = arguments[0], "twin" in arguments[1:]
    try:
        done = perform(name, twin=twin)
    except (PhalanxError, OSError) as error:
        done = Performed(id=name, error=str(error))
    sys.stdout.write(msgspec.json.encode(done).decode() + "\n")
    return 3 if done.error else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
