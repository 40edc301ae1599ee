"""The kinds of things that models describe: one file each, which holds all that sampling does
differently for it.
"""

import zoo
from sample.kinds import captions, image, labels, sound, table, texts, translation
from sample.kinds.kind import Kind

_KINDS: dict[str, Kind] = {}


def add(kind: Kind) -> None:
    """Makes a kind known: models whose `kind` is its name are sampled by it."""
    _KINDS[kind.name] = kind


def kinds() -> dict[str, Kind]:
    """All kinds by name."""
    return dict(_KINDS)


def kind_of(model: zoo.Generative) -> Kind:
    """The kind of what a model describes.

    Raises:
      ValueError: nobody added a kind of that name.
    """
    if model.kind not in _KINDS:
        raise ValueError(
            f"{type(model).__name__} describes {model.kind}, which sample knows nothing of: it has "
            f"{', '.join(sorted(_KINDS))}; see docs/adding_a_kind.md."
        )
    return _KINDS[model.kind]


for _module in (image, table, texts, sound, translation, captions, labels):
    add(_module.KIND)
