"""The naive interpreter: a condition asked of one event by walking its tree. Slow, obvious, and what all else must agree with."""

from __future__ import annotations

from typing import assert_never, cast

from phalanx.language.evaluate import compare, evaluate
from phalanx.language.tree import All, Any_, Const, Exists, Node, Not, One, Test
from phalanx.model.event import Event
from phalanx.model.values import UNKNOWN

__all__ = ["interpret"]


def interpret(node: Node, event: Event) -> bool | None:
    """True, False, or None where the answer rests on something UNKNOWN (Kleene's logic)."""
    part = cast("Const | Test | Exists | Not | All | Any_ | One", node)
    match part:
        case Const():
            return part.value
        case Test():
            return compare(part, event)
        case Exists():
            return _exists(evaluate(part.left, event))
        case Not():
            inner = interpret(part.item, event)
            return None if inner is None else not inner
        case All():
            answer: bool | None = True
            for item in part.items:
                inner = interpret(item, event)
                if inner is False:
                    return False
                if inner is None:
                    answer = None
            return answer
        case Any_():
            answer = False
            for item in part.items:
                inner = interpret(item, event)
                if inner is True:
                    return True
                if inner is None:
                    answer = None
            return answer
        case One():
            answers = [interpret(item, event) for item in part.items]
            if answers.count(True) > 1:
                return False
            return None if None in answers else answers.count(True) == 1
        case _:
            assert_never(part)


def _exists(value: object) -> bool | None:
    if isinstance(value, tuple):
        if any(item is not None and item is not UNKNOWN for item in value):
            return True
        return None if any(item is UNKNOWN for item in value) else False
    return None if value is UNKNOWN else value is not None
