"""`python -m sample RUN`: draws images into a PNG, or rows of a table into a .csv; says how likely and how fast."""

import dataclasses
import sys
import time
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import tyro

import zoo
from sample.draw import Engine, draw
from sample.render import as_images, grid, save_png


@dataclasses.dataclass(frozen=True)
class Options:
    """Draws images from a trained model into one PNG."""

    run: Annotated[str, tyro.conf.Positional]
    """A checkpoint, a run's folder, or a model's name: its newest run."""
    num: int = 100
    """How many images."""
    seed: int = 0
    """Seed of the key: the same seed gives the same images whatever the engine, the batches and the devices."""
    label: int | None = None
    """Label of every image, for a class-conditional model; by default all labels in turn."""
    engine: Engine = "cached"
    """What computes the conditionals: the model's own step, the whole network at every site, or Jacobi iteration."""
    batch_size: int = 256
    """How many images a device draws at once."""
    columns: int | None = None
    """Columns of the grid; about square by default."""
    scale: int = 2
    """Every pixel is this many pixels wide and high in the PNG."""
    out: Path | None = None
    """Where they go; by default samples.png (samples.csv where values are real) beside the checkpoint."""


def main(options: Options) -> None:
    """Draws, writes the grid and prints the figures."""
    if not 0 <= options.seed < 2**32:
        raise ValueError(f"--seed must be in 0..2**32 - 1; got {options.seed}.")
    if options.num < 1 or options.scale < 1 or (options.columns is not None and options.columns < 1):
        raise ValueError("--num, --scale and --columns must be at least 1.")
    checkpoint = zoo.find(options.run)
    model, variables = zoo.load(checkpoint)
    key, context = jax.random.key(options.seed), zoo.example(model, options.num)[1]
    if options.label is not None:
        context = np.full(options.num, options.label)

    def once():
        began = time.perf_counter()
        drawn = draw(
            model, variables, key, options.num, context=context, engine=options.engine, batch_size=options.batch_size
        )
        return jax.block_until_ready(drawn), time.perf_counter() - began

    first = once()[1]
    drawn, seconds = once()
    if model.head.num_values is None:
        what, path = f"{options.num} rows", options.out or checkpoint.parent / "samples.csv"
        np.savetxt(path, np.asarray(drawn.x).reshape(options.num, -1), delimiter=",", fmt="%.9g")
    else:
        what, pictures = f"grid of {options.num}", as_images(model, drawn.x)
        path = save_png(
            options.out or checkpoint.parent / "samples.png", grid(pictures, options.columns), options.scale
        )
    nats = -np.asarray(drawn.log_prob, np.float64)
    error = nats.std(ddof=1) / np.sqrt(len(nats)) if len(nats) > 1 else float("nan")
    print(f"{type(model).__name__} from {checkpoint}, {options.engine} engine, seed {options.seed}")
    print(
        f"drawn samples: {nats.mean():.2f} +- {error:.2f} nats, "
        f"{zoo.bits_per_dim(-nats.mean(), model.num_dims):.4f} bits/dim by the model's own likelihood"
    )
    print(f"speed: {options.num / seconds:,.0f} samples/s ({seconds:.3f} s; compilation {first - seconds:.1f} s apart)")
    print(f"{what}: {path}")


if __name__ == "__main__":
    try:
        main(tyro.cli(Options, prog="python -m sample"))
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
