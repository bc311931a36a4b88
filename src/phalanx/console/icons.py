"""The icons that the console uses, by their Lucide names; the build makes one sprite of them, a test finds what is missing or unused."""

from __future__ import annotations

from typing import Final

__all__ = ["ICONS", "KIND_ICONS", "kind_icon"]

KIND_ICONS: Final[dict[str, str]] = {
    "exec": "terminal",
    "fork": "split",
    "exit": "log-out",
    "open": "file",
    "connect": "network",
    "accept": "network",
    "bind": "network",
    "listen": "ear",
    "socket": "network",
    "send": "send",
    "dup": "copy",
    "namespace": "layers",
    "mount": "hard-drive",
    "ptrace": "bug",
    "module": "cpu",
    "bpf": "cpu",
    "cgroup": "box",
    "rename": "file",
    "unlink": "trash-2",
    "link": "link",
    "mkdir": "folder",
    "chmod": "key-round",
    "cred": "key-round",
    "memfd": "memory-stick",
    "record": "scroll-text",
    "loss": "triangle-alert",
}
"""Icon of each kind of event."""

ICONS: Final = tuple(
    sorted(
        {
            *KIND_ICONS.values(),
            "activity",
            "arrow-right",
            "arrow-down-up",
            "bell",
            "box",
            "boxes",
            "check",
            "chevron-down",
            "chevron-left",
            "chevron-right",
            "clock",
            "copy",
            "cpu",
            "download",
            "flask-conical",
            "gauge",
            "globe",
            "history",
            "info",
            "keyboard",
            "languages",
            "link",
            "list-filter",
            "lock",
            "log-out",
            "menu",
            "minus",
            "monitor",
            "moon",
            "pause",
            "pencil",
            "play",
            "plus",
            "radio",
            "rotate-ccw",
            "save",
            "scroll-text",
            "search",
            "send",
            "server",
            "settings",
            "shield",
            "sun",
            "tag",
            "terminal",
            "triangle-alert",
            "user",
            "users",
            "wifi-off",
            "x",
            "zap",
        }
    )
)
"""Everything in the sprite."""


def kind_icon(kind: str) -> str:
    """The icon of a kind of event; a plain dot list for one that has none."""
    return KIND_ICONS.get(kind, "activity")
