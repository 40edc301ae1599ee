"""How a run read its own table: it keeps that beside its checkpoint, for other files."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo.formats.csv_cells import Reading

COLUMNS = "columns.json"  # in the run's folder: names and moments of the columns, and the reading


def read_kept(folder: Path | None, names: Sequence[str] = (), **said: Any) -> Reading:
    """How a .csv is read for a model: as its run read its own, but for what is `said`.

    Args:
      folder: the run's; None if there is none.
      names: the columns to read where the run keeps nothing.
      **said: header, sep, decimal, columns, drop; None and () stand for those of the run.

    Raises:
      ValueError: the file that the run keeps is damaged, or something else is said.

    Example:
      >>> read_kept(None, ["size", "age"], sep="tab").columns
      ('size', 'age')
    """
    if strange := set(said) - {"header", "sep", "decimal", "columns", "drop"}:
        raise ValueError(f"{strange.pop()} says nothing about how a .csv is read: drop it.")
    found: dict[str, Any] = {"columns": tuple(names)}
    path = folder / COLUMNS if folder else None
    if path is not None and path.is_file():
        try:
            kept = json.loads(path.read_text(encoding="utf-8")).get("reading")
            if kept:
                found = {name: tuple(x) if isinstance(x, list) else x for name, x in kept.items()}
                found["one_hot"] = {name: tuple(x) for name, x in kept["one_hot"].items()}
            Reading(**found)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise ValueError(f"{path} cannot be read ({error!r}): delete it.") from None
    said = {name: x for name, x in said.items() if x is not None and x != ()}
    if said.keys() & {"columns", "drop"}:
        found["columns"] = ()
    for name, x in said.items():
        found[name] = tuple(x) if name in ("columns", "drop") else x
    return Reading(**{**found, "flags": "--"})
