"""A wheel made here runs in a bare environment: no compiler, no node, no source tree."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from shutil import which

import pytest

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (ROOT / "src/phalanx/sensors/kernel/phalanx.bpf.o").exists():
        pytest.skip("the kernel object is not built: make bpf")
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return next(out.glob("phalanx-*.whl"))


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and the base requirements only, and a PATH without compilers."""
    uv = which("uv") or str(Path(sys.executable).parent / "uv")
    if not Path(uv).exists():
        pytest.skip("needs uv")
    place = tmp_path_factory.mktemp("bare") / "env"
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(place)], check=True)
    subprocess.run([uv, "pip", "install", "-q", "--python", str(place / "bin/python"), str(wheel)], check=True)
    return place / "bin"


def run(bare: Path, *command: str, code: int = 0) -> str:
    environment = {"PATH": str(bare), "HOME": os.environ.get("HOME", "/root"), "LANG": "C.UTF-8"}
    done = subprocess.run(
        [str(bare / command[0]), *command[1:]], env=environment, cwd="/", capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_object_extensions_and_assets_and_no_test(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert any(name.endswith("sensors/kernel/phalanx.bpf.o") for name in names)
    assert sum(name.endswith(".so") for name in names) >= 5
    assert any("console/static/vendor/" in name for name in names)
    assert any(name.endswith("console/templates/overview.html") for name in names)
    assert any(name.endswith("content/rules/shell.yaml") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "bench/")) or name.endswith((".pyx", ".o.tmp"))]


def test_the_command_line_runs_without_hub_libraries(bare: Path, tmp_path: Path) -> None:
    assert "phalanx" in run(bare, "phalanx", "version")
    rules = tmp_path / "r.yaml"
    rules.write_text(
        "- rule: A\n  desc: d\n  condition: evt.type = execve and proc.name = x\n  output: o\n  priority: NOTICE\n"
    )
    assert run(bare, "phalanx", "rules", "check", str(rules)).splitlines()[-1].startswith("rules=1 macros=0 lists=0")
    (tmp_path / "requirements.txt").write_text("six==1.16.0\n")
    # without an advisory database the components are told all the same, and the exit code says that something was missing
    if not Path("/var/lib/phalanx/advisories/advisories.db").exists():
        assert "six" in run(bare, "phalanx", "scan", "fs", str(tmp_path), "--format", "json", code=3)


@pytest.mark.needs_root
@pytest.mark.needs_kernel
def test_the_sensor_of_the_wheel_sees_a_program_start(bare: Path) -> None:
    from phalanx.sensors.kernel import doctor

    if os.geteuid() != 0 or any(check.required and not check.ok for check in doctor.checks()):
        pytest.skip("the kernel sensor cannot run here")
    code = (
        "import subprocess; from phalanx.sensors.kernel import KernelSensor\n"
        "with KernelSensor(agent='a' * 16, host='h') as sensor:\n"
        "    subprocess.run(['/bin/true'])\n"
        "    seen = [e for _ in range(30) for e in sensor.poll(0.02).candidates]\n"
        "print(any(e.type == 'execve' and e.process.name == 'true' for e in seen))"
    )
    assert run(bare, "python", "-c", code).strip() == "True"
