"""Files of data as values to compress, and back, by the kind of the model.

Whether the values give the file back is tried before anything is compressed.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sample.coding.forms import pairs, sequences, tables
from sample.coding.forms.contents import Contents
from sample.media.image_files import read_images
from sample.media.pixel_files import read_pixels
from sample.media.pixels import as_images
from sample.pictures.grids import save_png
from zoo.core.checks import check_values, kind
from zoo.formats.arrays import check_size, map_array
from zoo.formats.pictures import picture_files
from zoo.foundation.files import replacing


class Form(NamedTuple):
    """A form of files.

    Attributes:
      reads: what it reads, in words.
      read: (model, path, is_rounded) -> Contents.
    """

    reads: str
    read: Callable[[Any, Path, bool], Contents]


def read(model: Any, path: Path, is_rounded: bool = False) -> Contents:
    """The values in a file or folder.

    Args:
      model: its `kind` decides what it reads besides an .npy.
      path: the file or folder.
      is_rounded: whether it may come back as the nearest that the model describes.

    Raises:
      ValueError: there is no such file, the model does not read it, or the values would not give it
        back.
    """
    path = Path(os.path.expanduser(path))
    if not path.exists():
        raise ValueError(f"there is no file {path}.")
    if path.suffix == ".npy" and path.is_file():
        return _array(model, path)
    if model.kind not in _FORMS or path.suffix in (".npy", ".npz"):
        reads = f"{_FORMS[model.kind].reads} or " if model.kind in _FORMS else ""
        raise ValueError(f"{path}: {kind(model)} ({model.kind}) compresses {reads}an .npy.")
    return _FORMS[model.kind].read(model, path, is_rounded)


def write(model: Any, x: np.ndarray, form: dict[str, Any], path: Path, given: Any = None) -> None:
    """Writes what `read` has read, whole or not at all.

    Args:
      model, x: the model, and values of it.
      form: that of the `Contents`.
      path: of the file or folder.
      given: the path of the context.

    Raises:
      ValueError: there is something already, or it cannot be made.
    """
    check_free(path)
    check_suffix(path, form)
    if str(form.get("is")) not in _WRITERS:
        raise ValueError("the data do not say what file they are: use sample.decompress in Python.")
    try:
        _WRITERS[str(form["is"])](model, x, form, path, given)
    except (KeyError, TypeError):
        raise ValueError("the data are damaged: their header describes no file.") from None


def check_free(path: Path) -> None:
    """Raises ValueError unless a file can be written there and none is."""
    if path.exists():
        raise ValueError(f"{path} exists already and is not overwritten: name another by --out.")
    if not path.parent.is_dir():
        raise ValueError(f"there is no folder {path.parent}: make it first.")
    if not os.access(path.parent, os.W_OK):  # said before the work
        raise PermissionError(errno.EACCES, "it may not be written", str(path))


def check_suffix(path: Path, form: dict[str, Any]) -> None:
    """Raises ValueError if data of this form would be written under the name of another one."""
    suffix = suffix_of(form)
    if suffix and path.suffix.lower() != suffix:
        raise ValueError(f"the data come back as a {suffix}; got --out {path}.")


def suffix_of(form: dict[str, Any]) -> str:
    """How the name of a single file of this form ends; nothing if any name serves.

    Example:
      >>> suffix_of({"is": "sound", "names": []}), suffix_of({"is": "sound", "names": ["1.wav"]})
      ('.wav', '')
    """
    return "" if form.get("names") else _SUFFIXES.get(str(form.get("is")), "")


def _array(model, path):
    array = map_array(path)
    check_size(8 * array.size, path)
    event = (*model.site_shape, *model.head.event_shape)
    if model.kind == "images":
        x = read_images(model, path)
        bright = not (x.reshape(array.shape) == array).all()
    elif array.shape[1:] == event or array.shape == event:
        x, bright = np.array(array).reshape(-1, *event), False
        check_values(model, x, str(path))
    else:
        wanted = ", ".join(map(str, event))
        raise ValueError(
            f"{path} has the shape {list(array.shape)}; {kind(model)} describes [num, {wanted}]."
        )
    form = {"is": "array", "shape": list(array.shape), "dtype": array.dtype.str, "bright": bright}
    if not (_array_of(model, x, form) == array).all():
        raise ValueError(f"{path} holds other brightnesses than the levels of {kind(model)}.")
    return Contents(model, x, model.num_sites, form)


def _array_of(model, x, form):
    values = as_images(model, x) if form["bright"] else x
    return values.astype(np.dtype(form["dtype"])).reshape(form["shape"])


def _write_array(model, x, form, path, given):
    with replacing(path, ".npy") as partial:
        np.save(partial, _array_of(model, x, form))


def _pictures(model, path, is_rounded):
    x = read_images(model, path)
    if not (as_images(model, x) == read_pixels(model, path)).all():
        raise ValueError(f"{path} holds other brightnesses than the levels of {kind(model)}.")
    names = [file.relative_to(path).as_posix() for file in picture_files(path)]
    form = {"is": "pictures", "names": names if path.is_dir() else []}
    return Contents(model, x, model.num_sites, form)


def _write_pictures(model, x, form, path, given):
    pictures = as_images(model, x)
    if not form["names"]:
        save_png(path, pictures[0], 1)
        return
    with replacing(path) as partial:
        for name, picture in zip(form["names"], pictures, strict=True):
            file = sequences.inside(partial, name).with_suffix(".png")
            if file.exists():  # a.png and a.jpg
                file = partial / f"{name}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            save_png(file, picture, 1)


_SUFFIXES = {"array": ".npy", "pictures": ".png", "sound": ".wav"}
_FORMS = {
    "images": Form("a picture, a folder of pictures", _pictures),
    "text": Form("a text, a folder of .txt", sequences.read_texts),
    "sound": Form("a .wav, a folder of .wav", sequences.read_sounds),
    "table": Form("a .csv of levels", tables.read),
    "translation": Form("a .tsv of a source and a target a line", pairs.read_translations),
    "captions": Form("a folder with captions.tsv", pairs.read_captions),
}
_WRITERS: dict[str, Callable[[Any, np.ndarray, dict[str, Any], Path, Any], None]] = {
    "array": _write_array,
    "pictures": _write_pictures,
    "text": sequences.write_texts,
    "sound": sequences.write_sounds,
    "table": tables.write,
    "translation": pairs.write_translations,
    "captions": pairs.write_captions,
}
