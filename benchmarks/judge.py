"""`python -m benchmarks.judge RUN`: how far the images that a model draws are from the data, by the
features of a classifier.

It serves every model of images, and those that know nothing of log p(x) most. The distance is that of
M. Heusel and others (GANs trained by a two time-scale update rule, NIPS 2017), with a small classifier
of the same images in place of a large one of photographs: between two normal distributions with the
means and covariances of the features,

    |m - n|^2 + tr(S + T - 2 (S T)^(1/2)).

It depends on the judge, which is therefore named by its digest, and on the number of images.
"""

import dataclasses
from typing import Annotated

import jax
import numpy as np
import tyro
from flax.traverse_util import flatten_dict
from jaxtyping import Float, UInt8

import sample
import zoo
from sample.media.pixels import as_images
from train.engine.run_folder import load_data
from train.runs.folder import Run
from zoo.cli import called, command
from zoo.core.checkpoint import digest
from zoo.core.model_files import find_run
from zoo.foundation.precision import full_float32

DEFAULT = "pretrained/cnn"  # of 28x28 digits
BATCH = 500
RARE = 0.01  # a class with a smaller share of the drawn images is hardly drawn


@dataclasses.dataclass(frozen=True)
class Options:
    """The distance of drawn images from the test split, by the features of a classifier."""

    run: Annotated[str, tyro.conf.Positional]
    """A run folder of a model of images, or a model's name: its newest run."""
    judge: str = DEFAULT
    """A trained classifier of such images, a run of `cnn`."""
    num: int = 5_000
    """How many images are drawn, and compared with as many of the test split."""
    seed: int = 0
    """Seed of the draws."""


def distance(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]) -> float:
    """The Frechet distance of two normal distributions with the means and covariances of the rows.

    Example:
      >>> rows = np.random.RandomState(0).normal(size=(1000, 3))
      >>> round(distance(rows, rows), 6), round(distance(rows, rows + 2), 3)
      (0.0, 12.0)
    """
    a_cov, b_cov = np.cov(a.T), np.cov(b.T)
    values, vectors = np.linalg.eigh(a_cov)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T  # a_cov^(1/2)
    common = np.sqrt(np.linalg.eigvalsh(root @ b_cov @ root).clip(0)).sum()
    spread = np.trace(a_cov) + np.trace(b_cov) - 2 * common
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + max(spread, 0.0))


def judged(
    model: zoo.CNN, variables: zoo.Variables, images: UInt8[np.ndarray, "n h w ..."]
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n classes"]]:
    """The features of images and the probabilities of their classes, by a classifier."""

    @jax.jit
    @full_float32
    def both(images):
        return model.apply(variables, images, method="features_and_params")

    parts = [both(images[i : i + BATCH]) for i in range(0, len(images), BATCH)]
    features, params = (
        np.concatenate(each).astype(np.float64) for each in zip(*parts, strict=True)
    )
    return features, np.asarray(jax.nn.softmax(params))


def independent(images: UInt8[np.ndarray, "n ..."]) -> UInt8[np.ndarray, "n ..."]:
    """Images whose pixels are drawn independently, each with its own frequencies."""
    rows = images.reshape(len(images), -1)
    mixed = np.random.default_rng(0).permuted(rows, axis=0)
    return mixed.reshape(images.shape)


def opened_judge(path: str, shape: tuple[int, ...]) -> tuple[zoo.CNN, zoo.Variables]:
    """The classifier at a path.

    Raises:
      ValueError: there is none, or it reads other images.
    """
    try:
        model, variables = zoo.open(path)
    except zoo.CheckpointError as error:
        raise ValueError(
            f"a distance of features needs its judge, a trained classifier of such images: {error} "
            "Train one by python -m train cnn and pass --judge runs/cnn."
        ) from None
    if not isinstance(model, zoo.CNN) or tuple(model.image_shape) != shape:
        reads = f"of images {list(model.image_shape)}" if isinstance(model, zoo.CNN) else ""
        raise ValueError(
            f"the judge {path} is a {type(model).__name__} {reads}".rstrip()
            + f"; expected a CNN of images {list(shape)}: train one on these data by python -m train "
            "cnn and pass --judge runs/cnn."
        )
    return model, variables


def report(options: Options) -> list[str]:
    """The lines to print."""
    run = Run(find_run(options.run).parent)
    _, recipe = run.name_and_recipe()
    model, variables = zoo.load(run.model)
    if model.kind != "images":
        raise ValueError(f"{type(model).__name__} describes {model.kind}; a judge looks at images.")
    if options.num < 2:
        raise ValueError(f"--num must be at least 2; got {options.num}.")
    dataset = load_data(run, recipe)
    test, train = (as_images(model, split.x) for split in (dataset.test, dataset.train))
    judge, weights = opened_judge(options.judge, test.shape[1:])

    count = options.num
    context = None if dataset.test.context is None else np.arange(count) % model.num_classes
    drawn = sample.draw(model, variables, jax.random.key(options.seed), count, context=context)
    arrays = {name: np.asarray(leaf) for name, leaf in flatten_dict(weights, sep="/").items()}
    of, _ = judged(judge, weights, test[:count])

    def far(images):
        features, probabilities = judged(judge, weights, images[:count])
        return distance(of, features), probabilities

    found, probabilities = far(as_images(model, drawn.x))
    shares = np.bincount(probabilities.argmax(1), minlength=probabilities.shape[1]) / count
    drawn_classes = int((shares >= RARE).sum())
    return [
        f"{type(model).__name__} from {run.folder}, {count:,} images drawn, seed {options.seed}",
        f"judge: {type(judge).__name__} {options.judge}, digest {digest('', arrays)}",
        f"distance of features to {min(count, len(test)):,} test images: {found:.2f} "
        f"(training images {far(train)[0]:.2f}, independent pixels {far(independent(test))[0]:.2f})",
        f"classes drawn, by the judge: {drawn_classes} of {len(shares)}; shares "
        f"{', '.join(f'{share:.3f}' for share in shares)}; mean confidence "
        f"{probabilities.max(1).mean():.3f}",
    ]


def main(options: Options) -> None:
    """Prints the report."""
    for line in report(options):
        print(line)


if __name__ == "__main__":
    command(main, Options, called("benchmarks.judge"))
