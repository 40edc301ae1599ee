"""`python -m benchmarks.training NAME`: times the likelihood and the train step against the same
network in PyTorch, on this CPU.

Both have the same weights; the script first checks that their likelihoods agree up to rounding. A
train step of both applies dropout, clips the gradient, updates by AdamW and averages the weights.
Ours share a batch among all devices: JAX_NUM_CPU_DEVICES=2 makes two of a CPU. It needs the `bench`
extra.
"""

import dataclasses
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

import jax
import numpy as np
import tyro

import zoo
from train.engine.devices import hardware, placed, shardings, share
from train.engine.step import initial_state, make_update
from train.recipe.presets import RECIPES
from zoo.cli import called, command

NAMES = (
    "pixel_cnn",
    "gated_pixel_cnn",
    "row_lstm",
    "diagonal_bilstm",
    "pixel_transformer",
    "lstm",
    "transformer",
)
PAUSE = 0.05  # seconds before each call, in which threads of the other library stop spinning


@dataclasses.dataclass(frozen=True)
class Options:
    """Times likelihood and train step against PyTorch."""

    models: Annotated[tuple[str, ...], tyro.conf.Positional] = NAMES
    """Names of models in the catalogue that have a twin."""
    size: Literal["cpu", "paper"] = "cpu"
    """The recipe that defines the model."""
    batch: int = 50
    """Images or texts per batch."""
    repeats: int = 15
    """Repetitions of each, alternating between ours and theirs; the median counts."""


def compare(name: str, options: Options) -> Iterator[str]:
    """Yields the lines of one model: likelihood and train step in both, and their ratio."""
    from benchmarks.torch_twins.twins import twin

    recipe = dataclasses.replace(RECIPES[name][options.size], batch_size=options.batch)
    model: Any = recipe.model
    x, _ = zoo.example(model, options.batch)
    x = np.asarray(x)
    devices = share(options.batch)
    update = make_update(recipe, devices)
    resets = np.zeros(len(x), bool) if model.streams else None  # no stream is reset
    state = update.place(initial_state(recipe, x, resets))
    theirs = twin(model, state.variables)
    ours = float(-zoo.log_prob(model, state.variables, x).mean())
    np.testing.assert_allclose(
        theirs.score(x), ours, rtol=1e-4, err_msg=f"the twin of {name} is a different network"
    )
    replicated, cut = shardings(devices)
    variables = placed(state.variables, replicated, may_alias=False)  # the state is donated
    shares = placed(x, cut)
    their_step = theirs.training(recipe.clip, recipe.ema)

    def our_step():
        nonlocal state
        state, metrics = update.step(state, shares, resets)
        return metrics

    for what, mine, other in (
        ("log_prob", lambda: zoo.log_prob(model, variables, shares), lambda: theirs.score(x)),
        ("train step", our_step, lambda: their_step(x)),
    ):
        mine_s, theirs_s = _in_turn(mine, other, options.repeats)
        ratio = mine_s / theirs_s
        yield f"| {name} | {what} | {mine_s * 1e3:.1f} | {theirs_s * 1e3:.1f} | {ratio:.2f} |"


def _in_turn(
    mine: Callable[[], Any], theirs: Callable[[], Any], repeats: int
) -> tuple[float, float]:
    """Returns median seconds of both, called alternately under the same load of the machine."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(2 + repeats):
        for function, kept in zip((mine, theirs), times, strict=True):
            time.sleep(PAUSE)
            began = time.perf_counter()
            jax.block_until_ready(function())
            kept.append(time.perf_counter() - began)
    return statistics.median(times[0][2:]), statistics.median(times[1][2:])


def main(options: Options) -> None:
    """Prints the table, each line as soon as it is measured."""
    for name in options.models:
        if name not in NAMES:
            raise ValueError(f"{name!r} has no PyTorch twin; choose from {', '.join(NAMES)}.")
    try:
        import torch
    except ImportError:
        raise ValueError(
            "PyTorch is not installed: pip install 'autoregressive-zoo[bench]' (or torch itself)."
        ) from None
    zoo.keep_freed_memory()  # as `python -m train` does
    print(
        f"jax {jax.__version__}, torch {torch.__version__} with {torch.get_num_threads()} "
        f"threads, batch {options.batch}, {hardware(share(options.batch))}\n"
    )
    print(
        f"| model ({options.size} recipe) | what | ours, ms | PyTorch, ms | ratio "
        "|\n|---|---|---|---|---|"
    )
    for name in options.models:
        for line in compare(name, options):
            print(line, flush=True)


if __name__ == "__main__":
    command(main, Options, called("benchmarks.training"))
