"""The kinds of things that models describe: one file each, which holds all that training does
differently for it.
"""

import zoo
from train.data.loading import add, data_names, kind_of_data, kinds, load
from train.kinds import captions, images, labels, sound, table, text, translation
from train.kinds.kind import Kind

__all__ = ["Kind", "add", "data_names", "kind_of", "kind_of_data", "kinds", "load"]


def kind_of(model: zoo.Generative) -> Kind:
    """The kind of what a model describes.

    Raises:
      ValueError: nobody added a kind of that name.
    """
    known = kinds()
    if model.kind not in known:
        raise ValueError(
            f"{type(model).__name__} describes {model.kind}, which train knows nothing of: it has "
            f"{', '.join(sorted(known))}; see docs/adding_a_kind.md."
        )
    return known[model.kind]


for _module in (images, table, text, sound, translation, captions, labels):
    add(_module.KIND)
