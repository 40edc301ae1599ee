"""The policy for precision: likelihoods and samples are computed in float32, in full, on every
device and in every mode.
"""

import functools
import importlib
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

# Releases before 0.8 have it elsewhere.
_x64 = jax if hasattr(jax, "enable_x64") else importlib.import_module("jax.experimental")
enable_x64 = _x64.enable_x64
_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def full_float32(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Every matmul and convolution that `function` traces is computed in full float32.

    By default a GPU may round their operands to 10 bits (TF32) and a TPU to 7 (bfloat16). Then two
    engines draw different values for the same key, and a likelihood is off in its first decimals.
    The precision is part of what is traced, so a jitted function has it whatever precision its
    caller has set.

    Example:
      >>> matmul = full_float32(lambda a: a @ a)
      >>> "HIGHEST" in str(jax.make_jaxpr(matmul)(jnp.ones((2, 2))))
      True
    """

    @functools.wraps(function)
    def precise(*arguments: _Arguments.args, **options: _Arguments.kwargs) -> _Result:
        with jax.default_matmul_precision("highest"):
            return function(*arguments, **options)

    return precise


def without_x64(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """`function` runs as if `jax_enable_x64` were off, so the values and the noise of a key are the
    same in both modes.

    It goes around jitted functions, since the mode is part of what they are compiled for. Inside a
    caller's trace it holds for what is traced meanwhile. Arrays of 64 bits that the caller already
    has are made `narrowed` once they are checked.

    Example:
      >>> without_x64(lambda: jnp.zeros(2).dtype)()
      dtype('float32')
    """

    @functools.wraps(function)
    def narrow(*arguments: _Arguments.args, **options: _Arguments.kwargs) -> _Result:
        with enable_x64(False):
            return function(*arguments, **options)

    return narrow


def narrowed(tree: PyTree) -> PyTree:
    """The arrays of a tree, those of 64 bits with 32 where `jax_enable_x64` is off.

    Example:
      >>> import numpy as np
      >>> narrowed(np.zeros(2, np.float32)).dtype
      dtype('float32')
    """

    def one(leaf):
        dtype = jax.dtypes.canonicalize_dtype(leaf.dtype)
        return leaf if leaf.dtype == dtype else leaf.astype(dtype)

    return jax.tree.map(one, jax.tree.map(jnp.asarray, tree))


def narrowed_on_host(tree: PyTree) -> PyTree:
    """`narrowed`, as numpy arrays: jax would compile a program for each shape of them.

    Example:
      >>> import numpy as np
      >>> narrowed_on_host(np.arange(3)).dtype
      dtype('int32')
    """

    def one(leaf):
        leaf = np.asarray(leaf)
        return leaf.astype(jax.dtypes.canonicalize_dtype(leaf.dtype), copy=False)

    return jax.tree.map(one, tree)
