"""What the checks work on: a model with valid inputs, and random variables for it."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

import zoo
from zoo.core.bounds import watched
from zoo.core.checks import check_batch, check_model
from zoo.foundation.arguments import shown

BATCH = 32  # the batch of most checks, so that they share compiled functions
MANY_SITES = 64  # a model with more sites is drawn in small batches


@functools.cache
def variables_of(model: Any, seed: int = 0, example: Any = None) -> Any:
    """Random variables of a scale at which every dependence shows and no distribution is peaked.

    Args:
      model: the model.
      seed: seeds the values; equal arguments give equal variables.
      example: (model, batch) -> (x, context), valid inputs; by default those of the model.
    """
    x, context = (example or zoo.example)(model, BATCH)
    shapes = jax.eval_shape(
        functools.partial(zoo.init, model, x=x, context=context), jax.random.key(0)
    )
    random = np.random.RandomState(seed)
    noise = jax.tree.map(lambda leaf: random.normal(size=leaf.shape).astype(np.float32), shapes)
    smooth = model.head.num_values is None  # densities that the quadrature can follow
    for scale in (0.3, 0.2) if smooth else (0.8, 0.5, 0.3, 0.2, 0.1):
        scaled = jax.tree.map(lambda leaf: np.float32(scale) * leaf, noise)  # noqa: B023
        variables = jax.device_put(scaled)
        if not isinstance(model, zoo.Autoregressive) and scale <= 0.3:
            break  # weights p(x, z) / q(z | x) with tails that a mean can be taken of
        if isinstance(model, zoo.Autoregressive) and (
            np.std(zoo.conditionals(model, variables, x, context)) < 2
        ):
            break
    return variables


def figure_of(model: Any, variables: Any, x: Any, context: Any) -> Any:
    """What the model knows of log p(x), or what it is watched by, [batch]; the noise is fixed."""
    if model.knows == "exact":
        return zoo.log_prob(model, variables, x, context)
    if model.knows == "bound":
        return zoo.evidence(model, variables, x, context, key=jax.random.key(3), num=2)
    return watched(model, variables, x, context, key=jax.random.key(3))


def variables_for(entry: zoo.Entry) -> Any:
    """`variables_of` the entry's tiny instance, shaped by the entry's example."""
    return variables_of(entry.tiny, 0, entry.example)


def example_of(entry: zoo.Entry, batch: int) -> tuple[Any, Any]:
    """The entry's example: values that vary from row to row, and their context."""
    x, context = entry.example(entry.tiny, batch)
    return jax.device_put(np.asarray(x)), context


def repeat_rows(x: Any, context: Any = None) -> Callable[[Any, int], tuple[Any, Any]]:
    """Given arrays as a function (model, batch) -> (x, context): their rows in turn."""

    def example(model, batch):
        rows = np.arange(batch) % len(x)
        return jax.tree.map(lambda leaf: np.asarray(leaf)[rows], (x, context))

    return example


def same_context(entry: zoo.Entry, num: int) -> Any:
    """The first row of the entry's context, `num` times."""
    _, context = entry.example(entry.tiny, 1)
    return jax.tree.map(lambda leaf: np.repeat(leaf, num, axis=0), context)


def num_draws(entry: zoo.Entry) -> int:
    """How many samples a check draws from every engine: 50, or 4 where there are many sites."""
    return 50 if entry.tiny.num_sites <= MANY_SITES else 4


def by_rank(model: Any, params: Any) -> Any:
    """Params [batch, *site_shape, P] in the order of the ranks: [batch, num_sites, P]."""
    return np.asarray(params).reshape(len(params), model.num_sites, -1)[:, model.sites]


def rank_mask(model: Any, end: int) -> np.ndarray:
    """Which sites have a rank below `end`: bool [*site_shape]."""
    return model.ordering.ranks(model.site_shape).reshape(model.site_shape) < end


def change_site(model: Any, x: Any, site: Any, rows: Any) -> Any:
    """`x` with another valid value at `site` in `rows`."""
    flat = np.array(x).reshape(len(x), model.num_sites, *model.head.event_shape)
    other = flat[rows, site] + 1
    flat[rows, site] = other % model.head.num_values if model.head.num_values else other
    return flat.reshape(x.shape)


def same_values(model: Any, a: Any, b: Any) -> bool:
    """Whether two sets of draws are equal: exactly, or to rounding where values are real."""
    if model.head.num_values is None:
        return np.allclose(a, b, rtol=1e-4, atol=1e-4)
    return np.array_equal(a, b)


def subject_of(model: Any, example: Any = None, blind: int = 0) -> zoo.Entry:
    """The model, or the tiny instance of a class, with its example, as the checks take it.

    Raises:
      ValueError: no model, a class without a tiny instance, or an example that does not fit.
    """
    if isinstance(model, zoo.Entry):
        return model
    if inspect.isclass(model):
        model = tiny_of(model)
    check_model(model)
    if example is None:
        example = zoo.Entry(model, model).example
    elif not callable(example):
        pair = example if isinstance(example, tuple | list) else (example, None)
        if len(pair) != 2:
            raise ValueError(
                "example must be a function (model, batch) -> (x, context), a pair of arrays "
                f"(x, context) or x alone; got {shown(example)}."
            )
        check_batch(model, *pair)
        if len(pair[0]) < 2:
            raise ValueError("example must have at least 2 rows, so that rows can be told apart.")
        example = repeat_rows(*pair)
    check_batch(model, *example(model, 2))
    return zoo.Entry(model, model, blind, example)


def tiny_of(cls: type) -> zoo.Generative:
    """The instance of a class that is checked.

    Raises:
      ValueError: no class of models, or one that can be made only with arguments.
    """
    if not issubclass(cls, zoo.Generative):
        raise ValueError(
            f"{cls.__name__} is no class of models: derive it from zoo.Autoregressive."
        )
    if "tiny" in vars(cls):
        tiny = cls.tiny  # type: ignore[attr-defined]
        return tiny() if callable(tiny) and not isinstance(tiny, zoo.Generative) else tiny
    for entry in zoo.CATALOGUE.values():
        if type(entry.tiny) is cls:
            return entry.tiny
    try:
        return cls()
    except TypeError as error:
        raise ValueError(
            f"{cls.__name__} cannot be made without arguments ({error}): pass a tiny instance "
            f"{cls.__name__}(...), or give the class a static method `tiny` that returns one."
        ) from None
