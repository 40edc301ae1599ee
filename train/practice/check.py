"""Three checks before a training: the initial loss, a small batch learnt by heart, the gradients.

A. Karpathy, A recipe for training neural networks, 2019; J. Johnson's and A. Karpathy's lectures
(CS231n) ask for them in this order.
"""

import math
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jaxtyping import PyTree

import zoo
from train.data import Dataset
from train.engine.prepare import first_values, training_batches
from train.engine.step import initial_state
from train.kinds import kind_of
from train.practice.references import (
    entropy_left,
    frequencies_nats,
    output_bias_nats,
    per_unit,
    zero_params_nats,
)
from train.practice.short_runs import Progress, constant_rate, updates
from train.recipe.recipe import Recipe
from train.runs.findings import PASS, SKIPPED, SUSPICIOUS, Finding

# Of the nats of zero params (of a density: of a nat a dimension) an initial loss may have on top,
# and of the least that can be expected it may lack.
TOO_HIGH, TOO_LOW = 0.5, 0.3
LEARNT = 0.02  # of the way from the initial loss to the least one, which may be left
HALF = 0.5  # of the way, which may be left where the time was over and the loss still fell
SITES = 128  # of a window of text or sound
MANY = 4096  # levels, from which on a head is learnt like a density
LEAST = 20  # updates, in which every array of weights has had its chance of a gradient
SHARE = 1e-3  # of a squared gradient in Adam's second moment, after one update
RATE = 3e-3  # of learning by heart, where the recipe's own rate is lower


class Expected(NamedTuple):
    """What a batch costs without a network, in the unit of the training loss.

    Attributes:
      zero: with all params of the head at 0.
      frequencies: where each site has the frequencies of its values.
      bias: by the output bias that the model begins with; None where it does not say which it is.
    """

    zero: float
    frequencies: float
    bias: float | None = None

    @property
    def least(self) -> float:
        """The lowest of them."""
        return min(each for each in self if each is not None)


class Learnt(NamedTuple):
    """A small batch that was learnt by heart.

    Attributes:
      losses: nats before every update.
      first: the norm of the (clipped) gradient of every array of weights at the first update, by
        its path.
      ever: the same at the last updates, by Adam's second moment: 0 where there was no gradient.
      seconds: how long it took, without the compilation.
    """

    losses: list[float]
    first: dict[str, float]
    ever: dict[str, float]
    seconds: float


def check(
    recipe: Recipe, dataset: Dataset, examples: int = 4, seconds: float = 20.0
) -> Iterator[Finding]:
    """The findings of the three checks, as they come.

    Args:
      recipe: the training to check; its model has the shape of the data.
      dataset: the data as its model reads them.
      examples: the size of the small batch; fewer if the training split has fewer.
      seconds: how long the batch is learnt at most.
    """
    recipe, x, context = small_batch(recipe, dataset, examples)
    model = recipe.model
    if not isinstance(model, zoo.Autoregressive):
        raise ValueError(
            f"the check is for models with one conditional for each site, and "
            f"{type(model).__name__} has none: train it and read its curves (python -m train.diagnose)."
        )
    state = initial_state(recipe, x, context, first_values(dataset))
    bias = output_bias_nats(model, state.variables, x)
    expected = Expected(
        per_unit(model, zero_params_nats(model, x), x),
        per_unit(model, frequencies_nats(model, dataset, x), x),
        None if bias is None else per_unit(model, bias, x),
    )
    levels = model.head.num_values
    left = None if levels is None or levels > MANY else _left(recipe, x, context)
    if left is None:  # a density: well below what independent Gaussians give
        dims = model.num_dims if kind_of(model).unit(model) == "example" else 1
        target = expected.least - 0.5 * dims
    else:
        start = expected.zero if expected.bias is None else expected.bias
        target = left + LEARNT / 2 * (start - left)
    learnt = learn(recipe, dataset, x, context, target, seconds)
    yield initial_loss(model, learnt.losses[0], expected, len(x))
    yield by_heart(model, learnt, left, expected.frequencies, len(x))
    yield gradients(recipe, learnt)


