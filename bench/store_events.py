"""The event store: append with fsync, questions while events come in, questions to many stored events, memory of an idle store.

    python bench/store_events.py [--events 20000000] [--seconds 30] [--root DIR] [--only append,ingest,stored,memory]

Prints one line for each measure with its goal and, where there is one, a baseline of the same run: the same bytes written to a plain file with the same
fsyncs, and the same rows inserted into a DuckDB table. With ``--root`` a filled store is kept there and used again.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from _store_load import Load
from phalanx.language.query import EventQuery
from phalanx.store.events.log import LogEventStore
from phalanx.store.events.options import LogOptions
from phalanx.store.events.wrap import wrap

ROWS = 2000
HOUR = 3600 * 10**9


def say(what: str, got: str, goal: str = "") -> None:
    """One line of the table."""
    print(f"{what:<66} {got:>22}  {goal}", flush=True)


def percentile(values: list[float], share: float) -> float:
    """The value below which ``share`` of ``values`` lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def append(root: Path, load: Load) -> None:
    """2,000-row batches, each acknowledged by an fsync that it shares with its neighbours."""
    now = time.time_ns()
    blocks = list(load.batches(150, since_ns=now - HOUR, until_ns=now))
    rows = len(blocks) * ROWS

    with (root / "plain").open("wb") as file:
        start = time.perf_counter()
        for block in blocks:
            file.write(block)
            file.flush()
            os.fdatasync(file.fileno())
        plain = rows / (time.perf_counter() - start)

    import duckdb

    with duckdb.connect(str(root / "baseline.duckdb"), config={"threads": 2, "memory_limit": "512MB"}) as database:
        events = wrap(blocks[0]).event
        database.register("block", events)
        database.execute("CREATE TABLE events AS SELECT * FROM block WHERE false")
        start = time.perf_counter()
        for block in blocks[:30]:
            database.register("block", wrap(block).event)
            database.execute("INSERT INTO events SELECT * FROM block")
        table = 30 * ROWS / (time.perf_counter() - start)

    for senders in (1, 2):
        best = 0.0
        for attempt in range(3):
            options = LogOptions(seal_rows=10**9, seal_bytes=10**12, queue_bytes=32 * 2**20)
            with LogEventStore(root / f"append-{senders}-{attempt}", options=options, maintain=False) as store:
                start = time.perf_counter()

                def send(part: int, store: LogEventStore = store, step: int = senders) -> None:
                    for future in [store.submit(block) for block in blocks[part::step]]:
                        future.result()

                threads = [threading.Thread(target=send, args=(part,)) for part in range(senders)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                best = max(best, rows / (time.perf_counter() - start))
                groups = store.statistics()
        say(
            f"append with fsync, {ROWS}-row batches, {senders} sender(s), best of 3",
            f"{best / 1e6:.2f} M rows/s",
            f"goal >= 1 M ({groups.batches / groups.syncs:.0f} batches a sync)",
        )
    say("  baseline: the same blocks to a plain file, fsync each", f"{plain / 1e6:.2f} M rows/s")
    say("  baseline: event columns alone into a DuckDB table file", f"{table / 1e6:.2f} M rows/s")


def ingest(root: Path, load: Load, seconds: float) -> None:
    """60,000 events a second come in while questions are asked one after the other."""
    store = LogEventStore(root / "ingest")
    sent = [0]
    late = [0.0]
    done = threading.Event()

    def send() -> None:
        start = time.time_ns()
        count = int(seconds * 30)
        blocks = load.batches(count, since_ns=start, until_ns=start + int(seconds * 1e9))
        began = time.perf_counter()
        pending: deque[object] = deque()
        for number, block in enumerate(blocks):
            wait = began + number / 30 - time.perf_counter()
            if wait > 0:
                time.sleep(wait)
            else:
                late[0] = max(late[0], -wait)
            pending.append(store.submit(block))
            while len(pending) > 30:
                pending.popleft().result()  # type: ignore[attr-defined]
            sent[0] += ROWS
        for future in pending:
            future.result()  # type: ignore[attr-defined]
        done.set()

    sender = threading.Thread(target=send)
    sender.start()
    took: list[float] = []
    began = time.perf_counter()
    while not done.is_set():
        now = time.time_ns()
        for question in (
            EventQuery(limit=100),
            EventQuery(where="evt.type = execve and proc.name in (curl, sh)", since_ns=now - HOUR, limit=50),
            EventQuery(since_ns=now - HOUR, bucket_ns=60 * 10**9),
            EventQuery(text="/dev/tcp/", since_ns=now - HOUR, limit=50),
            EventQuery(group_by=("evt.type",), since_ns=now - HOUR),
        ):
            start = time.perf_counter()
            store.query(question)
            took.append((time.perf_counter() - start) * 1e3)
        time.sleep(0.2)
    sender.join()
    rate = sent[0] / (time.perf_counter() - began)
    statistics = store.statistics()
    say(
        f"ingest while questions run, {seconds:.0f} s",
        f"{rate / 1e3:.1f} k events/s",
        f"goal >= 60 k (largest delay of a batch {late[0] * 1e3:.0f} ms)",
    )
    say(
        f"  {len(took)} questions, p50 / p95",
        f"{percentile(took, 0.5):.0f} / {percentile(took, 0.95):.0f} ms",
        "goal p95 <= 300 ms",
    )
    say("  not sealed yet at the end", f"{statistics.hot_events / 1e3:.0f} k of {statistics.events / 1e6:.1f} M")
    store.close()


def fill(root: Path, load: Load, events: int) -> None:
    """One day of ``events``, sealed and compacted."""
    now = time.time_ns()
    began = time.perf_counter()
    with LogEventStore(root) as store:
        pending: deque[object] = deque()
        for block in load.batches(events // ROWS, since_ns=now - 24 * HOUR, until_ns=now):
            pending.append(store.submit(block))
            while len(pending) > 30:
                pending.popleft().result()  # type: ignore[attr-defined]
        for future in pending:
            future.result()  # type: ignore[attr-defined]
        store.rotate()
        time.sleep(0.5)
        store.maintain()
        statistics = store.statistics()
    say(
        f"filled with {statistics.events / 1e6:.0f} M events of a day, sealed and compacted",
        f"{statistics.bytes_on_disk / statistics.events:.1f} bytes/event",
        f"{statistics.parts} parts, {events / (time.perf_counter() - began) / 1e3:.0f} k events/s through all of it",
    )


def stored(root: Path) -> None:
    """Questions to what :func:`fill` left."""
    start = time.perf_counter()
    store = LogEventStore(root, maintain=False)
    opened = time.perf_counter() - start
    newest = store.statistics().newest_ns or 0

    def measure(what: str, ask: Callable[[int], object], count: int, goal: str = "") -> None:
        ask(0)
        took = []
        for number in range(count):
            begun = time.perf_counter()
            ask(number)
            took.append((time.perf_counter() - begun) * 1e3)
        say(f"{what}, p50 / p95 of {count}", f"{percentile(took, 0.5):.0f} / {percentile(took, 0.95):.0f} ms", goal)

    say("open the store", f"{opened * 1e3:.0f} ms")
    rules = (
        "evt.type = execve and proc.name in (curl, sh)",
        "evt.type = openat and fd.name startswith /srv/app7/data/12",
        "evt.type = connect and fd.sport = 443 and user.name = ada and proc.aname in (nginx)",
        "evt.type = execve and proc.name = nosuchprogram",
    )

    def rule(number: int) -> object:
        until = newest - number * 1_000_000_000
        return store.query(
            EventQuery(where=rules[number % len(rules)], since_ns=until - HOUR, until_ns=until, bucket_ns=60 * 10**9)
        )

    def rule_rows(number: int) -> object:
        until = newest - number * 1_000_000_000
        return store.query(
            EventQuery(where=rules[number % len(rules)], since_ns=until - HOUR, until_ns=until, limit=50)
        )

    measure("rule asked of the last hour, when it fired", rule, 40, "goal p95 100 ms")
    measure("rule asked of the last hour, 50 rows with all columns", rule_rows, 40)

    import duckdb

    with duckdb.connect(config={"threads": 2, "memory_limit": "512MB"}) as plain:
        files = f"{root}/parts/*"
        text = (
            f"SELECT count(*) FROM read_parquet('{files}.events.parquet') e JOIN read_parquet('{files}.processes.parquet') p USING (proc) "
            f"WHERE e.type = 'execve' AND p.proc_name IN ('curl', 'sh') AND e.ts_ns >= {newest - HOUR}"
        )
        measure("  baseline: DuckDB over all files, no manifests", lambda _: plain.execute(text).fetchall(), 10)
    measure(
        "text in a day, nothing found",
        lambda number: store.query(
            EventQuery(text=f"nosuchtext{number}", since_ns=newest - 24 * HOUR, limit=50), time_limit_s=60
        ),
        10,
        "goal p95 1,500 ms",
    )
    measure(
        "text in a day, rare",
        lambda number: store.query(
            EventQuery(text="/dev/tcp/10.9.8", since_ns=newest - 24 * HOUR, limit=50), time_limit_s=60
        ),
        10,
        "goal p95 1,500 ms",
    )
    ids = []
    for hour in range(24):
        ids += [
            row["id"] for row in store.query(EventQuery(until_ns=newest - hour * HOUR, fields=("id",), limit=20)).rows()
        ]
    random.Random(1).shuffle(ids)
    measure("point look-up with all ancestors", lambda number: store.get(ids[number]), 100, "goal p95 50 ms")
    measure("newest 100 rows", lambda _: store.query(EventQuery(limit=100)), 20)
    measure("programs of a day, commonest 20", lambda _: store.query(EventQuery(group_by=("proc.name",), top_n=20)), 5)
    store.close()


def memory(root: Path) -> None:
    """A process that has the filled store open, has answered one question and does nothing."""
    code = (
        "import sys, time; from pathlib import Path\n"
        "from phalanx.store.events.log import LogEventStore; from phalanx.language.query import EventQuery\n"
        "with LogEventStore(Path(sys.argv[1])) as store:\n"
        "    store.query(EventQuery(limit=10))\n"
        "    print(next(line for line in open('/proc/self/status') if line.startswith('VmRSS')).split()[1])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(root)], capture_output=True, text=True, check=True)
    say(
        "resident, store open and idle after one question",
        f"{int(done.stdout) / 1024:.0f} MiB",
        "goal: hub and agent <= 350 MB together",
    )


def main() -> None:
    """Measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--root", type=Path, help="keep the filled store here")
    parser.add_argument("--only", default="append,ingest,stored,memory")
    options = parser.parse_args()
    chosen = options.only.split(",")
    load = Load(rows=ROWS, templates=60)
    with tempfile.TemporaryDirectory(prefix="phalanx-bench-") as temporary:
        root = Path(temporary)
        if "append" in chosen:
            append(root, load)
        if "ingest" in chosen:
            ingest(root, load, options.seconds)
        filled = options.root or root / "filled"
        if ("stored" in chosen or "memory" in chosen) and not (filled / "manifests").exists():
            fill(filled, load, options.events)
        if "stored" in chosen:
            stored(filled)
        if "memory" in chosen:
            memory(filled)


if __name__ == "__main__":
    main()
