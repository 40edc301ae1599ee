"""What each operation makes of the codes of its inputs; the codes are explained in
`zoo.derived.network.finality`.

Products, gathers and updates are in `zoo.derived.network.product_codes`, masks and choices in
`zoo.derived.network.logic_codes`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from zoo.derived.network.windows import groups

ZERO, LOW, TRUE = -1, -2, -3
_SCALE = 1e3  # by which scores may be divided once they are masked
_LOW = -1e8  # a score of -1e9 is masked: its exponential is exactly 0 beside any of ordinary size


class Coded(NamedTuple):
    """An input: its code, the shape of the array, its value if known, whether it is of bools."""

    code: np.ndarray
    shape: tuple[int, ...]
    value: np.ndarray | None
    is_bool: bool = False


RULES: dict[str, Callable[..., Any]] = {}


def rule(*names):
    """Registers what (params, inputs, outputs, fn) gives: the code of the one output, or a list of
    codes."""

    def register(function):
        RULES.update(dict.fromkeys(names, function))
        return function

    return register


def of(
    name: str, params: dict, ins: Sequence[Coded], outs: Sequence[Any], fn: Callable
) -> list[np.ndarray]:
    """The codes of all outputs. An operation without a rule needs all of its inputs for every
    entry."""
    if name not in LOGICAL:
        ins = [each._replace(code=_plain(each.code)) if each.is_bool else each for each in ins]
    found = RULES[name](params, ins, outs, fn) if name in RULES else None
    if found is None:
        most = max((int(each.code.max(initial=ZERO)) for each in ins), default=0)
        found = [np.full((1,) * len(out.shape), max(most, 0), np.int32) for out in outs]
    return [compressed(each) for each in (found if isinstance(found, list) else [found])]


def of_value(value: Any) -> np.ndarray:
    """The code of a known value."""
    value = np.asarray(value)
    if value.dtype.kind not in "fbiuV" or value.size == 0:
        return np.zeros((1,) * value.ndim, np.int32)
    if value.dtype.kind == "V":
        value = value.astype(np.float32)
    # An axis along which it is repeated, not stored, has one place.
    value = value[tuple(slice(None if stride else 1) for stride in value.strides)]
    nonzero = np.int32(TRUE if value.dtype == bool else 0)
    code = np.where(value if value.dtype == bool else value != 0, nonzero, np.int32(ZERO))
    if value.dtype.kind == "f" and value.min() < _LOW:
        code[value < _LOW] = LOW
    return compressed(code)


def compressed(code: np.ndarray) -> np.ndarray:
    """The code with length 1 along every axis on which all places are alike."""
    code = code.astype(np.int32, copy=False)
    for d in range(code.ndim):
        if code.shape[d] < 2:
            continue
        first, second = (code[(*[slice(None)] * d, slice(k, k + 1))] for k in (0, 1))
        if (first == second).all() and (code == first).all():
            code = first
    return code


def along(x: Coded, axes: Sequence[Any]) -> np.ndarray:
    """The code with the given axes at full length."""
    shape = [
        n if d in axes else m for d, (n, m) in enumerate(zip(x.shape, x.code.shape, strict=True))
    ]
    return np.broadcast_to(x.code, shape)


def most(*each: Any) -> np.ndarray:
    """The greatest code of all; zeros and lows give way."""
    return functools.reduce(np.maximum, each)


def ordinary(*each: Any) -> np.ndarray:
    """An ordinary number made of all."""
    # Each is compressed first: what differs in zeros only would span a large array together.
    return most(*(compressed(np.asarray(np.maximum(code, 0))) for code in each))


def _plain(code):
    """The code of bools as that of numbers: what is true is a number like any other."""
    return np.where(code == TRUE, 0, code)


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_KEEP_ZERO = _names(
    """neg sin tan tanh sinh asin atan asinh sqrt cbrt abs sign floor ceil round expm1 log1p erf
    erf_inv square real imag
    convert_element_type copy copy_p stop_gradient reduce_precision"""
)
_ORDINARY = _names(
    """exp2 log cos cosh acos acosh atanh rsqrt digamma lgamma pow nextafter atan2 rem eq ne lt le
    gt ge is_finite clamp population_count shift_left shift_right_logical
    shift_right_arithmetic igamma igammac erfc complex
    conj clz polygamma zeta bessel_i0e bessel_i1e
    regularized_incomplete_beta"""
)
_OWN = _names("add add_any sub mul max min and or not xor div exp logistic integer_pow select_n")
ELEMENTWISE = (*_KEEP_ZERO, *_ORDINARY, *_OWN)
# Rules that know of bools which are true whatever is drawn.
LOGICAL = _names(
    """and or not select_n broadcast_in_dim transpose squeeze reshape rev slice split pad concatenate
    copy copy_p stop_gradient"""
)


@rule(*_KEEP_ZERO)
def _(params, ins, outs, fn):
    code = ins[0].code
    # What was low stays low only where the value itself does.
    return np.where(code == LOW, LOW if params.get("new_dtype") is not None else 0, code)


@rule(*_ORDINARY)
def _(params, ins, outs, fn):
    return ordinary(*(each.code for each in ins))


@rule("copy", "stop_gradient", "reduce_precision", "copy_p")
def _(params, ins, outs, fn):
    return ins[0].code


@rule("add", "add_any")
def _(params, ins, outs, fn):
    a, b = ins[0].code, ins[1].code
    return np.where((a == LOW) | (b == LOW), LOW, most(a, b))


@rule("sub")
def _(params, ins, outs, fn):
    a, b, known = ins[0].code, ins[1].code, ins[1].value
    low = (a == LOW) & (b != LOW)
    if known is not None and known.dtype.kind == "f":
        low = low | compressed(np.asarray(known > -_LOW))
    zero = (a == ZERO) & (b == ZERO)
    return np.where(low, LOW, np.where(zero, ZERO, ordinary(a, b)))


@rule("mul")
def _(params, ins, outs, fn):
    a, b = ins[0].code, ins[1].code
    product = np.where((a == ZERO) | (b == ZERO), ZERO, ordinary(a, b))
    for x, y in (ins, ins[::-1]):
        if (x.code == LOW).any():
            product = np.where((x.code == LOW) & _is_scale(y.value), LOW, product)
    return product


def _is_scale(value, least=1 / _SCALE, most=np.inf):
    """Where a value is known and so moderate that a masked score times it is a masked score."""
    if value is None or value.dtype.kind not in "fV":
        return False
    number = value.astype(np.float32)
    return compressed(np.asarray((number >= least) & (number <= most))) > 0


@rule("max")
def _(params, ins, outs, fn):
    return most(ins[0].code, ins[1].code)


@rule("min")
def _(params, ins, outs, fn):
    a, b = ins[0].code, ins[1].code
    zero = (a == ZERO) & (b == ZERO)
    return np.where((a == LOW) | (b == LOW), LOW, np.where(zero, ZERO, ordinary(a, b)))


@rule("div")
def _(params, ins, outs, fn):
    a, b = ins[0].code, ins[1].code
    quotient = np.where(a == ZERO, ZERO, ordinary(a, b))
    return np.where((a == LOW) & _is_scale(ins[1].value, 1e-30, _SCALE), LOW, quotient)


@rule("exp", "logistic")
def _(params, ins, outs, fn):
    code = ins[0].code
    return np.where(code == LOW, ZERO, np.maximum(code, 0))


@rule("integer_pow")
def _(params, ins, outs, fn):
    code = ins[0].code
    return np.where((code == ZERO) & (params["y"] > 0), ZERO, np.maximum(code, 0))


@rule("broadcast_in_dim")
def _(params, ins, outs, fn):
    shape = [1] * len(params["shape"])
    for d, n in zip(params["broadcast_dimensions"], ins[0].code.shape, strict=True):
        shape[d] = n
    return ins[0].code.reshape(shape)


@rule("transpose")
def _(params, ins, outs, fn):
    return ins[0].code.transpose(params["permutation"])


@rule("squeeze")
def _(params, ins, outs, fn):
    return ins[0].code.squeeze(tuple(d % len(ins[0].shape) for d in params["dimensions"]))


@rule("reshape")
def _(params, ins, outs, fn):
    if params.get("dimensions") is not None:
        return None
    code, before, after = ins[0].code, ins[0].shape, outs[0].shape
    shared = groups(before, after)
    varied = [d for left, _ in shared if any(code.shape[i] > 1 for i in left) for d in left]
    shape = []
    for left, right in shared:
        shape += [after[d] for d in right] if left and left[0] in varied else [1] * len(right)
    return along(ins[0], varied).reshape(shape)


@rule("rev")
def _(params, ins, outs, fn):
    return np.flip(ins[0].code, params["dimensions"])


@rule("slice")
def _(params, ins, outs, fn):
    strides = params["strides"] or (1,) * len(ins[0].shape)
    parts = zip(
        ins[0].code.shape, params["start_indices"], params["limit_indices"], strides, strict=True
    )
    return ins[0].code[tuple(slice(None) if n == 1 else slice(a, b, c) for n, a, b, c in parts)]


@rule("split")
def _(params, ins, outs, fn):
    d, code = params["axis"], ins[0].code
    ends = np.cumsum(params["sizes"])[:-1]
    return [code] * len(outs) if code.shape[d] == 1 else list(np.split(code, ends, d))


@rule("pad")
def _(params, ins, outs, fn):
    x, config = ins[0], params["padding_config"]
    axes = [d for d, each in enumerate(config) if any(each)]
    code, filling = along(x, axes), ins[1].code.reshape(())
    shape = [outs[0].shape[d] if d in axes else n for d, n in enumerate(code.shape)]
    result = np.full(shape, filling, np.int32)
    take, put = [slice(None)] * code.ndim, [slice(None)] * code.ndim
    for d in axes:
        low, _, inner = config[d]
        places = np.arange(x.shape[d]) * (inner + 1) + low
        inside = np.flatnonzero((places >= 0) & (places < shape[d]))
        if not len(inside):
            return result
        take[d] = slice(inside[0], inside[-1] + 1)
        put[d] = slice(places[inside[0]], places[inside[-1]] + 1, inner + 1)
    result[tuple(put)] = code[tuple(take)]
    return result


@rule("concatenate")
def _(params, ins, outs, fn):
    d = params["dimension"]
    parts = [along(each, [d]) for each in ins]
    shape = np.broadcast_shapes(*((*p.shape[:d], 1, *p.shape[d + 1 :]) for p in parts))
    return np.concatenate(
        [np.broadcast_to(p, (*shape[:d], p.shape[d], *shape[d + 1 :])) for p in parts], d
    )
