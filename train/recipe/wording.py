"""Advice about flags, as advice about Python."""

import contextlib
import re
from collections.abc import Iterator

from zoo.catalogue import HEADS

CLASSES = {head.__name__.lower(): head.__name__ for head in HEADS}


@contextlib.contextmanager
def in_python() -> Iterator[None]:
    """Rewrites the flags in the message of a ValueError as the arguments that they stand for."""
    try:
        yield
    except ValueError as error:
        error.args = tuple(
            python_words(each) if isinstance(each, str) else each for each in error.args
        )
        raise


def python_words(text: str) -> str:
    """A message with its flags as arguments.

    Example:
      >>> python_words("pass --model.site-shape 2 5 --model.head categorical:17")
      'pass site_shape=(2, 5) head=Categorical(17)'
      >>> python_words("drop --validate-ensemble.")
      'drop validate_ensemble.'
    """
    text = re.sub(r", or --data\.[\w-]+( \w+)?", "", text)
    text = re.sub(r"(--model\.head|such as) (\w+)((?::\w+(?:\.\w+)?)*)", _head, text)
    text = re.sub(r"--model\.([\w-]*shape)((?: \d+)+)", _shape, text)
    return re.sub(r"--(?:model\.)?([a-z][\w-]*)", lambda flag: _name(flag[1]), text)


def _name(flag):
    return flag.replace("-", "_")


def _head(words):
    """A head as a flag says it, such as categorical:17; other words stay as they are."""
    before, name, values = words.groups()
    if name not in CLASSES:
        return words[0]
    before = "head=" if before.startswith("--") else f"{before} "
    return f"{before}{CLASSES[name]}({', '.join(values.split(':')[1:])})"


def _shape(flag):
    return f"{_name(flag[1])}={tuple(map(int, flag[2].split()))}"
