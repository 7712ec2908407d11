# SPDX-License-Identifier: Apache-2.0
"""What one command costs: wall and CPU seconds, and the memory of all its processes together."""

import os
import subprocess
import threading
import time
from dataclasses import dataclass

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
SAMPLE_SECONDS = 0.02


@dataclass
class Cost:
    wall: float  # seconds
    cpu: float  # seconds, user and system, of the command, its children, and `daemons`
    rss_mib: float  # highest sum over the command's processes seen


def stat_fields(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()


def cpu_of(pid):
    """CPU seconds of one process so far; 0 when it is gone."""
    try:
        fields = stat_fields(pid)
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


def session_rss_bytes(session):
    total = 0
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            if int(stat_fields(name)[3]) != session:
                continue
            with open(f"/proc/{name}/statm") as file:
                total += int(file.read().split()[1]) * PAGE_BYTES
        except (OSError, IndexError):
            continue  # it has just ended
    return total


def measure(command, environment=None, daemons=()):
    """Runs a bash command line, which must succeed. `daemons`: processes that work for it without being its own."""
    before = os.times()
    daemons_before = {pid: cpu_of(pid) for pid in daemons}
    start = time.monotonic()
    process = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", command],
        start_new_session=True,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    peak = [0]
    ended = threading.Event()

    def sample():
        while not ended.wait(SAMPLE_SECONDS):
            peak[0] = max(peak[0], session_rss_bytes(process.pid))

    sampler = threading.Thread(target=sample)
    sampler.start()
    _, errors = process.communicate()
    wall = time.monotonic() - start
    ended.set()
    sampler.join()
    if process.returncode != 0:
        raise SystemExit(f"failed with exit code {process.returncode}: {command}\n{errors.strip()}")
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    cpu += sum(max(0.0, cpu_of(pid) - seconds) for pid, seconds in daemons_before.items())
    return Cost(wall, cpu, peak[0] / 2**20)
