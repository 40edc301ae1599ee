"""`python benchmarks/device_check.py all`: checks and times the zoo on an accelerator, within a time
limit.

Every measurement is one JSON line of OUT/results.jsonl, written at once, so that an interrupted run
loses nothing. Compilation for an accelerator takes most of the time and runs on the host, so all
programs are compiled in parallel, each model in a separate process. Then one process after the
other times its programs, alone on the device. A training uses the remaining time.
"""

import argparse
import dataclasses
import json
import os
import select
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
OUT = Path(os.environ.get("OUT", "device_out")).absolute()
BEGAN = time.monotonic()

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


def emit(part: str, key: str, **values: Any) -> None:
    """Appends one line to the results and prints it."""
    line = {"part": part, "key": key, **values, "at": round(time.monotonic() - BEGAN, 1)}
    with (OUT / "results.jsonl").open("a") as file:
        file.write(json.dumps(line, default=float) + "\n")
    print(json.dumps(line, default=float)[:400], flush=True)


def timed(function: Callable[[], Any], repeats: int = 5, seconds: float = 3.0) -> float:
    """Returns the median seconds of a compiled call; the first call does not count."""
    import jax

    jax.block_until_ready(function())
    times: list[float] = []
    while len(times) < repeats and (not times or sum(times) < seconds):
        began = time.perf_counter()
        jax.block_until_ready(function())
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def env() -> None:
    """Records versions, the speed of a matmul and of a copy, and the cost of a loop iteration."""
    import jax
    import jax.numpy as jnp

    emit(
        "env",
        "versions",
        jax=jax.__version__,
        devices=[device.device_kind for device in jax.devices()],
    )
    n = 8192 if jax.default_backend() != "cpu" else 512
    a = jax.random.normal(jax.random.key(0), (n, n))
    for name, dtype, precision in (
        ("highest", "float32", "highest"),
        ("default", "float32", "default"),
        ("bf16", "bfloat16", "default"),
    ):
        b = a.astype(dtype)
        multiply = jax.jit(lambda x, p=precision: jnp.matmul(x, x, precision=p))
        seconds = timed(lambda: multiply(b))  # noqa: B023
        exact = jnp.matmul(b[:256].astype("float32"), b.astype("float32"), precision="highest")
        error = jnp.linalg.norm(multiply(b)[:256].astype("float32") - exact) / jnp.linalg.norm(
            exact
        )
        emit("env", f"matmul_{name}", tflops=2 * n**3 / seconds / 1e12, relative_error=float(error))
    big = jnp.ones((2**28 if n == 8192 else 2**20,), jnp.float32)
    copy = jax.jit(lambda x: x + 1)
    emit("env", "copy", gb_per_s=2 * big.nbytes / timed(lambda: copy(big)) / 1e9)
    w, x = jax.random.normal(jax.random.key(1), (256, 256)) / 16, jnp.ones((64, 256))
    for kernels in (1, 4, 16):
        for cond in (False, True):

            def iteration(i, x, kernels=kernels, cond=cond):
                for _ in range(kernels):
                    x = jnp.tanh(x @ w)
                return (
                    jax.lax.cond(i % 2 == 0, lambda x: jnp.tanh(x @ w), lambda x: x, x)
                    if cond
                    else x
                )

            loop = jax.jit(lambda x, iteration=iteration: jax.lax.fori_loop(0, 784, iteration, x))
            emit(
                "env",
                f"loop_{kernels}{'_cond' if cond else ''}",
                us_per_turn=timed(lambda: loop(x)) / 784 * 1e6,  # noqa: B023
            )


def numerics(name: str) -> None:
    """Runs the conformance suite on the tiny model, and compares its likelihood with the CPU's."""
    import jax
    import numpy as np

    sys.path.insert(0, str(ROOT / "tests"))
    import conformance as suite

    import zoo

    entry, outcomes = zoo.entry(name), {}
    for check in (
        suite.check_step,
        suite.check_engines,
        suite.check_normalised,
        suite.check_causal,
        suite.check_law,
    ):
        try:
            check(entry)
            outcomes[check.__name__] = "ok"
        except Exception as error:
            outcomes[check.__name__] = (
                f"{type(error).__name__}: {' '.join(str(error).split())[:240]}"
            )
    model, variables = entry.tiny, suite.variables_of(entry.tiny)
    x, context = zoo.example(model, 32)
    here = np.asarray(zoo.log_prob(model, variables, x, context))
    with jax.default_device(jax.devices("cpu")[0]):
        there = np.asarray(zoo.log_prob(model, *jax.device_get((variables, x, context))))
    precision = jax.config.jax_default_matmul_precision or "default"
    emit(
        "numerics",
        f"{name}/{precision}",
        nats_from_cpu=float(np.abs(here - there).max()),
        **outcomes,
    )


