"""`python -m benchmarks.box.costs`: measures the costs in README's table of models, and renews them.

    cost = time to draw B samples / time of zoo.log_prob on B samples

Models are of the papers' sizes, with fresh variables. The two are timed in turns, so that a machine
whose speed changes slows both; the medians count. README names the date, the device and the batch
below the table. Costs of models that are not measured stay.
"""

import dataclasses
import datetime
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import tyro

import sample
import zoo
from train.engine.devices import hardware
from zoo.cli import called, command
from zoo.foundation.files import write_whole

Clock = Literal["wall", "cpu"]
CLOCKS: dict[Clock, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
NAME = re.compile(r"`(\w+)`")
NOTE = "Costs were measured on "


@dataclasses.dataclass(frozen=True)
class Options:
    """Measures the costs in README's table of models, and renews them."""

    models: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Names of the catalogue; by default all that draw one value at a time."""
    batch: int = 64
    """Samples in a draw."""
    repeats: int = 9
    """Turns of a draw and a likelihood; the medians count."""
    seconds: float = 60.0
    """Maximum time for the turns of one model (one is always made)."""
    clock: Clock = "wall"
    """The time on the wall, or that of the processor, for a machine that is busy."""
    page: Path = Path("README.md")
    """The page with the table."""


def in_turns(
    calls: dict[str, Callable[[], Any]], repeats: int, seconds: float, clock: Clock = "wall"
) -> dict[str, float]:
    """The median seconds of each call. The calls take turns; the first turn compiles.

    Example:
      >>> sorted(in_turns({"a": lambda: 0, "b": lambda: 1}, 3, 1.0))
      ['a', 'b']
    """
    now = CLOCKS[clock]
    times: dict[str, list[float]] = {name: [] for name in calls}
    ends = 0.0
    for turn in range(repeats + 1):
        for name, call in calls.items():
            began = now()
            jax.block_until_ready(call())
            times[name].append(now() - began)
        ends = ends or time.perf_counter() + seconds
        if turn and time.perf_counter() > ends:
            break
    return {name: statistics.median(each[1:]) for name, each in times.items()}


def cost(model: zoo.Autoregressive, options: Options) -> float:
    """The time of a draw in units of the time of a likelihood."""
    x, context = zoo.example(model, options.batch)
    variables, key = zoo.init(model, jax.random.key(0), x, context), jax.random.key(1)
    calls = {
        "likelihood": lambda: zoo.log_prob(model, variables, x, context),
        "draw": lambda: (
            sample.draw(model, variables, key, len(x), context=context, batch_size=len(x)).x
        ),
    }
    medians = in_turns(calls, options.repeats, options.seconds, options.clock)
    return medians["draw"] / medians["likelihood"]


def renewed(page: str, costs: dict[str, float], where: str) -> str:
    """The page with these costs in the last cell of the rows whose second cell names the models, and
    with the line that says where they were measured.

    A row of several models has a cost for each of them, in their order. A row whose models are not
    all given stays.

    Example:
      >>> page = "| MADE | `made` | 3.0 |\n" + NOTE + "paper."
      >>> print(renewed(page, {"made": 1.234}, "a CPU."))
      | MADE | `made` | 1.23 |
      Costs were measured on a CPU.
    """
    lines = []
    for line in page.splitlines():
        cells = line.split("|")
        names = NAME.findall(cells[2]) if len(cells) > 4 else []
        if names and set(names) <= set(costs):
            numbers = ", ".join(f"{costs[name]:.2f}" for name in names)
            line = "|".join([*cells[:-2], f" {numbers} ", cells[-1]])
        lines.append(NOTE + where if line.startswith(NOTE) else line)
    return "\n".join(lines) + "\n" * page.endswith("\n")


def main(options: Options) -> None:
    """The command: prints each cost as soon as it is measured, then renews the page."""
    if min(options.batch, options.repeats) < 1:
        raise ValueError(
            f"--batch and --repeats must be at least 1; got {options.batch} and {options.repeats}."
        )
    page = options.page.read_text("utf-8")
    if NOTE not in page:
        raise ValueError(
            f"{options.page} has no line that begins with {NOTE!r}: name a page by --page."
        )
    models = {name: zoo.entry(name).paper for name in options.models or zoo.CATALOGUE}
    costs: dict[str, float] = {}
    for name, model in models.items():
        if isinstance(model, zoo.Autoregressive) and model.num_sites > 1:
            costs[name] = cost(model, options)
            print(f"{name} {costs[name]:.2f}", flush=True)
        elif options.models:
            raise ValueError(f"{name} does not draw one value at a time, so it has no cost.")
    clock = "" if options.clock == "wall" else ", processor time"
    where = (
        f"{datetime.date.today()} by `make bench-table`: {options.batch} samples, papers' sizes, "
        f"{hardware()}, jax {jax.__version__}{clock}."
    )
    write_whole(options.page, renewed(page, costs, where).encode())


if __name__ == "__main__":
    command(main, Options, called("benchmarks.box.costs"))
