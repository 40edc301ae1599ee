"""The codes of bools, comparisons and choices: masks that depend on what is drawn.

Such a mask, of padding for example, is false wherever a constant mask that it is joined with is
false. What a choice leaves out there is no dependence.
"""

from __future__ import annotations

import functools

import numpy as np

from zoo.derived.network.codes import TRUE, ZERO, compressed, most, ordinary, rule


@rule("and")
def _(params, ins, outs, fn):
    a, b = ins[0].code, ins[1].code
    both = np.where((a == TRUE) & (b == TRUE), TRUE, ordinary(a, b))
    return np.where((a == ZERO) | (b == ZERO), ZERO, both)


@rule("or")
def _(params, ins, outs, fn):
    a, b = ins[0].code, ins[1].code
    return np.where((a == TRUE) | (b == TRUE), TRUE, most(a, b))


@rule("not")
def _(params, ins, outs, fn):
    code = ins[0].code
    if not ins[0].is_bool:
        return ordinary(code)
    return np.where(code == ZERO, TRUE, np.where(code == TRUE, ZERO, code))


@rule("xor", "ne", "lt", "gt")
def _(params, ins, outs, fn):
    """False of two zeros."""
    a, b = ins[0].code, ins[1].code
    return np.where((a == ZERO) & (b == ZERO), ZERO, ordinary(a, b))


@rule("eq", "le", "ge")
def _(params, ins, outs, fn):
    """True of two zeros."""
    a, b = ins[0].code, ins[1].code
    return np.where((a == ZERO) & (b == ZERO), TRUE, ordinary(a, b))


@rule("select_n")
def _(params, ins, outs, fn):
    which, *cases = ins
    codes = [each.code for each in cases]
    if which.value is None:
        same = functools.reduce(np.logical_and, [each == codes[0] for each in codes]) & (
            codes[0] < 0
        )
        either = np.where(same, codes[0], ordinary(which.code, *codes))
        either = np.where(which.code == ZERO, codes[0], either)
        return np.where(which.code == TRUE, codes[-1], either)
    if which.is_bool:
        return np.where(which.code == TRUE, *codes[::-1])
    index = compressed(np.asarray(which.value).astype(np.int32))
    return functools.reduce(
        lambda result, each: np.where(index == each[0], each[1], result), enumerate(codes), codes[0]
    )
