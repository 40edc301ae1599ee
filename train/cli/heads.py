"""Heads as one word on the command line: `bernoulli`, `categorical:17`,
`mixtureofgaussians:10:0.01`.
"""

import dataclasses
import difflib
from typing import Any

import tyro

import zoo
from zoo.catalogue import HEADS
from zoo.foundation.registry import registered


def add_heads(registry: tyro.constructors.ConstructorRegistry) -> None:
    """Lets flags that are heads be read from one word; those of a user's own file among them."""
    own = [cls for cls in registered().values() if hasattr(cls, "quantile") and cls not in HEADS]
    names = {head.__name__.lower(): head for head in (*HEADS, *own)}

    def read(words):
        name, *values = words[0].split(":")
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)[0]
            raise ValueError(
                f"unknown head {name!r}, did you mean {near!r}? Heads: {', '.join(names)}"
            )
        kinds: list[Any] = [type(field.default) for field in dataclasses.fields(names[name])]
        if len(values) > len(kinds):
            raise ValueError(f"the head {name} takes at most {len(kinds)} values; got {words[0]!r}")
        return names[name](*(kind(value) for kind, value in zip(kinds, values, strict=False)))

    @registry.primitive_rule
    def rule(info):
        if info.type not in (*names.values(), zoo.Head):
            return None
        return tyro.constructors.PrimitiveConstructorSpec(
            nargs=1,
            metavar="|".join(map(_word, names.values())),
            instance_from_str=read,
            is_instance=lambda value: isinstance(value, tuple(names.values())),
            str_from_instance=_words,
        )


def _words(head):
    values = (getattr(head, field.name) for field in dataclasses.fields(head))
    return [":".join([type(head).__name__.lower(), *map(str, values)])]


def _word(head):
    return ":".join(
        [head.__name__.lower(), *(field.name.upper() for field in dataclasses.fields(head))]
    )
