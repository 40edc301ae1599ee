"""Processes of a device check: each compiles beside others, and is timed while they stand still."""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.on_device.results import emit, folder, measured

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "benchmarks.device_check"]
PARENT = "DEVICE_CHECK_PARENT"  # in the environment of a child: the process that it obeys
AUTOTUNE = "--xla_gpu_autotune_level"
PR_SET_PDEATHSIG = 1  # of <sys/prctl.h>
TIMING = 40.0  # seconds that a process may take for its timings


class Job(NamedTuple):
    """The work of one process.

    Attributes:
      words: of its command line: the part, the model, and what else the part takes.
      keys: of the results that it writes.
    """

    words: tuple[str, ...]
    keys: tuple[str, ...]

    def missing(self, found: set[tuple[str, str]]) -> list[str]:
        """The keys without a result."""
        return [key for key in self.keys if (self.words[0], key) not in found]


class Child:
    """A process at work on a job.

    Attributes:
      ready: whether it has compiled, and waits for "go".
      last: its last line on stderr.
    """

    def __init__(self, job: Job, memory: float):
        self.job, self.ready, self.last, self.late = job, False, "", False
        self.began, self.paused = time.monotonic(), 0.0
        self.process: Any = subprocess.Popen(
            [*COMMAND, *job.words],
            env=environment(os.environ, memory), cwd=ROOT, text=True, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, errors="replace",
        )  # fmt: skip
        self._readers = [threading.Thread(target=read) for read in (self._read, self._read_errors)]
        for reader in self._readers:
            reader.start()

    def _read(self):
        for line in self.process.stdout:
            if line.strip() == "READY":
                self.ready = True
            else:
                print(line, end="", flush=True)

    def _read_errors(self):
        with (folder() / "children.log").open("a") as log:
            for line in self.process.stderr:
                self.last = line.strip() or self.last
                log.write(f"{' '.join(self.job.words)}: {line}")

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def worked(self) -> float:
        """Seconds since its start, without those in which it stood still."""
        return time.monotonic() - self.began - self.paused

    def send(self, word: str) -> None:
        """Writes a word to its standard input, if it still reads."""
        with contextlib.suppress(OSError):
            self.process.stdin.write(word + "\n")
            self.process.stdin.flush()

    def signal(self, number: int) -> None:
        """Signals the process and those that it started, such as an assembler."""
        if self.alive:
            os.killpg(self.process.pid, number)

    def end(self) -> int:
        """Kills it if it is alive; returns its exit code once all of its output is read."""
        self.signal(signal.SIGKILL)
        code = self.process.wait()
        for reader in self._readers:
            reader.join()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            with contextlib.suppress(OSError):
                pipe.close()
        return code


def environment(given: Mapping[str, str], memory: float) -> dict[str, str]:
    """The environment of a child that may take this part of the device's memory."""
    made = {
        **given,
        "OUT": str(folder()),
        "PYTHONUNBUFFERED": "1",
        PARENT: str(os.getpid()),
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "XLA_PYTHON_CLIENT_MEM_FRACTION": f"{memory:.3f}",
        "JAX_TRACEBACK_FILTERING": "off",  # so the last line of a traceback names the error
    }
    platforms = given.get("JAX_PLATFORMS", "")
    if platforms and "cpu" not in platforms.split(","):
        made["JAX_PLATFORMS"] = f"{platforms},cpu"  # numerics compares with the CPU
    flags = given.get("XLA_FLAGS", "")
    if any(Path("/dev").glob("nvidia[0-9]*")) and AUTOTUNE not in flags:
        # Autotuning times candidates of a kernel, which is meaningless beside other processes.
        made["XLA_FLAGS"] = f"{flags} {AUTOTUNE}=0".strip()
    return made


def is_child() -> bool:
    """Whether a device check started this process."""
    return PARENT in os.environ


def end_with_parent() -> None:
    """Lets the system kill this child when its parent ends in any way, even while it stands still;
    on Linux alone.
    """
    if is_child() and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != int(os.environ[PARENT]):  # it ended before
            os._exit(1)


def time_alone(child: Child, others: Sequence[Child], until: float) -> None:
    """Lets a child that is ready do its timings, while the others stand still."""
    began = time.monotonic()
    for other in others:
        other.signal(signal.SIGSTOP)
    try:
        child.send("go")
        while child.alive and time.monotonic() < min(began + TIMING, until):
            time.sleep(0.02)
    finally:
        for other in others:
            other.signal(signal.SIGCONT)
            other.paused += time.monotonic() - began


def work(jobs: Sequence[Job], parallel: int, until: float) -> None:
    """Does the jobs, so many beside one another, until all are done or it is too late.

    A job that failed beside others, such as for want of memory, is tried again alone.
    """
    for count, memory in ((parallel, 0.9 / parallel), (1, 0.9)):
        jobs = [job for job in jobs if job.missing(measured())]
        jobs = list(_at_once(jobs, count, memory, until))


def _at_once(jobs: list[Job], parallel: int, memory: float, until: float) -> Iterator[Job]:
    """Does the jobs; yields those that failed."""
    queue = list(jobs)
    running: list[Child] = []
    limit = 0.5 * (until - time.monotonic())  # what one job may take to compile
    try:
        while (queue or running) and time.monotonic() < until:
            while queue and len(running) < parallel and time.monotonic() < until - 0.2 * limit:
                running.append(Child(queue.pop(0), memory))
            for child in list(running):
                if child.alive and child.ready:
                    time_alone(child, [other for other in running if other is not child], until)
                late = child.worked > limit or time.monotonic() > until - 0.2 * limit
                if late and not child.late:
                    child.late = True
                    child.send("stop")  # it times what is compiled by now
                if child.ready or not child.alive or child.worked > 1.5 * limit:
                    running.remove(child)
                    if not _ended(child):
                        yield child.job
            time.sleep(0.05)
    finally:
        for child in running:
            _ended(child)


def _ended(child):
    """Ends a child; whether it did its work, but for what memory forbids it beside others."""
    late = child.alive
    code = child.end()
    late |= child.late and code == 0  # it was told to stop, and had nothing to time
    missing = child.job.missing(measured())
    if late and missing:
        emit("all", f"dropped/{'/'.join(child.job.words)}", after=child.worked, missing=missing)
    elif missing:
        emit(
            "all", f"failed/{'/'.join(child.job.words)}",
            code=code, missing=missing, error=child.last[:300],
        )  # fmt: skip
    return late or not missing


def obey(words: list[str]) -> None:
    """In a child: collects the words of the parent, until there are no more; without a "go" that is
    the end.
    """
    while True:
        select.select([sys.stdin], [], [])  # a blocked read would disturb the interpreter's exit
        line = sys.stdin.readline()
        if line:
            words.append(line.strip())
        elif "go" in words:
            return
        else:
            os._exit(1)
