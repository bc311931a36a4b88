"""Random programs give the uninstrumented result, and their taint is that of a character-level model, on both twins."""

from __future__ import annotations

import builtins
import importlib
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from conftest import twins
from oracle import Program, difference
from phalanx_app import taint
from phalanx_app.hooks import _FROM_CORE, hide
from phalanx_app.rewrite.transform import TEMPORARY, rewrite
from phalanx_app.taint.formats import fmt, unread

FAILURES: list[str] = []


@pytest.fixture(params=twins())
def core(request: pytest.FixtureRequest):
    module = importlib.import_module(f"phalanx_app.taint.{'_native' if request.param == 'native' else 'pure'}")

    def failed(where: str) -> None:
        import traceback

        FAILURES.append(f"{where}\n{traceback.format_exc()}")

    use(module, failed)
    FAILURES.clear()
    yield module
    assert not FAILURES, FAILURES[0]


def use(module, failed) -> None:
    """Let rewritten code call this twin."""
    taint.wire(module, failed)

    def ofmt(value, conversion, spec):
        shown = (
            repr(value)
            if conversion == "r"
            else ascii(value)
            if conversion == "a"
            else str(value)
            if conversion == "s"
            else value
        )
        return module.fstr(format(shown, spec), fmt(value, conversion, spec))

    names = {f"__px_{one}__": getattr(module, one) for one in _FROM_CORE}
    names |= {"__px_slice__": slice, "__px_fmt__": fmt, "__px_open__": unread, "__px_ofmt__": ofmt, "__px_hide__": hide}
    for name, value in names.items():
        setattr(builtins, name, value)


PROGRAMS = 220
STATEMENTS = 50


def test_random_programs_equal_the_interpreter_and_the_character_model(core) -> None:
    done = 0

    @settings(
        max_examples=PROGRAMS, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(st.integers(0, 2**63))
    def run(seed: int) -> None:
        nonlocal done
        program = Program(seed, STATEMENTS)
        done += program.operations
        found = difference(program, core, taint.CURRENT, rewrite, TEMPORARY)
        assert found is None, found
        assert not FAILURES, FAILURES[0]

    run()
    assert done >= 9_000, f"only {done} operations"


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_million_operations(core) -> None:
    done, seed = 0, 0
    while done < 1_000_000:
        program = Program(seed, 60)
        found = difference(program, core, taint.CURRENT, rewrite, TEMPORARY)
        assert found is None, f"seed {seed}: {found}"
        done += program.operations
        seed += 1
