"""The kinds of things that models describe: one file each, which holds all that training does differently for it."""

import dataclasses
import difflib
import os
from pathlib import Path

import zoo
from train.data.dataset import Data, DataError, Dataset
from train.kinds import captions, images, sound, table, text, translation
from train.kinds.kind import Kind
from zoo.arguments import checked

_KINDS: dict[str, Kind] = {}


def add(kind: Kind) -> None:
    """Makes a kind known: models whose `kind` is its name are trained by it."""
    _KINDS[kind.name] = kind


def kinds() -> dict[str, Kind]:
    """All kinds by name."""
    return dict(_KINDS)


def kind_of(model: zoo.Autoregressive) -> Kind:
    """The kind of what a model describes.

    Raises:
      ValueError: nobody added a kind of that name.
    """
    if model.kind not in _KINDS:
        raise ValueError(
            f"{type(model).__name__} describes {model.kind}, which train knows nothing of: it has "
            f"{', '.join(sorted(_KINDS))}; see docs/adding_a_kind.md."
        )
    return _KINDS[model.kind]


def kind_of_data(name: str) -> Kind:
    """The kind of a data set.

    Raises:
      DataError: there is no such data set.
    """
    for kind in _KINDS.values():
        if name in kind.loaders:
            return kind
    names = data_names()
    near = difflib.get_close_matches(name, names, cutoff=0.4) or names
    raise DataError(f"there is no data set {name!r}; did you mean {' or '.join(near)}? All: {', '.join(names)}")


def data_names() -> tuple[str, ...]:
    """The names of all data sets."""
    return tuple(name for kind in _KINDS.values() for name in kind.loaders)


@checked()
def load(data: Data) -> Dataset:
    """The chosen data; your own have the name of their file or folder.

    Raises:
      DataError: they cannot be had; the message says what to do.
    """
    kind = kind_of_data(data.name)
    if (data.drop or data.header != "auto") and (
        kind.own != "table" or data.path is None or data.name in kind.published
    ):
        raise DataError(f"--data.drop and --data.header are for your own table, not for {data.name}: drop them")
    if data.path is None or data.name in kind.published:
        dataset = kind.loaders[data.name](data)
    else:
        path = Path(os.path.expanduser(data.path))
        name = path.name or path.resolve().name
        dataset = kind.loaders[kind.own](dataclasses.replace(data, name=name))
    return dataclasses.replace(kind.loaded(dataset, data), kind=kind.name)


for _module in (images, table, text, sound, translation, captions):
    add(_module.KIND)
