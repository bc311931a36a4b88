"""Helpers of the decoder's tests: a batch read by the words of phalanx.model.columns alone, and records made by hand."""

from __future__ import annotations

import ctypes
import itertools
import json
import re
import struct
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from phalanx.model import event as events
from phalanx.model.columns import EVENT_COLUMNS, MAGIC, PROCESS_COLUMNS, BatchHeader
from phalanx.model.event import Event
from phalanx.model.process import Descriptor, Process
from phalanx.model.values import UNKNOWN
from phalanx.sensors.kernel._decode import Decoder
from phalanx.sensors.kernel.batch import encode_batch

_FORMATS = {"u16": "H", "u32": "I", "i32": "i", "u64": "Q", "i64": "q"}
_TYPES = {("event", c.name): c.type for c in EVENT_COLUMNS} | {("process", c.name): c.type for c in PROCESS_COLUMNS}
KINDS = {cls.__struct_config__.tag: cls for cls in Event.__args__}  # type: ignore[attr-defined]


def read_batch(block: bytes) -> tuple[BatchHeader, list[dict[str, Any]], list[dict[str, Any]]]:
    """Header, event rows and process rows of a batch; every rule of the layout is asserted on the way."""
    assert block[:8] == MAGIC
    (length,) = struct.unpack_from("<Q", block, 8)
    header = msgspec.json.decode(block[16 : 16 + length], type=BatchHeader)
    rows: dict[str, list[dict[str, Any]]] = {
        "event": [{} for _ in range(header.rows)],
        "process": [{} for _ in range(header.processes)],
    }
    for column in header.columns:
        kind = _TYPES[column.table, column.name]
        for place in (column.data, column.validity, column.offsets, column.list_offsets):
            if place is not None:
                assert place[0] % 64 == 0
                assert 16 + length <= place[0] <= place[0] + place[1] <= len(block)

        def buffer(place: tuple[int, int] | None) -> bytes:
            return b"" if place is None else block[place[0] : place[0] + place[1]]

        data, validity = buffer(column.data), buffer(column.validity)
        count = len(rows[column.table])
        values: list[Any]
        if kind == "bool":
            values = [bool(data[i >> 3] >> (i & 7) & 1) for i in range(count)]
        elif kind == "text":
            ends = struct.unpack(f"<{count + 1}i", buffer(column.offsets))
            assert ends[0] == 0
            assert ends[-1] == len(data)
            values = [data[a:b].decode("utf-8") for a, b in itertools.pairwise(ends)]
        elif kind == "texts":
            lists = struct.unpack(f"<{count + 1}i", buffer(column.list_offsets))
            ends = struct.unpack(f"<{lists[-1] + 1}i", buffer(column.offsets))
            assert ends[-1] == len(data)
            items = [data[a:b].decode("utf-8") for a, b in itertools.pairwise(ends)]
            values = [tuple(items[a:b]) for a, b in itertools.pairwise(lists)]
        else:
            values = list(struct.unpack(f"<{count}{_FORMATS[kind]}", data))
        for index, value in enumerate(values):
            if not validity or validity[index >> 3] >> (index & 7) & 1:
                rows[column.table][index][column.name] = value
    return header, rows["event"], rows["process"]


def rebuild(block: bytes) -> list[Event]:
    """The events of a batch as objects, made from the columns alone; ``container`` is UNKNOWN, as the layout keeps none."""
    header, rows, states = read_batch(block)
    made: list[Process] = []
    for row in states:
        values = dict(row)
        parent = values.pop("parent", None)
        values["parent"] = None if parent is None else UNKNOWN if parent == -1 else made[parent]
        made.append(Process(**values))
    out = []
    for row in rows:
        cls = KINDS[row["kind"]]
        values = {"agent": header.agent}
        descriptor = {}
        for column in EVENT_COLUMNS:
            if column.name not in row:
                continue
            value = row[column.name]
            if column.name.startswith("fd_"):
                descriptor[column.name[3:]] = value
                continue
            attributes = [a for o, a in re.findall(r"([A-Z]\w+)\.(\w+)", column.field) if o in (cls.__name__, "Event")]
            if column.name == "flags":
                attributes = ["flags"]
            if column.name == "extra":
                values |= json.loads(value)
            elif column.name == "proc":
                values["process"] = made[value]
            elif column.name != "kind":
                (attribute,) = attributes
                values[attribute] = int(value) if attribute == "dev" and cls is events.Mkdir else value
        if descriptor:
            values["fd"] = Descriptor(**descriptor)
        out.append(cls(**values))
    return out


