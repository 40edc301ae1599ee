"""The classes that a checkpoint may name. A name in a file is looked up here, and nothing is ever
imported from it.
"""

import dataclasses
import sys
from collections.abc import Iterable, Mapping
from typing import TypeVar

C = TypeVar("C", bound=type)

_CLASSES: dict[str, type] = {}


def register(cls: C) -> C:
    """Class decorator: models, heads and orderings of this class can be saved and loaded, by the
    name of the class.

    Defining the same class again, as a notebook cell does that is run twice, replaces it.

    Raises:
      TypeError: `cls` is no dataclass (every linen module is one).
      ValueError: another class has
      that name.

    Example:
      >>> import zoo
      >>> @zoo.register
      ... class MyMADE(zoo.MADE):
      ...     '''MADE under another name.'''
      >>> zoo.foundation.registry.registered()["MyMADE"] is MyMADE
      True
    """
    if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)):
        raise TypeError(
            f"register takes a class of models, heads or orderings (a dataclass); got {cls!r}."
        )
    old = _CLASSES.get(cls.__name__)
    if old is not None and _origin(old) != _origin(cls):
        raise ValueError(
            f"the name {cls.__name__} is taken by {_full_name(old)}: give {_full_name(cls)} another "
            "name."
        )
    _CLASSES[cls.__name__] = cls
    return cls


def registered(classes: Iterable[type] = ()) -> Mapping[str, type]:
    """The registered classes by name, and beside them `classes`, which win over those of the same
    name.
    """
    return {**_CLASSES, **{cls.__name__: cls for cls in classes}}


def _origin(cls):
    """Where a class is defined. One file is one place, by whatever name it was imported."""
    module = sys.modules.get(cls.__module__)
    return getattr(module, "__file__", None) or cls.__module__, cls.__qualname__


def _full_name(cls):
    if cls.__module__.endswith(".py"):  # see zoo.core.model_files
        return f"{cls.__qualname__} of {cls.__module__}"
    return f"{cls.__module__}.{cls.__qualname__}"
