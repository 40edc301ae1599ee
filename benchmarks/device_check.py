"""`python benchmarks/device_check.py all`: checks and times the zoo on an accelerator, within a time
limit.

Every measurement is one JSON line of OUT/results.jsonl, written at once, so that an interrupted run
loses nothing. Compilation for an accelerator takes most of the time and runs on the host, so all
programs are compiled in parallel, each model in a separate process. Then one process after the
other times its programs, alone on the device. A training uses the remaining time.
"""

import argparse
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this file is run as a script

from benchmarks.device_parts import (
    BEGAN,
    OUT,
    ROOT,
    bench,
    emit,
    env,
    listen,
    numerics,
    update,
)

# The models to time, at the papers' sizes.
SLOW = (
    "pixel_cnn_pp",
    "diagonal_bilstm",
    "wavenet",
    "pixel_transformer",
    "row_lstm",
    "transformer",
)
QUICK = (
    "gated_pixel_cnn",
    "pixel_cnn",
    "made",
    "lstm",
    "nade",
    "eonade",
    "fvsbn",
    "gru",
    "seq2seq_attention",
)
UPDATES = ("transformer", "gated_pixel_cnn", "made", "lstm")
NUMERICS = (
    "made", "nade", "gated_pixel_cnn", "pixel_cnn_pp", "transformer", "lstm", "wavenet_16bit",
    "diagonal_bilstm", "eonade", "rnade", "pixel_transformer", "row_lstm", "seq2seq_attention",
    "show_attend_tell", "fvsbn", "gru", "pixel_cnn", "wavenet", "attention_lstm", "captioner",
    "seq2seq", "rnn", "nade_categorical",
)  # fmt: skip


def jax_on_gpu() -> bool:
    """Whether this machine has an NVIDIA GPU, without calling the driver."""
    return Path("/dev/nvidia0").exists()


class Child:
    """A separate process that runs this script with other arguments."""

    def __init__(self, *words: str):
        # Autotuning times every candidate of a kernel, which is meaningless while other processes
        # use the device.
        flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_autotune_level=0".strip()
        environment = {
            **os.environ,
            "OUT": str(OUT),
            "PYTHONUNBUFFERED": "1",
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        }
        if jax_on_gpu():
            environment["XLA_FLAGS"] = flags
        self.words, self.ready, self.began = words, False, time.monotonic()
        self.log = (OUT / "children.log").open("a")
        self.process = subprocess.Popen(
            [sys.executable, __file__, *words], env=environment, cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, start_new_session=True,
        )  # fmt: skip

    def send(self, word: str) -> None:
        try:
            self.process.stdin.write(word + "\n")
            self.process.stdin.flush()
        except OSError:
            pass

    def listen(self) -> None:
        """Reads the child's output so far, without waiting."""
        while select.select([self.process.stdout], [], [], 0)[0]:
            line = self.process.stdout.readline()
            if not line:
                return
            self.ready |= line.strip() == "READY"
            if line.strip() != "READY":
                print(line, end="", flush=True)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        if self.alive:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.listen()


def everything(seconds: float, parallel: int, train: list[str]) -> None:
    """Runs all parts within `seconds`, then the command `train` in the remaining time."""
    left = lambda: seconds - (time.monotonic() - BEGAN)  # noqa: E731
    first = Child("env")  # alone, because it measures times
    while first.alive and left() > seconds * 0.9:
        time.sleep(0.1)
    first.kill()
    queue: list[tuple[str, ...]] = []
    queue += [("bench", "pixel_cnn_pp", "64")]  # compiles longest
    queue += [("numerics", name) for name in NUMERICS[:12]]
    queue += [("bench", name, "64", "256") for name in SLOW[1:]]
    queue += [("bench", name, "64", "256", "1024") for name in QUICK]
    queue += [("numerics", name) for name in NUMERICS[12:]]
    queue += [
        ("update", name, "64", dtype) for name in UPDATES for dtype in ("float32", "bfloat16")
    ]
    running: list[Child] = []
    waiting: list[Child] = []
    compile_until = seconds * 0.5
    told = False
    while left() > seconds - compile_until - 30 and (queue or running):
        for child in list(running):
            child.listen()
            if child.ready:
                running.remove(child)
                waiting.append(child)
            elif not child.alive:
                running.remove(child)
                if child.process.returncode:
                    emit("all", f"failed/{'/'.join(child.words)}", code=child.process.returncode)
        over = left() < seconds - compile_until
        while queue and len(running) < parallel and not over:
            running.append(Child(*queue.pop(0)))
        if over and not told:
            told = True
            for child in running:
                child.send("stop")
            emit(
                "all",
                "late",
                queued=queue,
                running=[child.words for child in running],
            )
            queue.clear()
        time.sleep(0.05)
    for child in running:
        emit("all", f"dropped/{'/'.join(child.words)}", after=time.monotonic() - child.began)
        child.kill()
    for child in waiting:
        child.send("go")
        until = time.monotonic() + 20
        while child.alive and time.monotonic() < until and left() > 5:
            child.listen()
            time.sleep(0.02)
        child.kill()
    table()
    if train and left() > 60:
        run_training(train, left() - 10)


def run_training(words: list[str], seconds: float) -> None:
    """Runs a training until it is done or the time is over; `auto` means as many steps as fit, at
    most 5,000.
    """
    began = time.monotonic()
    rows = [json.loads(line) for line in (OUT / "results.jsonl").read_text().splitlines()]
    rates = [
        row["ms"] / 1e3
        for row in rows
        if row["part"] == "update" and row["key"] == f"{words[0]}/64/float32"
    ]
    steps = min(5000, int(0.8 * (seconds - 40) / max(rates))) if rates else 1000
    words = [str(steps) if word == "auto" else word for word in words]
    process = subprocess.Popen(
        [sys.executable, "-m", "train", *words], cwd=ROOT, start_new_session=True
    )
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)  # it writes a checkpoint
        code = process.wait(20)
    emit(
        "train",
        words[0],
        command=" ".join(["python", "-m", "train", *words]),
        code=code,
        seconds=time.monotonic() - began,
    )


def table() -> None:
    """Prints the times as a table."""
    rows = [json.loads(line) for line in (OUT / "results.jsonl").read_text().splitlines()]
    print(
        "\n| model | batch | log_prob ms | draw ms | cost | us/step | samples/s | "
        "gap |\n" + "|---" * 8 + "|"
    )
    for row in rows:
        if row["part"] == "bench" and "error" not in row:
            print(
                f"| {row['model']} | {row['batch']} | {row['score_ms']:.2f} "
                f"| {row['draw_ms']:.1f} "
                f"| {row['cost']:.2f} | {row['us_per_step']:.1f} | {row['per_s']:.0f} | "
                f"{row['nats_gap']:.2g} |"
            )


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=("all", "env", "numerics", "bench", "update"))
    parser.add_argument("words", nargs="*")
    parser.add_argument("--seconds", type=float, default=540)
    parser.add_argument("--parallel", type=int, default=max(1, (os.cpu_count() or 2) // 2))
    parser.add_argument("--train", nargs=argparse.REMAINDER, default=[])
    options = parser.parse_args()
    if options.part in ("bench", "update"):
        threading.Thread(target=listen, daemon=True).start()
    match options.part:
        case "all":
            everything(options.seconds, options.parallel, options.train)
        case "env":
            env()
        case "numerics":
            numerics(options.words[0])
        case "bench":
            bench(options.words[0], [int(word) for word in options.words[1:]])
        case "update":
            update(options.words[0], int(options.words[1]), options.words[2])