def bench(name: str, batches: list[int]) -> None:
    """Compiles the likelihood and the draw of every batch, waits, then times them."""
    import jax
    import numpy as np

    import sample  # noqa: F401
    import zoo
    from sample.engines import sampler
    from zoo.core.likelihood import _log_prob

    model = zoo.MADE(hidden=(8000, 8000)) if name == "made" else zoo.entry(name).paper
    shapes = jax.eval_shape(lambda: zoo.init(model, jax.random.key(0), *zoo.example(model, 1)))
    key, mesh, ready = jax.random.key(1), sampler._mesh(), []
    for batch in batches:
        if stopped():
            break
        x, context = zoo.example(model, batch)
        part = np.arange(batch, dtype=np.int32)
        began = time.perf_counter()
        score = _log_prob.lower(model, shapes, x, context, False, None).compile()
        middle = time.perf_counter()
        draw = sampler._draw.lower(
            model, "cached", 0, None, mesh, shapes, key, part, context, None
        ).compile()
        compiling = (middle - began, time.perf_counter() - middle)
        ready.append((batch, score, draw, x, context, part, compiling))
    variables = zoo.init(model, jax.random.key(0), *zoo.example(model, 1))
    wait_for_go()
    precision = jax.config.jax_default_matmul_precision or "default"
    for batch, score, draw, x, context, part, compiling in ready:
        try:
            scoring = timed(lambda: score(variables, x, context, None))  # noqa: B023
            drawing = timed(lambda: draw(variables, key, part, context, None))  # noqa: B023
            drawn = draw(variables, key, part, context, None)
            gap = float(abs(score(variables, drawn.x, context, None) - drawn.log_prob).max())
            emit(
                "bench", f"{name}/{batch}/{precision}", model=name, batch=batch, precision=precision,
                score_ms=scoring * 1e3, draw_ms=drawing * 1e3, cost=drawing / scoring,
                us_per_step=drawing / model.num_sites * 1e6, per_s=batch / drawing, nats_gap=gap,
                score_compile_s=compiling[0], draw_compile_s=compiling[1],
            )  # fmt: skip
        except Exception as error:
            emit(
                "bench",
                f"{name}/{batch}/{precision}",
                error=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}",
            )


def update(name: str, batch: int, dtype: str) -> None:
    """Compiles one update of the paper's recipe, waits, then times it."""
    import jax
    import numpy as np

    import zoo
    from train.engine.step import initial_state, make_update
    from train.recipe.presets import RECIPES

    recipe = dataclasses.replace(RECIPES[name]["paper"], batch_size=batch, dtype=dtype)
    x, context = (
        leaf if leaf is None else np.asarray(leaf) for leaf in zoo.example(recipe.model, batch)
    )
    context = np.zeros(batch, bool) if recipe.model.streams else context
    made = make_update(recipe)
    state = made.place(initial_state(recipe, x, context))
    state, metrics = made.step(state, x, context)
    jax.block_until_ready(metrics)
    wait_for_go()
    began, steps = time.perf_counter(), 0
    while time.perf_counter() - began < 3:
        for _ in range(5):
            state, metrics = made.step(state, x, context)
        jax.block_until_ready(metrics)
        steps += 5
    seconds = (time.perf_counter() - began) / steps
    emit(
        "update",
        f"{name}/{batch}/{dtype}",
        ms=seconds * 1e3,
        examples_per_s=batch / seconds,
        loss=float(metrics.loss),
    )


_words: list[str] = []


def stopped() -> bool:
    """Whether the parent asks to stop compiling."""
    return "stop" in _words


def wait_for_go() -> None:
    """Reports that everything is compiled, and waits for the parent's command."""
    print("READY", flush=True)
    while "go" not in _words:
        time.sleep(0.02)


def listen() -> None:
    """Collects the commands of the parent."""
    for line in sys.stdin:
        _words.append(line.strip())


def jax_on_gpu() -> bool:
    """Whether this machine has an NVIDIA GPU, without calling the driver."""
    return Path("/dev/nvidia0").exists()


class Child:
    """A separate process that runs this script with other arguments."""

    def __init__(self, *words: str, precision: str | None = None):
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
        if precision:
            environment["JAX_DEFAULT_MATMUL_PRECISION"] = precision
        self.words, self.precision, self.ready, self.began = (
            words,
            precision,
            False,
            time.monotonic(),
        )
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
    queue: list[tuple[tuple[str, ...], str | None]] = []
    queue += [(("bench", "pixel_cnn_pp", "64"), None)]  # compiles longest
    queue += [(("numerics", name), None) for name in NUMERICS[:12]]
    queue += [(("bench", name, "64", "256"), None) for name in SLOW[1:]]
    queue += [(("bench", name, "64", "256", "1024"), None) for name in QUICK]
    queue += [(("numerics", name), None) for name in NUMERICS[12:]]
    queue += [
        (("update", name, "64", dtype), None)
        for name in UPDATES
        for dtype in ("float32", "bfloat16")
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
            words, precision = queue.pop(0)
            running.append(Child(*words, precision=precision))
        if over and not told:
            told = True
            for child in running:
                child.send("stop")
            emit(
                "all",
                "late",
                queued=[words for words, _ in queue],
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
        "\n| model | batch | precision | log_prob ms | draw ms | cost | us/step | samples/s | "
        "gap |\n" + "|---" * 9 + "|"
    )
    for row in rows:
        if row["part"] == "bench" and "error" not in row:
            print(
                f"| {row['model']} | {row['batch']} | {row['precision']} | {row['score_ms']:.2f} "
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
    sys.path.insert(0, str(ROOT))
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
