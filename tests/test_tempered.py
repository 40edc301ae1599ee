"""Temperature, top-k, top-p and min-p: exactly what stays, against an oracle in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sample.engines.tempered import Tempered

NONE = -np.inf
LIMITS = [
    {"top_k": 1},
    {"top_k": 3},
    {"top_p": 0.37},
    {"top_p": 0.9},
    {"top_p": 1.0},
    {"min_p": 0.2},
    {"top_k": 5, "top_p": 0.6},
    {"top_k": 4, "top_p": 0.85, "min_p": 0.3},
    {"temperature": 0.6, "top_k": 6, "top_p": 0.7, "min_p": 0.05},
    {"temperature": 1.7, "top_p": 0.5},
]


def oracle(logits, temperature=1.0, top_k=None, top_p=None, min_p=None):
    """Which values stay, one row and one value at a time, in float64; nearer to a limit than 1e-6
    is on it.
    """
    stay = np.zeros(logits.shape, bool)
    for row, each in enumerate(np.asarray(logits, np.float64)):
        order = sorted(range(len(each)), key=lambda value: (-each[value], value))[:top_k]
        mass = {value: np.exp((each[value] - each[order[0]]) / temperature) for value in order}
        reached = 0.0
        for value in order:
            if top_p is not None and top_p < 1 and reached >= (top_p - 1e-6) * sum(mass.values()):
                break
            if min_p is not None and mass[value] < min_p - 1e-6:
                break
            reached += mass[value]
            stay[row, value] = mass[value] > 0
    return stay


def kept(logits, **limits):
    return np.asarray(jax.jit(Tempered(**limits))(jnp.asarray(logits))) > NONE


@pytest.mark.parametrize(
    ("probabilities", "limits", "wanted"),
    [
        ([0.25] * 4, {"top_k": 1}, [0]),
        ([0.25] * 4, {"top_k": 3}, [0, 1, 2]),
        ([0.25] * 4, {"top_p": 0.5}, [0, 1]),
        ([0.25] * 4, {"top_p": 0.51}, [0, 1, 2]),
        ([0.25] * 4, {"top_p": 1.0}, [0, 1, 2, 3]),
        ([0.25] * 4, {"top_p": 1e-9}, [0]),
        ([0.25] * 4, {"min_p": 1.0}, [0, 1, 2, 3]),
        ([0.3, 0.1, 0.1, 0.5], {"top_p": 0.8}, [0, 3]),
        ([0.3, 0.1, 0.1, 0.5], {"top_p": 0.81}, [0, 1, 3]),
        ([0.3, 0.1, 0.1, 0.5], {"top_p": 0.9}, [0, 1, 3]),
        ([0.3, 0.1, 0.1, 0.5], {"top_k": 3}, [0, 1, 3]),
        ([0.3, 0.1, 0.1, 0.5], {"min_p": 0.2}, [0, 1, 2, 3]),
        ([0.1] * 10, {"top_p": 0.7}, range(7)),
        ([0.001] * 1000, {"top_p": 0.3}, range(300)),
        ([0.2, 0.4, 0.4], {"top_k": 2, "top_p": 0.5}, [1]),
        ([0.2, 0.4, 0.4], {"top_k": 1, "temperature": 1e30}, [1]),
        ([0.0, 0.5, 0.0, 0.5], {"top_k": 3, "top_p": 0.99}, [1, 3]),
    ],
)
def test_ties_go_to_the_lower_value(probabilities, limits, wanted):
    with np.errstate(divide="ignore"):
        logits = np.log(np.array([probabilities], np.float32))
    assert np.flatnonzero(kept(logits, **limits)[0]).tolist() == list(wanted)


def logits_of(kind, random):
    """Logits [50, 40] as networks have them."""
    logits = random.normal(size=(50, 40)).astype(np.float32) * 2
    if kind == "quantised":
        return np.round(logits * 2) / 2
    if kind == "bfloat16":
        return logits.astype(jnp.bfloat16)
    if kind == "masked":
        return np.where(random.uniform(size=logits.shape) < 0.7, NONE, logits).astype(np.float32)
    if kind == "untrained":
        return np.zeros_like(logits)
    return logits + 50 if kind == "shifted" else logits


KINDS = ("plain", "quantised", "bfloat16", "masked", "untrained", "shifted")


@pytest.mark.parametrize("limits", LIMITS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_what_stays_is_what_float64_says(kind, limits):
    logits = logits_of(kind, np.random.RandomState(3))
    assert (kept(logits, **limits) == oracle(logits, **limits)).all()


@pytest.mark.parametrize("kind", [*KINDS, "infinite"])
def test_the_likeliest_alone_is_greedy(kind):
    logits = logits_of(kind, np.random.RandomState(4))
    if kind == "infinite":
        logits[:, ::7] = np.inf
    best = np.asarray(logits, np.float32).argmax(-1)
    for limits in (
        {"top_k": 1},
        {"temperature": 0.0},
        {"temperature": 0.0, "top_p": 0.9, "min_p": 0.1},
        {"top_p": 1e-9},
    ):
        stay = kept(logits, **limits)
        assert (stay.sum(-1) == 1).all() and (stay.argmax(-1) == best).all()
