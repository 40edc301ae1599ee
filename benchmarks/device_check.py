"""`python -m benchmarks.device_check`: checks and times the zoo on an accelerator, within a time limit.

Every result is one JSON line of `$OUT/results.jsonl` (`device_out/results.jsonl`), written at once. An
interrupted check loses nothing: the same command, on another day, measures what is missing. Most
of the time goes into compilation, on the host. So each job is a process that compiles beside
others, and those stand still while it is timed, which leaves the device to it alone. A training
uses the remaining time.
"""

import argparse
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this file also runs as a script

from benchmarks.on_device.children import ROOT, Child, Job, work
from benchmarks.on_device.measurements import SIZES, bench, env, listen, numerics, update
from benchmarks.on_device.results import emit, folder, measured, rows

# The models to time, those that compile longest first; each batch of a LARGE one is a job.
LARGE = (
    "pixel_cnn_pp", "diagonal_bilstm", "wavenet", "pixel_transformer", "row_lstm", "transformer",
)  # fmt: skip
SMALL = (
    "gated_pixel_cnn", "pixel_cnn", "made", "lstm", "nade", "eonade", "fvsbn", "gru",
    "seq2seq_attention", "vae", "diffusion", "gan", "maf", "rnade", "nade_categorical", "rnn",
    "attention_lstm", "wavenet_16bit", "seq2seq", "captioner", "show_attend_tell", "iwae",
    "wgan_gp", "autoencoder", "draw_network", "cnn", "ram", "frames", "probe",
)  # fmt: skip
FIRST = 9  # so many of SMALL come before the updates
UPDATES = ("transformer", "gated_pixel_cnn", "made", "lstm")
BATCHES = (64, 256, 1024, 4096)
DTYPES = ("float32", "bfloat16")


def plan(size: str) -> list[Job]:
    """The jobs in the order in which they begin: those that are timed take turns with checks, and
    what is asked for first comes first.
    """

    def numeric(names, precision):
        return [Job(("numerics", name, precision), (f"{name}/{precision}",)) for name in names]

    def timed(name, *batches):
        keys = tuple(f"{name}/{batch}" for batch in batches)
        return Job(("bench", name, size, *map(str, batches)), keys)

    updates = [
        Job(("update", name, size, "64", dtype), (f"{name}/64/{dtype}",))
        for name in UPDATES
        for dtype in DTYPES
    ]
    benches = [timed(name, batch) for batch in BATCHES[:3] for name in LARGE]
    benches[len(LARGE) : len(LARGE)] = [timed(name, *BATCHES) for name in SMALL[:FIRST]] + updates
    benches += [timed(name, *BATCHES) for name in SMALL[FIRST:]]
    checks = numeric(SMALL[:FIRST] + LARGE + SMALL[FIRST:], "default")
    checks += numeric(SMALL + LARGE, "highest")
    pairs = itertools.zip_longest(benches, checks)
    return [job for pair in pairs for job in pair if job]


def everything(seconds: float, parallel: int, size: str, train: list[str]) -> None:
    """Does all jobs within `seconds`, then the training in the remaining time.

    Raises:
      ValueError: the folder has results of another device or size, or jax does not start.
    """
    until = time.monotonic() + seconds
    before = _versions()
    # alone, because it measures times
    first = Child(Job(("env", size), ("versions",)), 0.9)
    try:
        while first.alive and time.monotonic() < until - 0.8 * seconds:
            time.sleep(0.1)
    finally:
        code = first.end()
    if code > 0:
        raise ValueError(f"jax does not start here: {first.last[:300]}")
    now = _versions()
    if before and now != before:
        raise ValueError(
            f"{folder()} holds results of {before[0]} at size {before[1]}, and this is "
            f"{now[0]} at size {now[1]}: choose another folder by OUT=FOLDER."
        )
    jobs = plan(size)
    tried = {row["key"] for row in rows() if row["part"] == "all"}
    # What has failed before is tried again last.
    jobs.sort(key=lambda job: any(key.endswith("/".join(job.words)) for key in tried))
    work(jobs, parallel, until - (0.4 if train else 0.02) * seconds)
    table()
    missing = [key for job in jobs for key in job.missing(measured())]
    if missing:
        print(f"\n{len(missing)} results are missing; the same command continues.", flush=True)
    if train and until - time.monotonic() > 20:
        run_training(train, until - time.monotonic() - 10)


