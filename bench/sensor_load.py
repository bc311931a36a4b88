"""The kernel sensor under a storm of system calls on one core, read on the other; every row beside the bare storm of the same minute.

Needs root. The storm is a small C program in a loop of open() and close(), or of fork() and exit(); machines are noisy: read ratios, not absolutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from phalanx.language.kernel_filter import KernelFilter, TypeFilter
from phalanx.model.ids import AgentId
from phalanx.sensors.kernel import KernelSensor, doctor

SECONDS = 1.5
STORM = r"""
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
int main(int argc, char **argv) {
    double seconds = atof(argv[1]), passed = 0; long calls = 0; int flags = atoi(argv[2]); struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    while (passed < seconds) {
        for (int i = 0; i < 100; i++, calls++) {
            if (flags < 0) { if (!fork()) _exit(0); wait(0); } else close(open("/etc/hostname", flags)); }
        clock_gettime(CLOCK_MONOTONIC, &b);
        passed = b.tv_sec - a.tv_sec + (b.tv_nsec - a.tv_nsec) / 1e9;
    }
    printf("%.0f\n", calls / passed);
}
"""


def bare(storm: list[str]) -> float:
    """Calls a second without a sensor."""
    return float(subprocess.run(storm, capture_output=True, text=True, check=True).stdout)


def measured(storm: list[str], chosen: KernelFilter) -> tuple[float, float, int, int, float]:
    """Calls a second under the sensor, records read a second, candidates, lost, processor time of the reader in per cent."""
    with KernelSensor(agent=AgentId("00112233445566aa"), host="bench") as sensor:
        sensor.set_filter(chosen)
        for _ in range(20):
            sensor.poll(0.01)
        before = sensor.statistics()
        processor, start = time.process_time(), time.monotonic()
        running = subprocess.Popen(storm, stdout=subprocess.PIPE, text=True)
        while running.poll() is None:
            sensor.poll(0.01)
        processor, passed = time.process_time() - processor, time.monotonic() - start
        for _ in range(30):
            sensor.poll(0.01)
        after = sensor.statistics()
        assert running.stdout is not None
        return (
            float(running.stdout.read()),
            (after.events - before.events) / passed,
            after.candidates - before.candidates,
            after.lost["ring_full"] - before.lost["ring_full"],
            100 * processor / passed,
        )


def main() -> int:
    """Print the table."""
    try:
        doctor.require()
    except Exception as error:  # noqa: BLE001 - said, whatever it is
        print(f"not measured: {error}")
        return 0
    reads = ("open", "openat", "openat2")
    prefixes = TypeFilter(fd_prefixes=tuple(f"/root/.ssh/key-{n}" for n in range(300)))
    rows = (
        ("opens for reading, no rule wants them", "0", KernelFilter(types={})),
        ("opens for reading, 300 prefixes, none matches", "0", KernelFilter(types=dict.fromkeys(reads, prefixes))),
        ("opens for writing, recorded", "1", KernelFilter(types={})),
        (
            "opens for reading, each an object",
            "0",
            KernelFilter(types=dict.fromkeys(reads, TypeFilter(everything=True))),
        ),
        ("fork and exit, recorded", "-1", KernelFilter(types={})),
    )
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory, "storm.c")
        source.write_text(STORM)
        subprocess.run(["cc", "-O2", "-o", f"{directory}/storm", str(source)], check=True)
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[-1]})
        print(
            f"{'case':48} {'bare/s':>9} {'sensed/s':>9} {'slower':>7} {'read/s':>9} {'objects':>8} {'lost':>7} {'reader':>7}"
        )
        for name, flags, chosen in rows:
            storm = ["taskset", "-c", str(cores[0]), f"{directory}/storm", str(SECONDS), flags]
            before = bare(storm)
            rate, read, candidates, lost, processor = measured(storm, chosen)
            baseline = (before + bare(storm)) / 2
            print(
                f"{name:48} {baseline:9.0f} {rate:9.0f} {100 * (1 - rate / baseline):6.0f}% {read:9.0f} {candidates:8} {lost:7} {processor:6.1f}%"
            )
    print("goal: no loss while no rule wants each event; the reader below 20 % of a core at 200k/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
