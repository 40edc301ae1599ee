"""Fields and arguments are converted to their annotations, or refused in one line.

One table of conversions serves the fields of models, heads and orderings (`convert_fields`) and
the arguments of public functions (`checked`).
"""

import dataclasses
import functools
import inspect
import reprlib
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, get_args, get_origin

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from zoo.foundation.conversions import Unfit, convert

Function = TypeVar("Function", bound=Callable)


def shown(value: Any) -> str:
    """A value as an error message shows it: short, in one line, with its type where that is not
    plain.

    Example:
      >>> shown(np.zeros((2, 3))), shown(None), shown(3)
      ('an array of float64 of shape [2, 3]', 'None', '3 (int)')
    """
    if hasattr(value, "dtype") and np.ndim(value):
        return f"an array of {value.dtype} of shape {list(np.shape(value))}"
    if value is None or isinstance(value, str | bool):
        return reprlib.repr(value)
    if isinstance(value, Mapping) or dataclasses.is_dataclass(value):
        return value.__name__ if inspect.isclass(value) else f"a {type(value).__name__}"
    return f"{' '.join(reprlib.repr(value).split())} ({type(value).__name__})"


def convert_fields(owner: Any) -> None:
    """Brings every field of a model, head or another frozen dataclass to its annotation; called by
    its
    `__post_init__`.

    Raises:
      ValueError: a value that cannot be; in one line.
    """
    cls: Any = type(owner)
    for name, kind in _kinds(cls):
        value = getattr(owner, name)
        converted = _argument(cls.__name__, name, kind, value)
        if converted is not value:
            object.__setattr__(owner, name, converted)


@functools.cache
def _kinds(cls: Any) -> tuple[tuple[str, Any], ...]:
    """The fields that a user gives, with their annotations."""
    kinds = []
    for field in dataclasses.fields(cls):
        if (
            field.name not in ("parent", "name") or "parent" not in cls.__dataclass_fields__
        ):  # linen's own
            kinds.append((field.name, field.type))
    return tuple(kinds)


def _argument(owner, name, kind, value, least=None):
    try:
        value = convert(kind, value)
    except Unfit as unfit:
        if get_origin(kind) is Literal and isinstance(value, str):
            there = ", ".join(map(str, get_args(kind)))
            raise ValueError(
                f"{owner}: unknown {name} {value!r}; there are {there}.{unfit.advice}"
            ) from None
        raise ValueError(
            f"{owner}: {name} must be {unfit.wanted}; got {shown(value)}.{unfit.advice}"
        ) from None
    if least is not None and value is not None and not value >= least:
        what = "a whole number" if isinstance(value, int) else "a number"
        raise ValueError(f"{owner}: {name} must be {what} of at least {least}; got {value}.")
    if least is not None and value is not None and value >= 2**31:
        raise ValueError(f"{owner}: {name} must be less than 2,147,483,648; got {value}.")
    return value


def checked(**least: int) -> Callable[[Function], Function]:
    """A decorator for public functions: arguments are brought to their annotations, `key` to a key
    of `jax.random.key`.

    Args:
      **least: the least value of a numeric argument, by its name.

    Example:
      >>> import zoo
      >>> @checked(num=1)
      ... def repeat(text: str, num: int) -> str:
      ...     return text * num
      >>> repeat("ab", np.int64(2))
      'abab'
    """

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function)
        parameters, fitting = signature.parameters, set()
        owner = f"{function.__module__.partition('.')[0]}.{function.__qualname__}"

        def converted(name, value):
            parameter = parameters.get(name)
            # A default needs no conversion, and what ** takes has no annotation of its own.
            if parameter is None or value is parameter.default:
                return value
            if name == "key" and (value is not None or parameter.default is not None):
                return one_key(value)
            return _argument(owner, name, parameter.annotation, value, least.get(name))

        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            form = (len(args), *kwargs)
            if form not in fitting:  # binding takes longer than all that follows
                try:
                    signature.bind(*args, **kwargs)
                except TypeError as error:
                    raise TypeError(
                        f"{owner}: {error}; it takes {', '.join(parameters)}."
                    ) from None
                fitting.add(form)
            given = [converted(*pair) for pair in zip(parameters, args, strict=False)]
            named = {name: converted(name, value) for name, value in kwargs.items()}
            return function(*given, **named)

        wrapper.__signature__ = signature  # type: ignore[attr-defined]
        del wrapper.__wrapped__  # there is no way past the checks
        return wrapper  # type: ignore[return-value]

    return decorate


def one_key(key: Any) -> Array:
    """The key as one of `jax.random.key`, also if it is an old one of `jax.random.PRNGKey`.

    Raises:
      ValueError: it is no key, or several.

    Example:
      >>> bool(one_key(jax.random.PRNGKey(0)) == jax.random.key(0))
      True
    """
    if isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        if key.ndim == 0:
            return key
    elif getattr(key, "dtype", None) == np.uint32 and np.shape(key) == (2,):
        return jax.random.wrap_key_data(jnp.asarray(key))
    whole = isinstance(key, int | np.integer) and not isinstance(key, bool)
    advice = f" Pass jax.random.key({key})." if whole else ""
    raise ValueError(f"key must be one jax.random.key(seed); got {shown(key)}.{advice}")


def array(value: Any, name: str) -> np.ndarray:
    """Numbers as an array of numpy, also of nested lists.

    Raises:
      ValueError: they form none.

    Example:
      >>> array([[1, 2], [3, 4]], "x").shape
      (2, 2)
    """
    try:
        found = np.asarray(value)
    except Exception:  # lists of different lengths, or a value that is traced
        found = np.empty(0, object)
    if found.dtype.kind not in "biuf" and not jnp.issubdtype(found.dtype, jnp.floating):
        raise ValueError(f"{name} must be an array of numbers; got {shown(value)}.")
    return found


def strings(value: Any, name: str) -> list[str]:
    """Strings as a list, also from a tuple or an array.

    Raises:
      ValueError: they are none, or one alone.

    Example:
      >>> strings(("a", "b"), "prompt")
      ['a', 'b']
    """
    found = (
        list(value) if isinstance(value, list | tuple) or getattr(value, "ndim", 0) == 1 else None
    )
    if found is None or not all(isinstance(item, str) for item in found):
        odd = value if found is None else next(item for item in found if not isinstance(item, str))
        advice = f" Pass [{value!r}]." if isinstance(value, str) else ""
        raise ValueError(f"{name} must be a list of strings; got {shown(odd)}.{advice}")
    return list(map(str, found))
