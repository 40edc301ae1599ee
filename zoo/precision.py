"""The policy for precision: likelihoods and samples are computed in full float32 on every device."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def full_float32(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Every matmul and convolution that `function` traces is computed in full float32.

    By default a GPU may round their operands to 10 bits (TF32) and a TPU to 7 (bfloat16). Then two engines draw different
    values for the same key, and a likelihood is off in its first decimals. The precision is part of what is traced, so a
    jitted function has it whatever precision its caller has set.
    """

    @functools.wraps(function)
    def precise(*arguments: _Arguments.args, **options: _Arguments.kwargs) -> _Result:
        with jax.default_matmul_precision("highest"):
            return function(*arguments, **options)

    return precise
