"""Every value that a tiny model describes, the probability of each, and a test of draws."""

import functools
import itertools
import math
from typing import Any

import numpy as np

import zoo
from sample.testing.subject import same_context, variables_for

LARGEST = 400_000  # values of a space that is still enumerated
POINTS, CELLS = 600, 60  # points of the quadrature along a real-valued site, and cells to count in
SPREAD = 4.0  # real values x are laid out evenly in sigmoid(x / SPREAD)
RARE = 1e-6  # draws that right code would give as rarely as this fail
FEWEST = 10.0  # expected counts of a cell of the chi-square test, at least


def size_of(model: zoo.Generative) -> int:
    """How many values the space has; of real values, how many points the quadrature needs."""
    return (model.head.num_values or POINTS) ** model.num_dims


def space_of(model: zoo.Generative) -> np.ndarray:
    """All values of the model, or the points of a quadrature: [size, *site_shape, *event_shape]."""
    event = (*model.site_shape, *model.head.event_shape)
    if model.head.num_values is None:
        points = SPREAD * np.log(_places() / (1 - _places()))
        grid = np.meshgrid(*[points] * math.prod(event), indexing="ij")
        return np.stack(grid, -1).reshape(-1, *event)
    values = itertools.product(range(model.head.num_values), repeat=math.prod(event))
    return np.array(list(values), np.int32).reshape(-1, *event)


def probabilities(entry: zoo.Entry) -> np.ndarray:
    """The probability of every value of the space, or of the surroundings of every point."""
    model, space = entry.tiny, space_of(entry.tiny)
    context = same_context(entry, len(space))
    log_probs = zoo.log_prob(model, variables_for(entry), space, context)
    return np.exp(np.asarray(log_probs, np.float64)) * volumes(model)


def volumes(model: zoo.Generative) -> np.ndarray:
    """1 for every value of the space, or the volume around every point of the quadrature."""
    if model.head.num_values is not None:
        return np.ones(size_of(model))
    widths = SPREAD / (_places() * (1 - _places())) / POINTS
    return functools.reduce(np.multiply.outer, [widths] * model.num_dims).ravel()


def distribution_of(model: zoo.Generative, probabilities: np.ndarray) -> np.ndarray:
    """The probability of every cell of `codes`, given those of the points of the space."""
    return np.bincount(codes(model, space_of(model)), probabilities)


def codes(model: zoo.Generative, x: Any) -> np.ndarray:
    """The index of each value in `space_of`; of real values, the index of the cell they are in."""
    digits, base = np.asarray(x).reshape(len(x), -1), model.head.num_values
    if base is None:
        base = CELLS
        digits = (CELLS / (1 + np.exp(-digits / SPREAD))).astype(int).clip(0, CELLS - 1)
    return digits @ (base ** np.arange(digits.shape[1])[::-1])


def _places():
    return (np.arange(POINTS, dtype=np.float32) + 0.5) / POINTS


def assert_counts(counts: np.ndarray, expected: np.ndarray, errors: Any = 0.0) -> None:
    """Chi-square test of counts against expected counts; rare cells are merged.

    Args:
      counts: of each cell.
      expected: the counts that are expected of it.
      errors: standard errors of these, where they are estimates, independent of one another.
    """
    from scipy.special import gammaincc

    variance = expected + np.square(errors)

    order = np.argsort(expected)
    marks = np.arange(1, 1 + int(expected.sum() // FEWEST)) * FEWEST
    cells = np.searchsorted(np.cumsum(expected[order]), marks)
    edges = np.unique(np.concatenate([[0], cells[:-1]]))
    counts, expected, variance = (
        np.add.reduceat(each[order], edges) for each in (counts, expected, variance)
    )
    freedom = len(expected) - 1
    assert freedom > 0, "too few cells to judge a distribution"
    chi_square = ((counts - expected) ** 2 / variance).sum()
    # P(chi-square >= what came) with that many degrees of freedom.
    chance = gammaincc(freedom / 2, chi_square / 2)
    assert chance > RARE, f"chi-square {chi_square:.0f} with {freedom} degrees of freedom"


def assert_follows(
    model: zoo.Generative, x: Any, distribution: np.ndarray, errors: np.ndarray | None = None
) -> None:
    """Draws follow the distribution; what it excludes is never drawn. `errors` are the standard
    errors of an estimated distribution.
    """
    errors = np.zeros(len(distribution)) if errors is None else errors
    counts = np.bincount(codes(model, x), minlength=len(distribution))
    possible = distribution > 0
    assert counts[~possible].sum() == 0, "values without probability were drawn"
    assert_counts(counts[possible], distribution[possible] * len(x), errors[possible] * len(x))