def small_batch(
    recipe: Recipe, dataset: Dataset, examples: int
) -> tuple[Recipe, np.ndarray, PyTree]:
    """(recipe, x, context): the first examples of the first batch, of windows of a text or a sound
    the first `SITES` sites, and a recipe to learn them by heart: one rate, no weight decay, no
    dropout.
    """
    batch = jax.tree.map(lambda rows: rows[:examples], training_batches(recipe, dataset)(0))
    x, context = batch
    off: dict[str, Any] = {name: 0.0 for name in ("dropout",) if hasattr(recipe.model, name)}
    model = kind_of(recipe.model).of_length(recipe.model, x).clone(**off)
    windows = kind_of(model).unit(model) != "example" and np.ndim(context) < 2
    if windows and x.shape[1] > SITES:
        x, model = x[:, :SITES], model.clone(site_shape=(SITES,))
    recipe = constant_rate(
        recipe,
        model=model,
        batch_size=len(x),
        steps=100_000,
        weight_decay=0.0,
        learning_rate=max(RATE, recipe.learning_rate),
    )
    return recipe, x, context


def learn(
    recipe: Recipe,
    dataset: Dataset,
    x: np.ndarray,
    context: PyTree,
    target: float,
    seconds: float,
) -> Learnt:
    """Learns one batch until the loss is at `target`, or the time is over."""
    losses: list[float] = []
    first: dict[str, float] = {}
    begun, progress = math.inf, None
    for progress in updates(recipe, dataset, lambda step: (x, context)):
        losses.append(progress.loss)
        if len(losses) == 1:
            first = {name: norm / SHARE**0.5 for name, norm in _norms(progress).items()}
            begun = time.monotonic()
        done = np.mean(losses[-5:]) <= target and len(losses) >= LEAST
        if done or not math.isfinite(progress.loss) or time.monotonic() - begun > seconds:
            break
    assert progress is not None
    return Learnt(losses, first, _norms(progress), time.monotonic() - begun)


def _left(recipe, x, context):
    """The entropy that is left, in the unit of the loss; a stream starts without a context."""
    seen = None if recipe.model.streams else context
    return per_unit(recipe.model, np.full(len(x), entropy_left(x, seen)), x)


def _norms(progress: Progress) -> dict[str, float]:
    """Adam's root mean square gradient of every array of weights, as a norm, by the array's path."""
    moments = optax.tree_utils.tree_get(progress.state.opt_state, "nu")
    leaves = jax.tree_util.tree_leaves_with_path(moments.get("params", moments))
    return {
        "/".join(str(key.key) for key in path): float(np.sqrt(np.asarray(leaf).sum()))
        for path, leaf in leaves
    }


def initial_loss(model: zoo.Autoregressive, loss: float, expected: Expected, num: int) -> Finding:
    """Whether the first loss is near what the output bias alone gives, or, of a model without one,
    between the frequencies of the values and zero params.
    """
    zero, frequencies, bias = expected
    shown = (
        f"{_nats(model, loss)} on {num} examples; with all params of the head at zero "
        f"{zero:.4g}{_uniform(model, zero)}, by the frequencies of the values {frequencies:.4g}"
    )
    shown += "" if bias is None else f", by the output bias that it begins with {bias:.4g}"
    high = max(zero, frequencies) if bias is None else bias
    dims = model.num_dims if kind_of(model).unit(model) == "example" else 1
    density = model.head.num_values is None
    too_high = high + TOO_HIGH * (dims if density else max(zero, 0))
    too_low = expected.least - TOO_LOW * (dims if density else expected.least)
    if not math.isfinite(loss):
        remedy = "Look for a logarithm or a division of zero, or data that are not scaled"
    elif loss > too_high:
        remedy = "It is too sure of itself: draw the weights of the last layer smaller, or scale "
        remedy += "the data"
    elif loss < too_low:
        remedy = "An untrained model cannot know that: does a site see itself? Run "
        remedy += "python -m sample.testing"
    else:
        return Finding("initial loss", PASS, shown)
    return Finding("initial loss", SUSPICIOUS, shown, remedy)


