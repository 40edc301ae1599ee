"""Values brought to what an annotation asks for: numbers, choices, tuples, instances.

Numbers of numpy and JAX become Python's and lists become tuples, so that equal models are equal
and hashable. What cannot be converted is `Unfit`, with the words for an error message.
"""

import difflib
import inspect
import operator
import os
import types
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import jax
import numpy as np

OURS = {"zoo", "sample", "train"}  # whose classes an annotation may ask for
EXAMPLES = {
    "Head": "Pass one such as zoo.Bernoulli() or zoo.Categorical(256).",
    "Ordering": 'Pass one such as zoo.Ordering("raster").',
    "Autoregressive": "Pass a model such as zoo.MADE(), or the first of what zoo.load returns.",
    "Generative": "Pass a model such as zoo.MADE(), or the first of what zoo.load returns.",
    "Data": 'Pass one such as Data("mnist_1bit").',
}
MODELS = ("Autoregressive", "Generative")
WORDS = dict.fromkeys(MODELS, "a model") | {"Head": "a head", "Ordering": "an Ordering"}


class Unfit(ValueError):
    """A value that an annotation does not allow: what was wanted, and what to do."""

    def __init__(self, wanted: str, advice: str = ""):
        super().__init__(wanted)
        self.wanted, self.advice = wanted, f" {advice}" if advice else ""


def convert(kind: Any, value: Any) -> Any:
    """`value` as the annotation `kind` wants it; unchanged where the annotation says nothing that
    is checked here.

    Raises:
      Unfit: it cannot be.

    Example:
      >>> convert(tuple[int, ...], [np.int64(3), 4])
      (3, 4)
      >>> convert(float | None, None)
    """
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return convert(args[0], value)
    if origin in (Union, types.UnionType):
        return _one_of(args, value)
    if origin is Literal:
        return _choice(args, value)
    if origin is tuple and args[1:] == (Ellipsis,):
        return _tuple(args[0], value)
    if kind in _SCALARS:
        return _SCALARS[kind](value)
    if inspect.isclass(kind) and (kind is os.PathLike or kind.__module__.partition(".")[0] in OURS):
        return _instance(kind, value)
    return value


def _one_of(kinds, value):
    if value is None and type(None) in kinds:
        return None
    refused: list[Unfit] = []
    for kind in kinds:
        if kind is not type(None):
            try:
                return convert(kind, value)
            except Unfit as unfit:
                refused.append(unfit)
    wanted = [unfit.wanted for unfit in refused] + ["None"] * (type(None) in kinds)
    raise Unfit(" or ".join(wanted), refused[0].advice.strip())


def _choice(choices, value):
    if any(
        value is choice or (type(value) is type(choice) and value == choice) for choice in choices
    ):
        return value
    near = difflib.get_close_matches(str(value), list(map(str, choices)), n=1)
    raise Unfit(" or ".join(map(str, choices)), f"Did you mean {near[0]!r}?" if near else "")


def _tuple(kind, value):
    if type(value) is tuple and set(map(type, value)) <= {
        kind
    }:  # quick, however long a vocabulary is
        return value
    wanted = f"a tuple of {_PLURALS.get(kind, 'values')}"
    listed = getattr(value, "ndim", 0) == 1 or (
        isinstance(value, Sequence) and not isinstance(value, str | bytes)
    )
    if not listed:
        try:
            advice = f"Pass ({convert(kind, value)!r},)."
        except Unfit:
            advice = ""
        raise Unfit(wanted, advice)
    try:
        return tuple(convert(kind, item) for item in value)
    except Unfit as unfit:
        raise Unfit(wanted) from unfit


def _whole(value):
    if isinstance(value, bool | np.bool_):
        raise Unfit("a whole number")
    try:
        return operator.index(value)
    except Exception:  # of a traced value it is no TypeError
        advice = f"Pass {int(value)}." if isinstance(value, float) and value.is_integer() else ""
        raise Unfit("a whole number", advice) from None


def _number(value):
    real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if real or (
        isinstance(value, np.ndarray | jax.Array)
        and value.ndim == 0
        and getattr(value.dtype, "kind", "O") in "iuf"
    ):
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError):  # traced (a TypeError), or too large
            pass
    raise Unfit("a number")


def _truth(value):
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise Unfit("True or False")


def _text(value):
    if isinstance(value, str):
        return str(value)
    if isinstance(value, os.PathLike):
        return str(os.fspath(value))
    raise Unfit("a string")


def _instance(kind, value):
    if isinstance(value, kind) and not inspect.isclass(value):
        return value
    name, advice = kind.__name__, EXAMPLES.get(kind.__name__, "")
    if inspect.isclass(value):
        advice = f"Pass an instance, {value.__name__}(...), not the class."
    elif name == "Ordering" and isinstance(value, str):
        advice = f'Pass zoo.Ordering("{value}").'
    elif name in MODELS and isinstance(value, tuple | list) and len(value) == 2:
        advice = "Pass the two parts of the pair one by one: model, variables."
    elif name == "Autoregressive" and "Generative" in (c.__name__ for c in type(value).__mro__):
        advice = "It draws whole examples from noise, by sample.draw, and has no conditionals."
        raise Unfit("an autoregressive model", advice)
    wanted = "a path" if kind is os.PathLike else WORDS.get(name, f"a {name}")
    raise Unfit(wanted, advice)


_SCALARS = {int: _whole, float: _number, bool: _truth, str: _text}
_PLURALS = {int: "whole numbers", float: "numbers", str: "strings"}
