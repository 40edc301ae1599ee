"""Files of data as values to compress, and back: arrays, pictures, texts, sounds.

Whether the values give the file back is tried before anything is written.
"""

import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Shaped

import zoo
from sample.media.characters import encode, raw
from sample.media.image_files import read_images
from sample.media.pixel_files import read_pixels
from sample.media.pixels import as_images
from sample.pictures.grids import save_png
from zoo.core.checks import check_values, kind
from zoo.formats.arrays import check_size, map_array
from zoo.formats.pictures import picture_files
from zoo.formats.vocabulary import BYTES
from zoo.foundation.files import write_whole

ROWS, LONG = 64, 1024  # of a line of tokens, at most; and tokens of a row, at least


class Contents(NamedTuple):
    """What is in a file.

    Attributes:
      model: at the length of the rows, if it describes sequences.
      x: values of the model, [num, *site_shape, *event_shape].
      last: how many ranks of the last example are part of the file.
      form: how the file is made of the values, as JSON.
    """

    model: Any
    x: Shaped[np.ndarray, "num ..."]
    last: int
    form: dict[str, Any]


def read(model: Any, path: Path, quantised: bool = False) -> Contents:
    """The values in a file, by the kind of the model: an .npy, a picture, a folder of pictures, a
    text or a .wav.

    Raises:
      ValueError: there is no such file, the model does not read it, or the values would not give it
        back.
    """
    path = Path(os.path.expanduser(path))
    if not path.exists():
        raise ValueError(f"there is no file {path}.")
    if path.suffix != ".npy" and model.kind == "text" and path.is_file():
        return _text(model, path)
    if path.suffix != ".npy" and model.kind == "sound" and path.is_file():
        return _sound(model, path, quantised)
    if path.suffix != ".npy" and model.kind == "images":
        return _pictures(model, path)
    if path.suffix == ".npy" and path.is_file():
        return _array(model, path)
    reads = {"images": "a picture, a folder of pictures or an .npy", "text": "a text or an .npy"}
    reads["sound"] = "a .wav or an .npy"
    expected = reads.get(model.kind, "an .npy of values")
    raise ValueError(f"{path}: {kind(model)} ({model.kind}) compresses {expected}.")


def write(model: Any, x: np.ndarray, form: dict[str, Any], path: Path) -> None:
    """Writes the file again that `read` has read, whole or not at all.

    Raises:
      ValueError: there is something already, or it cannot be made.
    """
    if path.exists():
        raise ValueError(f"{path} exists already and is not overwritten: name another by --out.")
    if not path.parent.is_dir():
        raise ValueError(f"there is no folder {path.parent}: make it first.")
    writers = {"array": _write_array, "pictures": _write_pictures, "text": _write_text}
    writers["sound"] = _write_sound
    if form.get("is") not in writers:
        raise ValueError("the data do not say what file they are: use sample.decompress in Python.")
    writers[form["is"]](model, x, form, path)


def _array(model, path):
    array = map_array(path)
    check_size(8 * array.size, path)
    event = (*model.site_shape, *model.head.event_shape)
    if array.shape[1:] == event or array.shape == event:
        x = np.array(array).reshape(-1, *event)
        bright = False
        if model.kind != "images":
            check_values(model, x, str(path))
    if model.kind == "images":
        x = read_images(model, path)
        bright = not (x.reshape(array.shape) == array).all()
    elif array.shape[1:] != event and array.shape != event:
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


def _write_array(model, x, form, path):
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial.npy")
    try:
        np.save(partial, _array_of(model, x, form))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _pictures(model, path):
    x = read_images(model, path)
    if not (as_images(model, x) == read_pixels(model, path)).all():
        raise ValueError(f"{path} holds other brightnesses than the levels of {kind(model)}.")
    names = [file.relative_to(path).as_posix() for file in picture_files(path)]
    form = {"is": "pictures", "names": names if path.is_dir() else []}
    return Contents(model, x, model.num_sites, form)


def _write_pictures(model, x, form, path):
    pictures = as_images(model, x)
    if not form["names"]:
        if path.suffix != ".png":
            raise ValueError(f"a picture comes back as a .png; got --out {path}.")
        save_png(path, pictures[0], 1)
        return
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        for name, picture in zip(form["names"], pictures, strict=True):
            file = (partial / name).with_suffix(".png")
            if ".." in Path(name).parts or Path(name).is_absolute():
                raise ValueError(f"the data name a file outside of their folder: {name!r}.")
            if file.exists():  # a.png and a.jpg
                file = partial / f"{name}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            save_png(file, picture, 1)
        partial.replace(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _text(model, path):
    if not model.vocabulary:
        raise ValueError(f"{kind(model)} has no vocabulary, so it cannot read text.")
    check_size(8 * path.stat().st_size, path)
    content = path.read_bytes()
    if model.vocabulary == BYTES:
        tokens = np.frombuffer(content, np.uint8).astype(np.int32)
    else:
        try:
            tokens = encode(model, content.decode())
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not a text in UTF-8 ({error.reason}).") from None
    return _line(model, tokens, path, {"is": "text"})


def _write_text(model, x, form, path):
    text = raw(model, x.reshape(-1)[: form["length"]])
    write_whole(path, text if isinstance(text, bytes) else text.encode())


def _line(model, values, path, form):
    """A long line of values, cut into rows of the same length."""
    if not len(values):
        raise ValueError(f"{path} is empty: there is nothing to compress.")
    rows = max(1, min(ROWS, len(values) // LONG))
    length = -(-len(values) // rows)
    if model.kind == "text" and model.max_length is not None:
        length = min(length, model.max_length)
    rows = -(-len(values) // length)
    x = np.zeros(rows * length, np.int32)
    x[: len(values)] = values
    last = len(values) - (rows - 1) * length
    model = model.clone(site_shape=(length,))
    return Contents(model, x.reshape(rows, length), last, form | {"length": len(values)})


def _sound(model, path, quantised):
    levels, companding = model.head.num_values, model.companding
    x = zoo.quantise(zoo.read_wav(path, model.rate), levels, companding)
    contents = _line(model, x, path, {"is": "sound"})
    if not quantised and not _is_same_sound(path, zoo.dequantise(x, levels, companding)):
        raise ValueError(
            f"{path} would not come back as it is: {kind(model)} describes {levels:,} levels "
            f"({companding}) at {model.rate:,} samples a second on one channel. Pass --quantised to "
            "compress the nearest sound of this kind."
        )
    return contents


def _is_same_sound(path, wave):
    import soundfile

    pcm, _ = soundfile.read(path, dtype="int32", always_2d=True)
    return pcm.shape == (len(wave), 1) and bool((pcm[:, 0] == np.round(wave * 2.0**31)).all())


def _write_sound(model, x, form, path):
    levels, companding = model.head.num_values, model.companding
    wave = zoo.dequantise(x.reshape(-1)[: form["length"]], levels, companding)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial.wav")
    try:
        zoo.write_wav(partial, wave, model.rate)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
