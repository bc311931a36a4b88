"""Who this agent is: a stable id from the machine, the host's name, the boot, the kernel."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

from msgspec import Struct

from phalanx.model.ids import AgentId

__all__ = ["Identity", "identify"]


class Identity(Struct, frozen=True, kw_only=True):
    """What stays the same while the agent runs."""

    agent: AgentId
    host: str
    boot: str
    """The kernel's boot id."""
    kernel: str


def identify(state: Path) -> Identity:
    """The identity of this machine's agent.

    The id is a digest of ``/etc/machine-id`` (which itself is confidential: machine-id(5)); where there is none, a random one is kept in ``state/agent-id``.
    """
    uname = os.uname()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")
    return Identity(agent=AgentId(_agent_id(state)), host=uname.nodename, boot=boot, kernel=uname.release)


def _agent_id(state: Path) -> str:
    try:
        machine = Path("/etc/machine-id").read_text().strip()
    except OSError:
        machine = ""
    if machine:
        return hashlib.blake2b(machine.encode(), key=b"phalanx agent", digest_size=8).hexdigest()
    kept = state / "agent-id"
    if not kept.exists():
        kept.write_text(secrets.token_hex(8))
    return kept.read_text().strip()
