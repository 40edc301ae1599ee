"""The training of a device check: it uses the remaining time, and continues on another day."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.on_device.children import ROOT
from benchmarks.on_device.results import emit, rows

MOST_STEPS = 5000  # that `auto` chooses
AROUND = 40  # seconds of a training that are no steps: it starts, compiles, tests and draws


def read_training(words: Sequence[str]) -> tuple[list[str], Path]:
    """The words behind --train with a run folder among them, and that folder.

    Raises:
      ValueError: `python -m train` does not take these words.
      SystemExit: the same, of a flag, after a line on stderr.
    """
    from train.cli.options import parse

    name, *flags = words
    asked = parse(name, ["1" if word == "auto" else word for word in flags])
    if asked.run_dir is not None:
        return list(words), asked.run_dir
    where = Path("runs") / f"device-{asked.name}"
    return [*words, "--run-dir", str(where)], where


def run_training(words: list[str], seconds: float) -> None:
    """Runs or continues a training until it is done or the time is over; `auto` means as many steps
    as fit, at most 5,000.
    """
    began = time.monotonic()
    words, where = read_training(words)
    name = words[0]
    if (ROOT / where / "results.json").exists():
        print(f"{where} is finished.")
        return
    if (ROOT / where / "recipe.json").exists():
        words = [name, "--run-dir", str(where), "--resume"]
    elif "auto" in words:
        if seconds < 2 * AROUND:
            print(f"{name} is not trained, for want of time: choose more --seconds.")
            return
        words = [str(_steps(name, seconds)) if word == "auto" else word for word in words]
    command = [sys.executable, "-m", "train", *words]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)  # it writes a checkpoint
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
    said = " ".join(["python -m train", *words])
    emit("train", name, command=said, code=process.wait(), seconds=time.monotonic() - began)


def _steps(name, seconds):
    rates = [
        row["ms"] / 1e3
        for row in rows()
        if row["part"] == "update" and row["key"] == f"{name}/64/float32"
    ]
    return max(1, min(MOST_STEPS, int(0.8 * (seconds - AROUND) / max(rates)))) if rates else 1000
