"""Translations and captions as values to compress, and back.

The texts that the model writes are compressed given what it reads: the sources of a .tsv, or the
images of a folder. These are not stored, so they are needed again.
"""

from pathlib import Path
from typing import Any

import numpy as np

from sample.coding.forms.contents import Contents
from sample.coding.forms.sequences import inside
from sample.media.examples import captions, pairs
from sample.media.pixel_files import read_pixels
from zoo.core.checks import kind
from zoo.formats import tsv, vocabulary
from zoo.formats.arrays import read_arrays
from zoo.foundation.files import write_whole


def read_translations(model: Any, path: Path, is_rounded: bool) -> Contents:
    """The targets of a .tsv, given their sources.

    Raises:
      ValueError: it is no such file, or would not come back byte for byte and `is_rounded` is false.
    """
    lines = tsv.read_pairs(path)
    part = next(pairs(model, path, len(lines)))
    form: dict[str, Any] = {"is": "translation", "first": _first(path, lines)}
    sources = [source for source, _ in lines]
    _check_same(model, path, _translations(model, part.x, form, sources), is_rounded)
    context = read_context(
        model, path, form
    )  # as long as it is read again, without the part's padding
    return Contents(model, part.x, model.num_sites, form, context)


def write_translations(
    model: Any, x: np.ndarray, form: dict[str, Any], path: Path, given: Any
) -> None:
    """Writes the .tsv that `read_translations` has read; `given` is the file of its sources."""
    write_whole(path, _translations(model, x, form, _sources(given)).encode())


def _translations(model, x, form, sources):
    return form["first"] + _rows(zip(sources, _texts(model, x), strict=True))


def read_captions(model: Any, path: Path, is_rounded: bool) -> Contents:
    """The captions of a folder, given its images.

    Raises:
      ValueError: it is no such folder, or captions.tsv would not come back byte for byte and
        `is_rounded` is false.
    """
    file = path / "captions.tsv"
    lines = tsv.read_rows(file, ("image", "caption"), ("split",))
    part = next(captions(model, path, len(lines)))
    first = _first(file, lines)
    columns = first.lower().split() if first else ["image", "caption"]
    form: dict[str, Any] = {
        "is": "captions",
        "first": first,
        "columns": columns,
        "images": [name for name, _, _ in lines],
        "splits": [split for _, _, split in lines],
    }
    _check_same(model, file, _captions(model, part.x, form), is_rounded)
    return Contents(model, part.x, model.num_sites, form, part.context)


def write_captions(model: Any, x: np.ndarray, form: dict[str, Any], path: Path, given: Any) -> None:
    """Writes the captions.tsv that `read_captions` has read."""
    write_whole(path, _captions(model, x, form).encode())


def _captions(model, x, form):
    cells = {"image": form["images"], "split": form["splits"], "caption": _texts(model, x)}
    columns = [cells.get(name, [""] * len(x)) for name in form["columns"]]
    return form["first"] + _rows(zip(*columns, strict=True))


def read_context(model: Any, path: Path, form: Any) -> Any:
    """What a model conditions on, in a file or folder: arrays; of translations sources as well, one
    a line or the first column of a .tsv; of captions the folder of the images.

    Args:
      model: it decides what is read.
      path: the file or folder.
      form: that of the `Contents`, which names the images.

    Raises:
      ValueError: there is nothing of that kind.
    """
    if model.kind == "translation" and path.suffix not in (".npy", ".npz"):
        tokens = [vocabulary.pieces(source, model.unit) for source in _sources(path)]
        return vocabulary.codes(tokens, model.source_vocabulary, end=False)[0]
    if model.kind == "captions" and path.is_dir() and isinstance(form, dict) and form.get("images"):
        return np.concatenate([read_pixels(model, inside(path, name)) for name in form["images"]])
    arrays = read_arrays(path)
    return next(iter(arrays.values())) if len(arrays) == 1 else arrays


def _sources(path):
    if path is None:
        raise ValueError("the sources are not stored: pass the file of them by --context.")
    if path.suffix == ".tsv":
        return [source for source, _ in tsv.read_pairs(path)]
    return [source for (source,) in tsv.read_rows(path, ("source",))]


def _texts(model, x):
    return [
        vocabulary.joined(each, model.unit) for each in vocabulary.texts_of(x, model.vocabulary)
    ]


def _rows(rows):
    return "".join("\t".join(row) + "\n" for row in rows)


def _first(path, rows):
    """The header of a file, or nothing."""
    lines = tsv.lines_of(path.read_bytes().decode("utf-8-sig"))
    return f"{lines[0]}\n" if len([line for line in lines if line.strip()]) > len(rows) else ""


def _check_same(model, path, text, is_rounded):
    """Refuses a file that would not come back; the message names the first line that differs."""
    expected = path.read_bytes().decode()
    if is_rounded or text == expected:
        return
    lines = zip([*expected.splitlines(), ""], [*text.splitlines(), ""], strict=False)
    number, (old, new) = next(
        ((i, pair) for i, pair in enumerate(lines, 1) if pair[0] != pair[1]), (1, ("", ""))
    )
    raise ValueError(
        f"{path} would not come back as it is: line {number}, {old[-60:]!r}, would be "
        f"{new[-60:]!r}, as {kind(model)} writes {model.unit}s of its vocabulary. Pass --quantised "
        "to compress these."
    )
