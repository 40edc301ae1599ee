"""Where the packages of the project and its weights are: beside `zoo`, whatever else is on the search
path.
"""

import importlib.abc
import importlib.machinery
from pathlib import Path

PACKAGES = ("train", "sample", "benchmarks")
BOX = Path(__file__).parents[2] / "pretrained"  # the weights that come with the project


def boxed(file: str) -> list[str]:
    """The names in the box whose folder holds such a file.

    Example:
      >>> "made" in boxed("model.safetensors")
      True
    """
    return sorted(path.parent.name for path in BOX.glob(f"*/{file}"))


class Beside(importlib.abc.MetaPathFinder):
    """Finds the packages of the project beside `zoo`.

    In `sys.meta_path` before all other finders it keeps a user's train.py or sample.py from being
    imported instead.
    """

    def find_spec(self, fullname, path=None, target=None):
        if fullname not in PACKAGES:
            return None
        folder = str(Path(__file__).parents[2])
        return importlib.machinery.PathFinder.find_spec(fullname, [folder])
