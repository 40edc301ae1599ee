"""What differs between the kinds of things that models describe, on the side of sampling: their
flags, and what is shown.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import tyro

import zoo
from sample.engines.sampler import Engine
from sample.media.examples import Examples
from zoo.core.checks import kind
from zoo.derived import has_derived_step


class Kind(NamedTuple):
    """One kind of thing, such as images.

    Attributes:
      name: as `model.kind` says it.
      options: the dataclass of its flags, which `python -m sample RUN` reads; `run` is the first of
        them.
      show: (options, checkpoint, model, variables) -> None: draws, writes files beside the
        checkpoint, prints figures.
      read: (model, path, size) -> examples of a file, `size` at a time, for `sample.score`; None for
        values in an .npy or .npz alone.
      describe: (model, x, names, path) -> lines about the examples x, or None for their names alone;
        it may draw a picture at `path`, without its suffix.
    """

    name: str
    options: type
    show: Callable[[Any, Path, Any, zoo.Variables], None]
    read: Callable[..., Iterator[Examples]] | None = None
    describe: Callable[[Any, Sequence[Any], list[str], Path], list[str]] | None = None


Run = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
"""The argument of every command that reads a run."""


@dataclasses.dataclass(frozen=True)
class Computing:
    """How samples are computed. None of these changes what is drawn."""

    batch_size: int | None = None
    """How many samples a device draws or scores at once; by default 256, and up to 1,024 are drawn
    on an accelerator.
    """
    engine: Engine = "cached"
    """What computes the conditionals: the model's own step, the whole network at every site, or
    Jacobi iteration.
    """

    def check(self) -> None:
        """Raises ValueError for batches of nothing."""
        check_counts(batch_size=self.batch_size)


@dataclasses.dataclass(frozen=True)
class Truncation:
    """Changes to the distribution of each token. Without them draws are exact samples of the model."""

    temperature: float = 1.0
    """Logits are divided by it; 0 always takes the likeliest token."""
    top_k: int | None = None
    """Draw from the k likeliest tokens only."""
    top_p: float | None = None
    """Draw from the fewest likeliest tokens whose probability reaches p together."""
    min_p: float | None = None
    """Draw only from tokens that are at least min_p times as likely as the likeliest."""


Inline = tyro.conf.OmitArgPrefixes
"""For a field that is a group of flags of their own."""


def engine_name(engine: str, model: Any, variables: zoo.Variables, context: Any = None) -> str:
    """What computed the conditionals: an engine, or `derived step` or `recomputed` of a model
    without a step.
    """
    if not isinstance(model, zoo.Autoregressive):
        return "from noise"
    own_step = type(model).step is not zoo.Autoregressive.step
    if engine in ("recompute", "jacobi") or (engine == "cached" and own_step):
        return f"{engine} engine"
    return "derived step" if has_derived_step(model, variables, context) else "recomputed"


def check_plain_flags(model: Any, computing: Computing, **asked: Any) -> None:
    """Raises ValueError if a flag asks for conditionals of a model that draws from noise."""
    if isinstance(model, zoo.Autoregressive):
        return
    engine = computing.engine != "cached"
    if flags := [name for name, value in {**asked, "engine": engine}.items() if value]:
        raise ValueError(
            f"{kind(model)} draws whole examples from noise and has no conditionals: drop "
            f"--{flags[0]}."
        )


def with_ddim(model: Any, steps: int | None) -> Any:
    """The model, drawing in so many steps of DDIM if that was asked for.

    Raises:
      ValueError: the model is no diffusion, or has fewer timesteps.
    """
    if steps is None:
        return model
    if not hasattr(model, "ddim"):
        raise ValueError(
            f"--ddim is not supported by {kind(model)}, which is no diffusion: drop it."
        )
    if not 1 <= steps <= model.timesteps:
        raise ValueError(
            f"--ddim must be in 1..{model.timesteps}, the timesteps of this {kind(model)}; got {steps}."
        )
    return model.clone(ddim=steps)


def check_counts(**counts: int | None) -> None:
    """Raises ValueError unless each is at least 1, or None."""
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 1; got {count}.")


def check_seed(seed: int) -> None:
    """Raises ValueError unless a key can have that seed."""
    if not 0 <= seed < 2**32:
        raise ValueError(f"--seed must be in 0..2**32 - 1; got {seed}.")


def check_out(out: Path | None) -> None:
    """Raises ValueError unless a file can be written there."""
    if out is not None and not out.parent.is_dir():
        raise ValueError(f"--out {out}: there is no folder {out.parent}; make it first.")
    if out is not None and out.is_dir():
        raise ValueError(f"--out {out} is a folder; name a file in it.")


def labels(model: zoo.Generative, label: int | None, num: int) -> Any:
    """The context of `num` samples: the label asked for, or all labels in turn; None for an
    unconditional model.

    Raises:
      ValueError: a label was asked for, and the model takes none.
    """
    if label is not None and not getattr(model, "num_classes", 0):
        raise ValueError(
            f"this {kind(model)} takes no labels, as it was not trained with --conditional: drop "
            "--label."
        )
    return np.full(num, label) if label is not None else model.example(num)[1]


def mean(nats: np.ndarray) -> str:
    """The mean of nats [num] with its standard error."""
    error = nats.std(ddof=1) / np.sqrt(len(nats)) if len(nats) > 1 else float("nan")
    return f"{nats.mean():.2f} +- {error:.2f}"


def twice(function: Callable[[], Any]) -> tuple[Any, float, float]:
    """The result of the second of two calls, its seconds, and how much longer the first took: its
    compilation.
    """
    import time

    import jax

    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        result = jax.block_until_ready(function())
        seconds.append(time.perf_counter() - began)
    return result, seconds[1], seconds[0] - seconds[1]
