"""Counts the multiplications and additions of a function from its jaxpr."""

import math
from collections.abc import Callable
from typing import Any

import jax


def flops(function: Callable, *args: Any) -> int:
    """Floating-point operations of the matmuls and convolutions in `function(*args)`.

    A multiplication with its addition counts 2. What a mask sets to zero is counted like the rest.
    Nothing is computed, so arguments may be shapes (`jax.ShapeDtypeStruct`).

    Raises:
      ValueError: the function has a while loop, whose number of iterations is unknown.

    Example:
      >>> import jax.numpy as jnp
      >>> flops(jnp.matmul, jnp.ones((3, 4)), jnp.ones((4, 5)))
      120
    """
    return _count(jax.make_jaxpr(function)(*args).jaxpr)


def _count(jaxpr):
    return sum(_of_equation(equation) for equation in jaxpr.eqns)


def _of_equation(equation):
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        depth = math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
        return 2 * equation.outvars[0].aval.size * depth
    if name == "conv_general_dilated":
        kernel = equation.invars[1].aval
        return (
            2
            * equation.outvars[0].aval.size
            * kernel.size
            // kernel.shape[params["dimension_numbers"].rhs_spec[0]]
        )
    leaves = jax.tree.leaves(params, is_leaf=_is_jaxpr)
    inner = [_count(getattr(leaf, "jaxpr", leaf)) for leaf in leaves if _is_jaxpr(leaf)]
    if name == "while" and any(inner):
        raise ValueError(
            "the operations of a while loop cannot be counted: its number of iterations is unknown."
        )
    if name == "cond":
        return max(inner)
    return sum(inner) * (params["length"] if name == "scan" else 1)


def _is_jaxpr(value):
    return hasattr(value, "eqns") or hasattr(value, "jaxpr")
