"""How large a model may be: known from its fields and its shapes, before any memory is taken."""

import dataclasses
import functools
import math
import os
from pathlib import Path
from typing import Any

import jax
from jaxtyping import PyTree

MOST = 2**24  # of any size: units, classes, sites, pixels
MOST_OF = {"num_masks": 2**12, "num_orderings": 2**12, "kernel_size": 2**8, "seed": 2**32 - 1}
DEEPEST = 2**8  # layers one after the other: each is compiled
DEPTHS, WIDTHS = (
    ("layers", "blocks", "scales", "cycles"),
    ("hidden", "channels", "dilations"),
)  # numbers; a size a layer


def check_limits(owner: Any) -> None:
    """Raises ValueError, in one line, if a field of a model or head is a size that no model has;
    nothing is computed.

    Example:
      >>> import zoo
      >>> check_limits(zoo.MADE(hidden=(500,)))
    """
    fields = _fields(owner)
    for name, value in fields.items():
        sizes = value if _is_sizes(value) else (value,)
        if name.endswith("_shape") and _is_sizes(value):
            sizes = (*sizes, math.prod(value))
        most = MOST_OF.get(name, MOST)
        if any(isinstance(size, int) and size > most for size in sizes):
            raise ValueError(_too_large(owner, name, value, f"the limit is {most:,}"))
    if (layers := math.prod(_depth(*field) for field in fields.items())) > DEEPEST:
        name = max(fields, key=lambda name: _depth(name, fields[name]))
        raise ValueError(
            _too_large(
                owner, name, fields[name], f"it makes {layers:,} layers, the limit is {DEEPEST}"
            )
        )


def least_arrays(model: Any) -> int:
    """How many arrays a model has at the least, by its depth: a layer has one.

    Example:
      >>> import zoo
      >>> least_arrays(zoo.LSTM(layers=3))
      3
    """
    within = getattr(model, "model", None)
    return max(
        1 if within is None else least_arrays(within),
        *(_depth(*field) for field in _fields(model).items()),
    )


def _fields(owner):
    return {
        field.name: getattr(owner, field.name)
        for field in dataclasses.fields(owner)
        if field.name != "parent"
    }


def _is_sizes(value):
    return isinstance(value, tuple) and bool(value) and isinstance(value[0], int)


def _depth(name, value):
    """How many layers a field asks for; 1 if it is about something else."""
    if name in WIDTHS and isinstance(value, tuple):
        return max(1, len(value))
    return max(1, value) if name in DEPTHS else 1


def _too_large(owner, name, value, limit):
    text = str(value) if len(str(value)) < 60 else f"{str(value)[:60]}..."
    flag = "head" if hasattr(owner, "num_params") else name.replace("_", "-")
    return f"{type(owner).__name__}: {name}={text} is too large (--model.{flag}); {limit}."


def check_memory(model: Any, arrays: PyTree, what: str) -> None:
    """Raises ValueError if arrays (or their shapes) are larger than the memory of this machine, or
    of its device.

    Args:
      model: whose they are; its largest field is named.
      arrays: anything with a size and a dtype.
      what: what they are, in words.
    """
    needed, there = (
        sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(arrays)),
        memory(),
    )
    if needed <= there:
        return
    name, value = max(_sizes(model), key=lambda size: _extent(*size))
    raise ValueError(
        f"{type(getattr(model, 'model', model)).__name__}: {what} would take "
        f"{needed / 2**30:,.1f} GiB, and the limit is "
        f"the memory of this machine, {there / 2**30:,.1f} GiB: choose a smaller model; its "
        "largest size is "
        f"{name}={value} (--model.{name.split('.')[0].replace('_', '-')}"
        f"{', of your own images --data.size and --data.levels' if name == 'site_shape' else ''})."
    )


def _extent(name, value):
    """The number that a size stands for: how many sites, or the widest layer."""
    if not isinstance(value, tuple):
        return value
    return math.prod(value) if name.endswith("_shape") else max(value)


def _sizes(owner, prefix=""):
    """The fields of a model, and of the model and head in it, that are sizes."""
    for field in dataclasses.fields(owner):
        value = getattr(owner, field.name)
        if field.name in ("parent", "seed", "rate", "permutation"):
            continue
        if (isinstance(value, int) and not isinstance(value, bool)) or _is_sizes(value):
            yield f"{prefix}{field.name}", value
        elif dataclasses.is_dataclass(value):
            yield from _sizes(value, "" if field.name == "model" else f"{prefix}{field.name}.")


def memory() -> int:
    """The bytes that there are for arrays: of the device where it says so, otherwise of the machine
    or its container.

    Example:
      >>> memory() > 2**20
      True
    """
    stats = getattr(jax.local_devices()[0], "memory_stats", lambda: None)() or {}
    if "bytes_limit" in stats:
        return int(stats["bytes_limit"])
    return _machine_memory()


@functools.cache
def _machine_memory():
    found = [2**40]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            found.append(int(Path(path).read_text()))
        except (OSError, ValueError):  # no such limit, or "max"
            continue
    return min(found)
