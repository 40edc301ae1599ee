"""Loading by name: the kinds that there are, with their loaders. `train.kinds` adds its own when it
is imported.
"""

import dataclasses
import difflib
import os
from pathlib import Path
from typing import Any

from train.data.dataset import Data, DataError, Dataset
from train.data.mutations import mutate
from train.data.subsets import few, of_classes
from zoo.foundation.arguments import checked

_KINDS: dict[str, Any] = {}  # values of train.kinds.kind.Kind


def add(kind: Any) -> None:
    """Makes a kind known: models whose `kind` is its name are trained by it, and its data sets are
    loaded by their names.
    """
    _KINDS[kind.name] = kind


def kinds() -> dict[str, Any]:
    """All kinds by name."""
    return dict(_KINDS)


def kind_of_data(name: str) -> Any:
    """The kind of a data set.

    Raises:
      DataError: there is no such data set.
    """
    for kind in _KINDS.values():
        if name in kind.loaders:
            return kind
    names = data_names()
    near = difflib.get_close_matches(name, names, cutoff=0.4) or names
    raise DataError(
        f"there is no data set {name!r}; did you mean {' or '.join(near)}? All: {', '.join(names)}"
    )


def data_names() -> tuple[str, ...]:
    """The names of all data sets."""
    return tuple(name for kind in _KINDS.values() for name in kind.loaders)


def dashed(field: str) -> str:
    """A field as its flag writes it."""
    return field.replace("_", "-")


def _given(data):
    """The fields that are not as by default; those that every kind has, or refuses itself, are left
    out.
    """
    others = {"name", "path", "data_dir", "manual_dir", "binarise", "levels"}
    fields = [field for field in dataclasses.fields(data) if field.name not in others]
    return [field.name for field in fields if getattr(data, field.name) != field.default]


@checked()
def load(data: Data) -> Dataset:
    """The chosen data; your own have the name of their file or folder.

    Raises:
      DataError: they cannot be had; the message says what to do.
    """
    kind = kind_of_data(data.name)
    is_own = data.path is not None and data.name not in kind.published
    for flag in _given(data):
        if flag not in kind.flags:
            raise DataError(f"--data.{dashed(flag)} is not for {data.name} ({kind.name}): drop it.")
        if flag in kind.own_flags and not is_own:
            raise DataError(
                f"--data.{dashed(flag)} is for your own data at --data.path, not for {data.name}: "
                "drop it."
            )
    if data.path is None or data.name in kind.published:
        dataset = kind.loaders[data.name](data)
    else:
        path = Path(os.path.expanduser(data.path))
        name = path.name or path.resolve().name
        dataset = kind.loaders[kind.own](dataclasses.replace(data, name=name))
    dataset = dataclasses.replace(kind.loaded(dataset, data), kind=kind.name)
    if data.classes:
        dataset = of_classes(dataset, data.classes)
    dataset = few(dataset, data) if data.train else dataset
    return mutate(dataset, data) if data.mutate else dataset
