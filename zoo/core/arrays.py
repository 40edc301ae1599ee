"""Which arrays a model has, by shapes alone, and whether given ones are these."""

import functools
from collections.abc import Mapping
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from zoo.core.generative import Generative, kind
from zoo.core.model import Autoregressive
from zoo.foundation.arguments import shown
from zoo.foundation.precision import full_float32


def check_variables(model: Generative, variables: Any, context: PyTree = None) -> None:
    """Raises ValueError, in one line, unless `variables` are those of `model`, as `zoo.init` and
    `zoo.load` return them.
    """
    if not isinstance(variables, Mapping):
        raise ValueError(
            f"variables must be a dict, as zoo.init and zoo.load return it; got {shown(variables)}."
        )
    leaves, tree = jax.tree.flatten(variables)
    if not all(hasattr(leaf, "dtype") for leaf in leaves):
        name, odd = next(
            pair for pair in _named(variables).items() if not hasattr(pair[1], "dtype")
        )
        raise ValueError(f"variables must hold arrays only; got {shown(odd)} as {name!r}.")
    forms = tuple((np.shape(leaf), leaf.dtype) for leaf in leaves)
    if misfit := _misfit(model, _forms(context), tree, forms):
        raise ValueError(f"these are not the variables of this {kind(model)}: {misfit}.")


def variable_shapes(
    model: Generative, context: PyTree = None, batch: int = 1
) -> PyTree[jax.ShapeDtypeStruct]:
    """The shapes of the model's variables, nothing computed; of a context only the shapes and
    dtypes are looked at.

    Raises:
      ValueError: for `batch` examples `__call__` returns no params of the shape that it should.
    """
    return _variable_shapes(model, _forms(context, batch), batch)


def misfit(wanted: Mapping[str, Any], got: Mapping[str, Any]) -> str | None:
    """Why arrays `got`, by name, are not those `wanted`, in words, or None; only shapes and dtypes
    are compared.
    """
    if odd := sorted(set(wanted) ^ set(got)):
        return f"array {odd[0]!r} is {'missing' if odd[0] in wanted else 'not part of'} its model"
    for name, array in got.items():
        if array.shape != wanted[name].shape:
            return f"array {name!r} has shape {array.shape}; its model has {wanted[name].shape}"
        if _sort_of(array.dtype) != _sort_of(wanted[name].dtype):
            return f"array {name!r} is {array.dtype}; its model has {wanted[name].dtype}"
    return None


def _sort_of(dtype):
    """Any precision of floating-point numbers serves as well."""
    return "float32" if jnp.issubdtype(dtype, jnp.floating) else str(dtype)


def _name(key):
    return str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", key))))


def _forms(context, batch=1):
    """A context of `batch` rows as what can be hashed: (treedef, shape and dtype of every leaf)."""
    leaves, tree = jax.tree.flatten(context)
    return tree, tuple(
        ((batch, *np.shape(leaf)[1:]), jax.dtypes.canonicalize_dtype(leaf.dtype)) for leaf in leaves
    )


@functools.lru_cache(maxsize=128)
def _variable_shapes(model, forms, batch=1):
    tree, leaves = forms
    context = jax.tree.unflatten(tree, [jax.ShapeDtypeStruct(*leaf) for leaf in leaves])
    x = jax.ShapeDtypeStruct((batch, *model.site_shape, *model.head.event_shape), model.head.dtype)

    exact = isinstance(model, Autoregressive)

    @full_float32
    def variables(key, x, context):
        rngs = {"params": key} if exact else dict.fromkeys(("params", "train", "noise"), key)
        method = lambda m, x, context: m(x, m.encode(context))  # noqa: E731
        try:  # not by `init`, which a member of a mixture refuses
            return model.apply({}, x, context, rngs=rngs, mutable=True, method=method)
        except flax.errors.ScopeCollectionNotFound:  # of nn.WeightNorm, which needs `init`
            return model.init_with_output(rngs, x, context, method=method)

    key = jax.eval_shape(lambda: jax.random.key(0))
    made, shapes = jax.eval_shape(variables, key, x, context)
    params = [batch, *model.site_shape, model.head.num_params]
    if isinstance(model, Autoregressive):
        _check_shape(model, "__call__", made, "[batch, *site_shape, num_params]", params)
    elif type(model).__call__ is Generative.__call__:
        _check_shape(model, "training_loss", made[0], "[batch]", [batch])
        _check_shape(model, "draw", made[1], "[num, *site_shape, num_params]", params)
    return shapes


def _check_shape(model, method, made, axes, wanted):
    """Raises ValueError unless a method returned an array of the shape `wanted`, named `axes`."""
    got = list(made.shape) if hasattr(made, "shape") else f"a {type(made).__name__}"
    if got != wanted:
        raise ValueError(f"{kind(model)}.{method} returned {got}; expected {wanted} = {axes}.")


@functools.lru_cache(maxsize=256)
def _misfit(model, context, tree, forms):
    leaves = [jax.ShapeDtypeStruct(shape, _sort_of(dtype)) for shape, dtype in forms]
    got = _named(jax.tree.unflatten(tree, leaves))
    wanted = _named(_variable_shapes(model, context))
    if got and set(wanted) == {f"params/{name}" for name in got}:
        return "they lack the outermost level; pass all that zoo.init returns, {'params': ...}"
    return misfit(wanted, got)


def _named(tree):
    """The leaves of a tree, by the names on the way to each."""
    return {"/".join(map(_name, path)): leaf for path, leaf in jax.tree.leaves_with_path(tree)}


def halved(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Float32 arrays as float16, in half the bytes; others as they are.

    Raises:
      ValueError: a number is beyond the range of float16.

    Example:
      >>> halved({"bias": np.ones(2, np.float32)})["bias"].dtype.name
      'float16'
    """
    largest = float(np.finfo(np.float16).max)
    for name, array in arrays.items():
        if array.dtype == np.float32 and not np.abs(array).max(initial=0) <= largest:
            raise ValueError(f"array {name!r} has weights beyond {largest:g}: do not round it.")
    return {
        name: array.astype(np.float16) if array.dtype == np.float32 else array
        for name, array in arrays.items()
    }


def restored(array: np.ndarray) -> np.ndarray:
    """An array of `halved` as float32.

    Example:
      >>> restored(np.ones(2, np.float16)).dtype.name
      'float32'
    """
    return array.astype(np.float32) if array.dtype == np.float16 else array