def by_heart(
    model: zoo.Autoregressive, learnt: Learnt, left: float | None, frequencies: float, num: int
) -> Finding:
    """Whether the small batch was learnt: to near the entropy that is left of levels, or well below
    independent Gaussians of real numbers, whose density has no bound.
    """
    start, end = learnt.losses[0], float(np.mean(learnt.losses[-5:]))
    count = len(learnt.losses)
    shown = (
        f"{num} examples from {start:.4g} to {_nats(model, end)} in {count:,} updates, "
        f"{learnt.seconds:.0f} s"
    )
    higher = "Try a higher --learning-rate, --seconds, or a larger model; a bug in the loss or "
    remedy = f"{higher}in the reading of the data shows here, too"
    if not math.isfinite(end):
        return Finding("by heart", SUSPICIOUS, shown, "The loss is no number: lower the rate")
    if left is None:
        shown += "; a density has no lower bound (nor, in practice, many levels); "
        shown += f"independent sites have {frequencies:.4g}"
        good = end < min(start, frequencies)
    else:
        shown += f"; the entropy left is {left:.4g}"
        if start - left < 1e-3 * max(1, abs(left)):
            nothing = "Nothing could be learnt: the loss is as low as it can be from the start"
            return Finding("by heart", SKIPPED, shown, nothing)
        rest = (end - left) / (start - left)
        unfinished = LEARNT < rest <= HALF and _falls(learnt.losses)
        shown += "; it still fell when the time was over" if unfinished else ""
        good = rest <= LEARNT or unfinished
    return (
        Finding("by heart", PASS, shown) if good else Finding("by heart", SUSPICIOUS, shown, remedy)
    )


def _falls(losses):
    """Whether the last tenth of the losses lies below the tenth before it."""
    tenth = max(1, len(losses) // 10)
    return np.mean(losses[-tenth:]) < np.mean(losses[-2 * tenth : -tenth])


def gradients(recipe: Recipe, learnt: Learnt) -> Finding:
    """Whether every array of weights gets a finite gradient that is not zero."""
    frozen = recipe.encoder_rate == 0
    ever = {k: v for k, v in learnt.ever.items() if not (frozen and k.startswith("encoder"))}
    odd = [name for name, norm in ever.items() if not math.isfinite(norm)]
    dead = [name for name, norm in ever.items() if norm == 0]
    late = [name for name in ever if learnt.first.get(name) == 0 and name not in dead]
    low, high = min(learnt.first.values()), max(learnt.first.values())
    shown = f"{len(ever)} arrays of weights, norms from {low:.2g} to {high:.2g} at first"
    if odd or not math.isfinite(learnt.losses[-1]):
        names = ", ".join(odd) or "the loss is no number"
        remedy = "Look for a square root, logarithm or division of zero"
        return Finding("gradients", SUSPICIOUS, f"infinite or nan: {names}", remedy)
    if dead:
        remedy = "Nothing leads from them to the loss, or units are dead: remove them, or look for "
        return Finding(
            "gradients",
            SUSPICIOUS,
            f"none ever reached {', '.join(dead)}",
            f"{remedy}a stop_gradient, a mask or a ReLU that is never on",
        )
    if late:
        shown += f"; {len(late)} begin at zero and move later, as behind a layer of zeros"
    return Finding("gradients", PASS, shown)


def _nats(model, value):
    unit = kind_of(model).unit(model)
    return f"{value:.4g} nats{'' if unit == 'example' else f'/{unit}'}"


def _uniform(model, zero):
    """ "= 784 ln 2" where zero params give all values the same probability."""
    classes = model.head.num_values
    sites = model.num_dims if kind_of(model).unit(model) == "example" else 1
    for count in () if classes is None else (classes, classes - 1):  # without padding
        if count > 1 and abs(zero - sites * math.log(count)) < 1e-3 * zero:
            return f" (= {f'{sites:,} ' if sites > 1 else ''}ln {count:,})"
    return ""
