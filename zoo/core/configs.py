"""Models, heads and orderings as JSON, and back; class names are looked up, never imported."""

import dataclasses
import difflib
import json
from collections.abc import Iterable
from typing import Any

from flax import linen as nn

from zoo.core.generative import Generative
from zoo.foundation.arguments import shown
from zoo.foundation.registry import registered


def to_config(value: Any) -> Any:
    """A model, head or ordering as JSON: {"class": name, field: value, ...}.

    Example:
      >>> import zoo
      >>> config = zoo.to_config(zoo.FVSBN((2, 3)))
      >>> config["class"], config["site_shape"], config["ordering"]["scan"]
      ('FVSBN', [2, 3], 'raster')
    """
    if dataclasses.is_dataclass(value):
        skip = {"parent", "name"} if isinstance(value, nn.Module) else set()
        fields = [field.name for field in dataclasses.fields(value) if field.name not in skip]
        return {
            "class": type(value).__name__,
            **{name: to_config(getattr(value, name)) for name in fields},
        }
    if isinstance(value, tuple | list):
        return [to_config(item) for item in value]
    return value


def check_savable(model: Generative) -> dict[str, Any]:
    """The configuration of a model that `load` can read again.

    Raises:
      ValueError: it could not; the message names the field or the class.
    """
    try:
        config = to_config(model)
        again = from_config(json.loads(json.dumps(config)))
    except (AttributeError, TypeError):
        config, again = {}, None
    if again != model:
        raise ValueError(
            f"{_odd_field(model)} is not the same when read again; the fields of a model must be "
            "plain JSON values, tuples of them, heads and orderings."
        )
    return config


def _odd_field(model):
    """The first field of a model that JSON does not keep, or the model itself."""
    for field in dataclasses.fields(model):
        value = getattr(model, field.name)
        if field.name in ("parent", "name"):
            continue
        try:
            same = from_config(json.loads(json.dumps(to_config(value)))) == value
        except (AttributeError, TypeError):
            same = False
        if not same:
            return f"{type(model).__name__}.{field.name} = {shown(value)}"
    return str(model)


class UnknownClass(ValueError):
    """A class that is named somewhere and registered nowhere."""


def from_config(config: Any, classes: Iterable[type] = ()) -> Any:
    """The inverse of `to_config`. Class names are looked up in the registry and in `classes`, never
    imported.

    Raises:
      UnknownClass: a class that is not registered. ValueError: fields that a class does not have.

    Example:
      >>> import zoo
      >>> zoo.from_config({"class": "Categorical", "num_classes": 3})
      Categorical(num_classes=3)
      >>> zoo.from_config(zoo.to_config(zoo.FVSBN((2, 3)))) == zoo.FVSBN((2, 3))
      True
    """
    if isinstance(config, list):
        return tuple(from_config(item, classes) for item in config)
    if not isinstance(config, dict):
        return config
    fields, known = dict(config), registered(classes)
    name = fields.pop("class", None)
    if not isinstance(name, str):
        raise ValueError(f"expected a class by its name; got {config!r}")
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise UnknownClass(
            f"the class {name!r} is not registered{hint}; on the command line add --classes FILE.py, "
            f"the file that defines it, or name the run FILE.py:{name}; in Python put @zoo.register "
            f"above its definition and import that first, or pass classes=[{name}] to zoo.load"
        )
    names = {field.name for field in dataclasses.fields(known[name])}
    if unknown := sorted(set(fields) - names):
        raise ValueError(f"{name} has no field {unknown[0]!r}")
    return known[name](**{name: from_config(value, classes) for name, value in fields.items()})
