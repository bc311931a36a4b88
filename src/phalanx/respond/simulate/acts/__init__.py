"""The acts, by the id of the rule that each attack must trigger and each twin must not."""

from __future__ import annotations

from phalanx.errors import NotFoundError
from phalanx.respond.simulate.acts.base import Act

__all__ = ["Act", "all_acts", "find_act"]


def all_acts() -> dict[str, Act]:
    """Every act, by id, in the order of the ids."""
    from phalanx.respond.simulate.acts import containers, credentials, execution, host, persistence, shells

    acts = [
        *containers.ACTS,
        *credentials.ACTS,
        *execution.ACTS,
        *host.ACTS,
        *persistence.ACTS,
        *shells.ACTS,
    ]
    return {act.id: act for act in sorted(acts, key=lambda act: act.id)}


def find_act(name: str) -> Act:
    """The act with this id; NotFoundError when there is none."""
    found = all_acts().get(name.upper())
    if found is None:
        raise NotFoundError(f"there is no simulation {name[:64]!r}", hint="`phalanx simulate list` names them")
    return found
