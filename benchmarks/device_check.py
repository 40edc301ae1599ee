"""`python -m benchmarks.device_check`: checks and times the zoo on an accelerator, within a time limit.

Every result is one JSON line of `$OUT/results.jsonl` (`device_out/results.jsonl`), written at once. An
interrupted check loses nothing: the same command, on another day, measures what is missing. Most
of the time goes into compilation, on the host. So each job is a process that compiles beside
others, and those stand still while it is timed, which leaves the device to it alone. A training
uses the remaining time.
"""

import argparse
import itertools
import math
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this file also runs as a script

import zoo
from benchmarks.on_device.ceilings import env
from benchmarks.on_device.checks import numerics
from benchmarks.on_device.children import Child, Job, work
from benchmarks.on_device.measurements import bench, listen, update
from benchmarks.on_device.results import (
    DTYPES,
    PRECISIONS,
    SIZES,
    failed,
    folder,
    make_folder,
    measured,
    rows,
    versions,
)
from benchmarks.on_device.trainings import read_training, run_training
from zoo.cli import called, shell

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

# What each part takes: [] may be missing, ... any number of times.
TAKES = {
    "all": "[MODEL...]",
    "env": "SIZE",
    "numerics": "MODEL PRECISION",
    "bench": "MODEL SIZE BATCH [BATCH...]",
    "update": "MODEL SIZE BATCH DTYPE",
}
CHOICES = {"SIZE": SIZES, "PRECISION": PRECISIONS, "DTYPE": DTYPES}


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


def everything(
    seconds: float, parallel: int, size: str, train: list[str] | None, names: Sequence[str] = ()
) -> None:
    """Does all jobs, or those of some models, within `seconds`, then the training in the remaining
    time.

    Raises:
      ValueError: the folder has results of another device or size, jax does not start, or numerics
        found something wrong.
    """
    until = time.monotonic() + seconds
    _start(size, until - 0.8 * seconds)
    if versions().get("platform") == "tpu":
        parallel = 1  # a TPU serves one process at a time
    jobs = [job for job in plan(size) if not names or job.words[1] in names]
    tried = {row["key"] for row in rows() if row["part"] == "all"}
    # What has failed before is tried again last.
    jobs.sort(key=lambda job: any(key.endswith("/".join(job.words)) for key in tried))
    work(jobs, parallel, until - (0.4 if train else 0.02) * seconds)
    table()
    missing = sum(len(job.missing(measured())) for job in jobs)
    said = f"{missing} results are missing; the same command continues." if missing else ""
    print(f"\n{said or 'Everything is measured.'}", flush=True)
    if train and until - time.monotonic() > 20:
        run_training(train, until - time.monotonic() - 10)
    if wrong := failed():
        print("", *wrong, sep="\n", flush=True)
        raise ValueError(
            f"{len(wrong)} checks of numerics failed on this device; {folder()}/results.jsonl has "
            "all results."
        )


def _start(size, until):
    """Records the device and its limits, alone, because it measures times.

    Raises:
      ValueError: jax does not start, or the folder has results of another device or size.
    """
    first = Child(Job(("env", size), ("versions",)), 0.9)
    try:
        while first.alive and time.monotonic() < until:
            time.sleep(0.1)
    finally:
        code = first.end()
    if code > 0:
        said = first.last[:300]
        ours = said.removeprefix("error: ")
        raise ValueError(ours if ours != said else f"jax does not start here: {said}")


def table() -> None:
    """Prints the times as a table."""
    columns = {
        "log_prob ms": "score_ms",
        "limit ms": "limit_ms",
        "draw ms": "draw_ms",
        "cost": "cost",
        "us/step": "us_per_step",
        "launches/step": "launches_per_site",
        "samples/s": "per_s",
        "gap": "nats_gap",
    }
    heads = ("model", "batch", *columns)
    print(f"\n| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    for row in rows():
        if row["part"] == "bench" and "error" not in row:
            values = [row.get(name) for name in columns.values()]
            cells = ["-" if value is None else f"{value:.4g}" for value in values]
            print(f"| {row['model']} | {row['batch']} | {' | '.join(cells)} |", flush=True)


class Parser(argparse.ArgumentParser):
    """What is wrong with the flags ends in one line."""

    def error(self, message):
        print(f"error: {message}; flags: {self.prog} --help", file=sys.stderr)
        sys.exit(2)


def parse() -> argparse.Namespace:
    """The flags."""
    takes = "; ".join(f"{part} {form}" for part, form in TAKES.items())
    parser = Parser(
        prog=called("benchmarks.device_check"),
        description="Checks and times the zoo on an accelerator.",
    )
    parser.add_argument("part", nargs="?", choices=TAKES, default="all", metavar="PART")
    parser.add_argument("words", nargs="*", help=f"what a part takes: {takes}")
    parser.add_argument("--seconds", type=float, default=540, help="the limit for all of it")
    parser.add_argument(
        "--parallel", type=int, default=max(1, (os.cpu_count() or 2) // 2),
        help="how many processes compile at once",
    )  # fmt: skip
    parser.add_argument("--size", choices=SIZES, default=SIZES[0], help="tiny: to try it on a CPU")
    parser.add_argument(
        "--train", nargs=argparse.REMAINDER,
        help="the last flag: words of `python -m train`, such as made --steps auto",
    )  # fmt: skip
    options = parser.parse_args()
    if not 0 < options.seconds < math.inf or options.parallel < 1:
        parser.error("--seconds and --parallel must be positive")
    if options.train == []:
        parser.error("--train needs the words of `python -m train`, such as made --steps auto")
    if wrong := _why_wrong(options.words, TAKES[options.part].split()):
        parser.error(f"{options.part} takes {TAKES[options.part]}: {wrong}")
    return options


def _why_wrong(words, form):
    """Why the words have not this form, in words, or None."""
    least = [kind for kind in form if not kind.startswith("[")]
    most = len(words) if form[-1].endswith("...]") else len(form)
    if not len(least) <= len(words) <= most:
        return f"got {' '.join(words) or 'nothing'}"
    kinds = [kind.strip("[.]") for kind in form]
    for word, kind in itertools.zip_longest(words, kinds[: len(words)], fillvalue=kinds[-1]):
        if kind == "MODEL":
            zoo.entry(word)
        elif kind == "BATCH" and not (word.isdecimal() and int(word) > 0):
            return f"a batch is a number of examples, at least 1; got {word}"
        elif kind in CHOICES and word not in CHOICES[kind]:
            return f"{kind} is one of {', '.join(CHOICES[kind])}; got {word}"
    return None


def main() -> None:
    """The command: all of the check, or one part."""
    options = parse()
    make_folder()
    words = options.words
    listen()
    match options.part:
        case "all":
            if options.train:
                read_training(options.train)
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no child is left
            with tempfile.TemporaryDirectory() as programs:  # for jobs that are tried again
                os.environ["JAX_COMPILATION_CACHE_DIR"] = programs
                os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "1"
                everything(options.seconds, options.parallel, options.size, options.train, words)
        case "env":
            env(words[0])
        case "numerics":
            numerics(*words)
        case "bench":
            bench(words[0], words[1], [int(word) for word in words[2:]])
        case "update":
            update(words[0], words[1], int(words[2]), words[3])


if __name__ == "__main__":
    with shell("OUT=FOLDER", keep_programs=False):
        main()