class Owner:
    """Answers the decoder's questions from fixed facts."""

    def names(self, container: str, uid: int, gid: int, loginuid: int, pid: int) -> tuple[str, str, str, str, str]:
        return ("root", "/root", "/bin/sh", "root", "<NA>") if uid == 0 else ("<NA>", "<NA>", "<NA>", "<NA>", "<NA>")

    def cgroup(self, number: int, path: str | None) -> tuple[str, str]:
        return path or "", "host"

    def cgroup_id(self, path: str) -> int:
        return 0

    def arguments(self, pid: int, start: int) -> tuple[bytes, bytes, str | None, str | None]:
        return b"", b"", None, None

    def facts(self, pid: int) -> None:
        return None

    def container(self, number: str | None) -> None:
        return None


def take(decoder: Decoder) -> bytes:
    """The decoder's batch as a block."""
    rows, processes, event_columns, process_columns = decoder.take()
    return encode_batch(
        agent="00112233445566aa",
        host="test",
        boot="0" * 32,
        rows=rows,
        processes=processes,
        tables={"event": event_columns, "process": process_columns},
        coverage=(),
    )


@pytest.fixture
def decoder() -> Decoder:
    """A decoder that no kernel feeds."""
    return Decoder(Owner(), "00112233445566aa", "0" * 32)


class Str(ctypes.LittleEndianStructure):
    """``struct ph_str``."""

    _fields_ = [("len", ctypes.c_uint16), ("kind", ctypes.c_uint8), ("form", ctypes.c_uint8)]


class Fd(ctypes.LittleEndianStructure):
    """``struct ph_fd``."""

    _fields_ = [
        ("num", ctypes.c_int32),
        ("mode", ctypes.c_uint32),
        ("ino", ctypes.c_uint64),
        ("magic", ctypes.c_uint32),
        ("open_flags", ctypes.c_uint32),
        *((name, ctypes.c_uint16) for name in ("family",)),
        ("sock_type", ctypes.c_uint8),
        ("sock_state", ctypes.c_uint8),
        *((name, ctypes.c_uint16) for name in ("proto", "lport", "rport", "nlink")),
        ("laddr", ctypes.c_uint8 * 16),
        ("raddr", ctypes.c_uint8 * 16),
    ]


class Task(ctypes.LittleEndianStructure):
    """``struct ph_task``."""

    _fields_ = [
        *((name, ctypes.c_uint64) for name in ("parent_start", "exe_ino", "exe_ctime", "exe_mtime")),
        *((name, ctypes.c_uint32) for name in ("ppid", "sid", "pgid", "vpid", "vpgid", "tty", "loginuid")),
        *((name, ctypes.c_uint32) for name in ("exe_mode", "exe_uid", "exe_gid")),
    ]


class Record(ctypes.LittleEndianStructure):
    """``struct ph_record``."""

    _fields_ = [
        ("size", ctypes.c_uint32),
        ("type", ctypes.c_uint16),
        ("nr", ctypes.c_uint16),
        ("ts", ctypes.c_uint64),
        ("start", ctypes.c_uint64),
        *((name, ctypes.c_uint32) for name in ("pid", "tid", "uid", "gid")),
        *((name, ctypes.c_uint64) for name in ("cap_permitted", "cap_effective", "cap_inheritable", "cgroup")),
        ("ret", ctypes.c_int64),
        ("arg", ctypes.c_uint64 * 6),
        ("cpu", ctypes.c_uint16),
        ("flags", ctypes.c_uint16),
        ("strings", ctypes.c_uint32),
        ("comm", ctypes.c_char * 16),
        ("fd", Fd),
        ("task", Task),
        ("str", Str * 8),
    ]


Make = Callable[..., bytes]


def make_record(strings: Sequence[tuple[int, int, bytes]] = (), **fields: Any) -> bytes:
    """The bytes of a record: ``strings`` are (kind, form, bytes)."""
    made = Record()
    made.fd.num = -1000
    made.nr = 0xFFFF
    for name, value in fields.items():
        if name == "arg":
            for index, one in enumerate(value):
                made.arg[index] = one
        elif isinstance(value, dict):
            inner = getattr(made, name)
            for field, one in value.items():
                if isinstance(one, bytes):
                    ctypes.memmove(ctypes.addressof(inner) + getattr(type(inner), field).offset, one, len(one))
                else:
                    setattr(inner, field, one)
        else:
            setattr(made, name, value)
    for index, (kind, form, raw) in enumerate(strings):
        made.str[index].len, made.str[index].kind, made.str[index].form = len(raw), kind, form
    made.strings = len(strings)
    tail = b"".join(raw for _, _, raw in strings)
    made.size = ctypes.sizeof(Record) + len(tail)
    return bytes(made) + tail


@pytest.fixture(scope="session")
def make() -> Make:
    """``make(type=…, strings=[(kind, form, bytes)], **fields)``: the bytes of a record."""
    return make_record
