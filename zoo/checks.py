"""What is refused before anything is computed, in one line each."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import flax.errors
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

if TYPE_CHECKING:
    from zoo.autoregressive import Autoregressive


NO_COUNTS = {"window", "mask", "end", "pad", "separator", "source_pad"}  # integer fields that may be 0, or None


def kind(model: "Autoregressive") -> str:
    """The name of its class, or of the model that it standardises: what a user chose."""
    return type(getattr(model, "model", model)).__name__


def check_fields(model: "Autoregressive") -> None:
    """Raises ValueError, in one line, unless the fields of `model` can be: counts at least 1 (0 where that is the default),
    dropout in [0, 1), and what is chosen from a few is one of them."""
    name, within = type(model).__name__, getattr(model, "model", None)
    if within is not None:
        check_fields(within)
    if not all(size >= 1 for size in model.site_shape):
        raise ValueError(f"{name} needs a site_shape of sizes from 1; got {tuple(model.site_shape)}.")
    for field in dataclasses.fields(model):
        value = getattr(model, field.name)
        choices = get_args(field.type) if get_origin(field.type) is Literal else (value,)
        if value not in choices:
            raise ValueError(f"{name} needs {field.name} to be {' or '.join(choices)}; got {value!r}.")
        if field.name == "dropout" and not 0 <= value < 1:
            raise ValueError(f"{name} needs a dropout in [0, 1); got {value}.")
        if not isinstance(value, int) or isinstance(value, bool) or field.name in NO_COUNTS:
            continue
        least = 0 if field.default == 0 else 1
        if value < least:
            raise ValueError(f"{name} needs {field.name} of at least {least}; got {value}.")


def check_values(model: "Autoregressive", x: Any, what: str = "x") -> None:
    """Raises ValueError, in one line, unless `x` is a batch of values of `model`.

    Shape and dtype are checked always, the values themselves where they are at hand (not under a jax trace).
    """
    event = (*model.site_shape, *model.head.event_shape)
    name = f"{kind(model)} of site_shape {tuple(model.site_shape)}"
    shape, dtype = np.shape(x), getattr(x, "dtype", None)
    if dtype is None:
        raise ValueError(
            f"{name}: {what} must be an array [batch, {', '.join(map(str, event))}]; got {type(x).__name__}."
        )
    if shape[1:] != event or len(shape) != len(event) + 1 or shape[0] == 0:
        raise ValueError(f"{name}: {what} must have shape [batch, {', '.join(map(str, event))}]; got {list(shape)}.")
    if jnp.issubdtype(model.head.dtype, jnp.integer) != (jnp.issubdtype(dtype, jnp.integer) or dtype == np.bool_):
        wanted = "integers" if jnp.issubdtype(model.head.dtype, jnp.integer) else "floating-point numbers"
        raise ValueError(
            f"{name}: {what} must hold {wanted} ({type(model.head).__name__} head); got {dtype}. "
            f"Convert it: x.astype({model.head.dtype})."
        )
    if not isinstance(x, jax.core.Tracer) and (complaint := model.head.complaint(np.asarray(x))):
        raise ValueError(f"{name}: {what} is outside the model's support: {complaint}.")


def check_context(model: "Autoregressive", context: PyTree, batch: int | None = None) -> None:
    """Raises ValueError, in one line, if `model` cannot condition on `context` (not under a jax trace), or not on one of
    `batch` rows."""
    traced = any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(context))
    if not traced and (complaint := model.complaint(context)):
        raise ValueError(f"{kind(model)} cannot condition on this context: {complaint}.")
    for leaf in jax.tree.leaves(context):
        if batch is not None and np.shape(leaf)[:1] != (batch,):
            raise ValueError(
                f"{kind(model)}: context must have a row for each of {batch} examples; got shape "
                f"{list(np.shape(leaf))}."
            )


@contextlib.contextmanager
def key_needed(model: "Autoregressive") -> Iterator[None]:
    """Says in one line that a model which draws noise in training was given no key."""
    try:
        yield
    except flax.errors.InvalidRngError:
        raise ValueError(f"{kind(model)} draws noise in training: pass key=jax.random.key(...).") from None
