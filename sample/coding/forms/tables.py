"""A .csv of levels as values to compress, and back."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from sample.coding.forms.contents import Contents
from sample.media.examples import rows
from zoo.core.checks import check_values, kind
from zoo.formats.csv_cells import Reading
from zoo.foundation.files import write_whole


def read(model: Any, path: Path, is_rounded: bool) -> Contents:
    """The rows of a .csv.

    Raises:
      ValueError: it is no table of the model's levels, or would not come back byte for byte and
        `is_rounded` is false.
    """
    text = path.read_bytes().decode("utf-8-sig", "replace")
    first = text.partition("\n")[0] + "\n"
    is_row = re.fullmatch(r"[\s\d.,;+-]*", first) is not None
    reading = Reading(header="no" if is_row else "yes")
    parts = [part.x for part in rows(model, path, 4096, reading)]
    x = np.concatenate(parts)
    check_values(model, x, str(path))
    form = {
        "is": "table",
        "first": "" if is_row else first,
        "separator": ";" if ";" in first else ",",
        "newline": "\r\n" if "\r\n" in text else "\n",
        "ends": text.endswith("\n"),
    }
    if not is_rounded and _text(x, form).encode() != path.read_bytes():
        raise ValueError(
            f"{path} would not come back byte for byte: {kind(model)} describes whole numbers, "
            "written without blanks, signs, quotes and points. Pass --quantised to compress the "
            "numbers only."
        )
    return Contents(model, x, model.num_sites, form)


def _text(x, form):
    lines = (form["separator"].join(map(str, row)) for row in x.reshape(len(x), -1).tolist())
    return form["first"] + form["newline"].join(lines) + form["newline"] * form["ends"]


def write(model: Any, x: np.ndarray, form: dict[str, Any], path: Path, given: Any) -> None:
    """Writes the .csv that `read` has read."""
    write_whole(path, _text(x, form).encode())
