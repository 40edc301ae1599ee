"""How well a linear classifier tells labels from codes, by how many labels it is given."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

import zoo
from zoo.core.checks import kind

AT_ONCE = 500
STEPS = 300  # of L-BFGS, at most
DECAY = 1.0  # of the weights: 1/2 |W|^2 beside the sum of the losses of all examples


class Accuracy(NamedTuple):
    """The share of test labels that are right.

    Attributes:
      labels: how many labels the classifier was given.
      codes: the share in %, from codes.
      values: the same from the values themselves.
      codes_error: the standard error of `codes` over several choices of the labels; nan of one.
      values_error: that of `values`.
    """

    labels: int
    codes: float
    values: float
    codes_error: float
    values_error: float


def represent(
    model: zoo.Generative, variables: zoo.Variables, x: Shaped[np.ndarray, "num ..."]
) -> Float[np.ndarray, "num latents"]:
    """The codes of many examples."""
    parts = range(0, len(x), AT_ONCE)
    return np.concatenate(
        [np.asarray(zoo.represent(model, variables, x[i : i + AT_ONCE])) for i in parts]
    )


def classify(
    features: Float[np.ndarray, "num n"],
    labels: Int[np.ndarray, " num"],
    others: Float[np.ndarray, "many n"],
) -> Int[np.ndarray, " many"]:
    """The labels of `others` by multinomial logistic regression; features are standardised.

    Example:
      >>> features = np.array([[0.0], [1.0], [10.0], [11.0]])
      >>> classify(features, np.array([2, 2, 5, 5]), np.array([[3.0], [8.0]])).tolist()
      [2, 5]
    """
    from scipy.optimize import minimize

    shift, scale = features.mean(0), features.std(0)
    scale = np.where(scale > 0, scale, 1.0)
    a, b = ((each - shift) / scale for each in (features, others))
    classes, right = np.unique(labels, return_inverse=True)
    shape = (a.shape[1] + 1, len(classes))  # the last row is the bias

    def loss(flat):
        weights = flat.reshape(shape)
        logits = a @ weights[:-1] + weights[-1]
        logits -= logits.max(1, keepdims=True)
        total = np.exp(logits).sum(1, keepdims=True)
        nats = (np.log(total)[:, 0] - logits[np.arange(len(a)), right]).sum()
        slope = np.exp(logits) / total
        slope[np.arange(len(a)), right] -= 1
        gradient = np.vstack([a.T @ slope + DECAY * weights[:-1], slope.sum(0)])
        return nats + DECAY / 2 * (weights[:-1] ** 2).sum(), gradient.ravel()

    start = np.zeros(np.prod(shape))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
    weights = found.x.reshape(shape)
    return classes[np.argmax(b @ weights[:-1] + weights[-1], axis=1)]


def accuracies(
    model: zoo.Generative,
    variables: zoo.Variables,
    train: tuple[Any, Any],
    test: tuple[Any, Any],
    sizes: Sequence[int],
    repeats: int = 3,
) -> tuple[Accuracy, ...]:
    """How well a linear classifier does on codes, and on the values themselves.

    Args:
      model: a model that has a code, without a context.
      variables: its variables.
      train: (x, labels) from which labelled examples are chosen at random.
      test: (x, labels) whose labels are told.
      sizes: how many labels.
      repeats: how many choices of each.

    Raises:
      ValueError: the model is conditional, or there are too few labels.
    """
    check_unconditional(model)
    (x, labels), (others, answers) = train, test
    if max(sizes) > len(x) or min(sizes) < 2:
        raise ValueError(f"the data have {len(x)} labels: ask for 2 to {len(x)}; got {max(sizes)}.")
    features = [
        (represent(model, variables, x), represent(model, variables, others)),
        tuple(np.asarray(each, np.float32).reshape(len(each), -1) for each in (x, others)),
    ]
    orders = [np.random.RandomState(seed).permutation(len(x)) for seed in range(repeats)]
    found = []
    for size in sizes:
        shares = np.array(
            [
                [(classify(a[rows], labels[rows], b) == answers).mean() for a, b in features]
                for rows in (order[:size] for order in orders)
            ]
        )
        spread = shares.std(0, ddof=1) / np.sqrt(repeats) if repeats > 1 else np.full(2, np.nan)
        found.append(Accuracy(size, *(100 * shares.mean(0)).tolist(), *(100 * spread).tolist()))
    return tuple(found)


def check_unconditional(model: zoo.Generative) -> None:
    """Raises ValueError if codes of the model depend on the labels that a probe is to tell."""
    if getattr(getattr(model, "model", model), "num_classes", 0):
        raise ValueError(
            f"this {kind(model)} is conditional on labels, so its code need not hold them: probe a "
            "model that was trained without --conditional."
        )