def _versions():
    """(devices, size) of the newest results, or None."""
    found = [row for row in rows() if (row["part"], row["key"]) == ("env", "versions")]
    return (found[-1]["devices"], found[-1].get("size", SIZES[0])) if found else None


def run_training(words: list[str], seconds: float) -> None:
    """Runs or continues a training until it is done or the time is over; `auto` means as many steps
    as fit, at most 5,000.
    """
    began, name = time.monotonic(), words[0]
    if "--run-dir" not in words:
        words = [*words, "--run-dir", f"runs/device-{name}"]
    where = Path(words[words.index("--run-dir") + 1])
    if (ROOT / where / "results.json").exists():
        print(f"{where} is finished.")
        return
    if (ROOT / where / "recipe.json").exists():
        words = [name, "--run-dir", str(where), "--resume"]
    elif "auto" in words:
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
    return max(1, min(5000, int(0.8 * (seconds - 40) / max(rates)))) if rates else 1000


def table() -> None:
    """Prints the times as a table."""
    heads = ("model", "batch", "log_prob ms", "draw ms", "cost", "us/step", "samples/s", "gap")
    print(f"\n| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    for row in rows():
        if row["part"] == "bench" and "error" not in row:
            names = ("score_ms", "draw_ms", "cost", "us_per_step", "per_s", "nats_gap")
            values = [row.get(name) for name in names]
            cells = ["-" if value is None else f"{value:.4g}" for value in values]
            print(f"| {row['model']} | {row['batch']} | {' | '.join(cells)} |", flush=True)


def parse() -> argparse.Namespace:
    """The flags."""
    parser = argparse.ArgumentParser(description="Checks and times the zoo on an accelerator.")
    parts = ("all", "env", "numerics", "bench", "update")
    parser.add_argument("part", nargs="?", choices=parts, default="all")
    parser.add_argument("words", nargs="*", help="what one part takes")
    parser.add_argument("--seconds", type=float, default=540, help="the limit for all of it")
    parser.add_argument(
        "--parallel", type=int, default=max(1, (os.cpu_count() or 2) // 2),
        help="how many processes compile at once",
    )  # fmt: skip
    parser.add_argument("--size", choices=SIZES, default=SIZES[0], help="tiny: to try it on a CPU")
    parser.add_argument(
        "--train", nargs=argparse.REMAINDER, default=[],
        help="the last flag: words of `python -m train`, such as made --steps auto",
    )  # fmt: skip
    options = parser.parse_args()
    if options.seconds <= 0 or options.parallel < 1:
        parser.error("--seconds and --parallel must be positive")
    return options


def main() -> None:
    """The command: all of the check, or in a child one part."""
    options = parse()
    folder().mkdir(parents=True, exist_ok=True)
    words = options.words
    if options.part in ("bench", "update"):
        listen()
    match options.part:
        case "all":
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no child is left
            with tempfile.TemporaryDirectory() as programs:  # for jobs that are tried again
                os.environ["JAX_COMPILATION_CACHE_DIR"] = programs
                os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "1"
                everything(options.seconds, options.parallel, options.size, options.train)
        case "env":
            env(words[0])
        case "numerics":
            numerics(*words)
        case "bench":
            bench(words[0], words[1], [int(word) for word in words[2:]])
        case "update":
            update(words[0], words[1], int(words[2]), words[3])


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(f"error: {error}")
