"""What is refused before anything is computed, in one line each."""

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import flax.errors
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from zoo.core.arrays import check_variables
from zoo.core.generative import Generative, Knows, kind
from zoo.foundation.arguments import checked, shown
from zoo.heads import why_outside

NO_COUNTS = {
    "window",
    "mask",
    "end",
    "pad",
    "separator",
    "source_pad",
}  # integer fields that may be 0, or None


def check_model(model: Any) -> None:
    """Raises ValueError, in one line, unless `model` is one and its fields can be."""
    if isinstance(model, Generative):
        check_fields(model)
        return
    raise ValueError(
        "expected a model such as zoo.MADE(), or the first of what zoo.load returns; got "
        f"{shown(model)}."
    )


def check_fields(model: Generative) -> None:
    """Raises ValueError, in one line, unless the fields of `model` can be: counts at least 1 (0
    where that is the default), numbers not negative, dropout in [0, 1), and what is chosen from a
    few is one of them.
    """
    name, within = type(model).__name__, getattr(model, "model", None)
    if within is not None:
        check_fields(within)
    if not model.site_shape or not all(size >= 1 for size in model.site_shape):
        raise ValueError(
            f"{name} needs a site_shape of sizes from 1; got {tuple(model.site_shape)}."
        )
    for field in dataclasses.fields(model):
        value = getattr(model, field.name)
        choices = get_args(field.type) if get_origin(field.type) is Literal else (value,)
        if value not in choices:
            raise ValueError(
                f"{name} needs {field.name} to be {' or '.join(choices)}; got {value!r}."
            )
        if field.name == "dropout" and not 0 <= value < 1:
            raise ValueError(f"{name} needs a dropout in [0, 1); got {value}.")
        if isinstance(value, float) and not 0 <= value < math.inf:
            raise ValueError(
                f"{name} needs {field.name} to be a finite number of at least 0; got {value}."
            )
        sizes = value if isinstance(value, tuple) else (value,)
        if field.name in NO_COUNTS or not all(type(size) is int for size in sizes):
            continue
        least = 0 if field.default == 0 else 1
        if min(sizes, default=least) < least:
            raise ValueError(f"{name} needs {field.name} of at least {least}; got {value}.")


KNOWLEDGE = {
    "exact": "log p(x) itself",
    "bound": "a lower bound of log p(x) only: zoo.evidence",
    "none": "nothing of log p(x): it only draws, sample.draw",
}


def check_knows(model: Generative, *enough: Knows) -> None:
    """Raises ValueError, in one line, unless what `model` knows of log p(x) is among `enough`.

    Example:
      >>> import zoo
      >>> check_knows(zoo.MADE(), "exact")
    """
    if model.knows not in enough:
        raise ValueError(f"{kind(model)} knows {KNOWLEDGE[model.knows]}.")


def check_inputs(model: Generative, variables: Any, x: Any, context: PyTree = None) -> None:
    """Raises ValueError, in one line, unless `variables` are the model's, and `x` and `context` a
    batch of it.
    """
    check_batch(model, x, context)
    check_variables(model, variables, context)


def check_batch(model: Generative, x: Any, context: PyTree = None) -> None:
    """Raises ValueError, in one line, unless `x` and `context` are a batch of the model."""
    check_values(model, x)
    check_context(model, context, len(x))


def check_values(model: Generative, x: Any, what: str = "x") -> None:
    """Raises ValueError, in one line, unless `x` is a batch of values of `model`, and its fields
    can be.

    Shape and dtype are checked always, the values themselves where they are at hand (not under a
    jax trace).

    Example:
      >>> import numpy as np, zoo
      >>> zoo.check_values(zoo.FVSBN((2,)), np.array([[0, 1]]))
      >>> try:
      ...     zoo.check_values(zoo.FVSBN((2,)), np.array([[0, 2]]))
      ... except ValueError as error:
      ...     print(str(error).partition(": ")[2])
      x is outside the model's support: a Bernoulli head takes bits 0..1; got values from 0 to 2.
    """
    check_model(model)
    event = (*model.site_shape, *model.head.event_shape)
    name = f"{kind(model)} of site_shape {tuple(model.site_shape)}"
    dtype = getattr(x, "dtype", None)
    if dtype is None:
        raise ValueError(
            f"{name}: {what} must be an array [batch, {', '.join(map(str, event))}]; got "
            f"{shown(x)}. "
            f"Convert it: np.asarray({what})."
        )
    shape, discrete = np.shape(x), jnp.issubdtype(model.head.dtype, jnp.integer)
    if shape[1:] != event or len(shape) != len(event) + 1 or shape[0] == 0:
        raise ValueError(
            f"{name}: {what} must have shape [batch, {', '.join(map(str, event))}]; got "
            f"{list(shape)}."
        )
    if not (
        jnp.issubdtype(dtype, jnp.integer) or dtype == np.bool_
        if discrete
        else jnp.issubdtype(dtype, jnp.floating)
    ):
        wanted = "integers" if discrete else "floating-point numbers"
        raise ValueError(
            f"{name}: {what} must hold {wanted} ({type(model.head).__name__} head); got {dtype}. "
            f"Convert it: x.astype({model.head.dtype})."
        )
    if isinstance(x, jax.core.Tracer):
        return
    if reason := why_outside(model.head, np.asarray(x)):
        raise ValueError(f"{name}: {what} is outside the model's support: {reason}.")


@checked(batch=1)
def check_context(model: Generative, context: PyTree, batch: int | None = None) -> None:
    """Raises ValueError, in one line, if `model` cannot condition on `context` (not under a jax
    trace), or not on one of `batch` rows.

    Example:
      >>> import numpy as np, zoo
      >>> zoo.check_context(zoo.FVSBN((2,)), None)
      >>> try:
      ...     zoo.check_context(zoo.FVSBN((2,)), np.zeros(1))
      ... except ValueError as error:
      ...     print(error)
      FVSBN cannot condition on this context: it takes no context; pass context=None.
    """
    check_model(model)
    leaves = jax.tree.leaves(context)
    if not any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
        try:
            reason = model.why_invalid(context)
        except (TypeError, ValueError):  # numpy makes no array of it
            reason = f"got {shown(context)}"
        if reason:
            raise ValueError(f"{kind(model)} cannot condition on this context: {reason}.")
    for leaf in leaves:
        if not hasattr(leaf, "dtype"):
            raise ValueError(
                f"{kind(model)}: context must be an array, or arrays in a dict or tuple; got "
                f"{shown(leaf)} in "
                f"{shown(context)}. Convert it: np.asarray(context)."
            )
        if batch is not None and np.shape(leaf)[:1] != (batch,):
            raise ValueError(
                f"{kind(model)}: context must have a row for each of {batch} examples; got shape "
                f"{list(np.shape(leaf))}."
            )


@contextlib.contextmanager
def key_needed(model: Generative) -> Iterator[None]:
    """Says in one line that a model which draws noise in training was given no key."""
    try:
        yield
    except flax.errors.InvalidRngError:
        raise ValueError(
            f"{kind(model)} draws noise in training: pass key=jax.random.key(...)."
        ) from None
