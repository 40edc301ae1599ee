"""Values that are known before anything runs: masks, positions, orderings. In numpy, for to compile
each takes longer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

LARGEST = 1 << 24  # entries; larger constants stay unknown

_ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "max": np.maximum, "min": np.minimum,
    "neg": np.negative, "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal,
    "gt": np.greater, "ge": np.greater_equal, "abs": np.abs, "copy": np.asarray,
    "stop_gradient": np.asarray, "copy_p": np.asarray,
}  # fmt: skip


def evaluate(
    name: str, params: dict[str, Any], fn: Callable[..., list], values: Sequence[Any]
) -> list:
    """The outputs of an operation on known values; [None] if that would take too much memory."""
    if name in ("broadcast_in_dim", "iota") and np.prod(params["shape"], dtype=float) > LARGEST:
        return [None]
    if name == "iota":
        shape, dimension = params["shape"], params["dimension"]
        steps = np.arange(shape[dimension]).reshape(
            [-1 if d == dimension else 1 for d in range(len(shape))]
        )
        return [np.broadcast_to(steps, shape).astype(params["dtype"])]
    if name.startswith("random_"):  # a random key is no number
        return [None]
    done = _by_numpy(name, params, [np.asarray(each) for each in values]) if values else None
    if done is not None:
        return [done]
    with jax.ensure_compile_time_eval():
        return [np.asarray(each) for each in fn(*values)]


def _by_numpy(name, params, values):
    x = values[0]
    if name in _ELEMENTWISE and len({each.dtype for each in values}) == 1:
        return _ELEMENTWISE[name](*values)
    if name in ("and", "or", "not", "xor") and x.dtype == bool:
        return {
            "and": np.logical_and,
            "or": np.logical_or,
            "not": np.logical_not,
            "xor": np.logical_xor,
        }[name](*values)
    if name == "convert_element_type" and not (
        x.dtype.kind == "f" and np.dtype(params["new_dtype"]).kind in "iu"
    ):
        return x.astype(params["new_dtype"])
    if name == "broadcast_in_dim":
        shape = [1] * len(params["shape"])
        for d, n in zip(params["broadcast_dimensions"], x.shape, strict=True):
            shape[d] = n
        return np.broadcast_to(x.reshape(shape), params["shape"])
    if name == "reshape" and params.get("dimensions") is None:
        return x.reshape(params["new_sizes"])
    if name == "transpose":
        return x.transpose(params["permutation"])
    if name == "squeeze":
        return x.squeeze(tuple(params["dimensions"]))
    if name == "slice":
        strides = params["strides"] or (1,) * x.ndim
        parts = zip(params["start_indices"], params["limit_indices"], strides, strict=True)
        return x[tuple(slice(a, b, c) for a, b, c in parts)]
    if name == "concatenate":
        return np.concatenate(values, params["dimension"])
    if name == "select_n" and x.dtype == bool and len(values) == 3:
        return np.where(x, values[2], values[1])
    return None
