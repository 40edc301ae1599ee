"""Texts and sounds as values to compress, and back: a file, or a folder of them, is a long line."""

from pathlib import Path
from typing import Any

import numpy as np

import zoo
from sample.coding.forms.contents import Contents
from sample.media.characters import encode, raw
from zoo.core.checks import kind
from zoo.formats.arrays import check_size
from zoo.formats.vocabulary import BYTES
from zoo.foundation.files import files_below, replacing

ROWS, LONG = 64, 1024  # of a line of tokens, at most; and tokens of a row, at least


def read_texts(model: Any, path: Path, is_rounded: bool) -> Contents:
    """The tokens of a text, or of a folder of .txt.

    Raises:
      ValueError: there are none, or the model's vocabulary lacks a character.
    """
    if not model.vocabulary:
        raise ValueError(f"{kind(model)} has no vocabulary, so it cannot read text.")
    return _line(model, path, ".txt", "text", _tokens)


def _tokens(model, file):
    content = file.read_bytes()
    if model.vocabulary == BYTES:
        return np.frombuffer(content, np.uint8).astype(np.int32)
    try:
        return encode(model, content.decode())
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not a text in UTF-8 ({error.reason}).") from None
    except ValueError as error:
        raise ValueError(
            f"{file}: {error} Models of bytes (--data.unit byte) read any text."
        ) from None


def write_texts(model: Any, x: np.ndarray, form: dict[str, Any], path: Path, given: Any) -> None:
    """Writes the texts that `read_texts` has read."""

    def write(file, tokens):
        text = raw(model, tokens)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())

    _write_line(x, form, path, "", write)


def read_sounds(model: Any, path: Path, is_rounded: bool) -> Contents:
    """The levels of a .wav, or of a folder of them.

    Raises:
      ValueError: there are none, or the samples are not levels of the model and `is_rounded` is
        false.
    """
    levels, companding = model.head.num_values, model.companding

    def read(model, file):
        x = zoo.quantise(zoo.read_wav(file, model.rate), levels, companding)
        if not is_rounded and not _is_same_sound(file, zoo.dequantise(x, levels, companding)):
            raise ValueError(
                f"{file} would not come back as it is: {kind(model)} describes {levels:,} levels "
                f"({companding}) at {model.rate:,} samples a second on one channel. Pass "
                "--quantised to compress the nearest sound of this kind."
            )
        return x

    return _line(model, path, ".wav", "sound", read)


def _is_same_sound(file, wave):
    import soundfile

    pcm, _ = soundfile.read(file, dtype="int32", always_2d=True)
    written = np.clip(np.round(wave.astype(np.float64) * 2**15), -(2**15), 2**15 - 1) * 2**16
    return pcm.shape == (len(wave), 1) and bool((pcm[:, 0] == written).all())


def write_sounds(model: Any, x: np.ndarray, form: dict[str, Any], path: Path, given: Any) -> None:
    """Writes the sounds that `read_sounds` has read, as .wav of 16 bits."""

    def write(file, tokens):
        wave = zoo.dequantise(tokens, model.head.num_values, model.companding)
        zoo.write_wav(file, wave, model.rate)

    _write_line(x, form, path, ".wav", write)


def _line(model, path, suffix, name, read):
    """The values of all files behind one another, cut into rows of the same length."""
    files = files_below(path, suffix)
    check_size(8 * sum(file.stat().st_size for file in files), path)
    parts = [np.asarray(read(model, file), np.int32) for file in files]
    values = np.concatenate(parts)
    if not len(values):
        raise ValueError(f"{path} is empty: there is nothing to compress.")
    rows = max(1, min(ROWS, len(values) // LONG))
    length = -(-len(values) // rows)
    if model.kind == "text" and model.max_length is not None:
        length = min(length, model.max_length)
    rows = -(-len(values) // length)
    x = np.zeros(rows * length, np.int32)
    x[: len(values)] = values
    names = [file.relative_to(path).as_posix() for file in files] if path.is_dir() else []
    form = {"is": name, "names": names, "lengths": [len(part) for part in parts]}
    model = model.clone(site_shape=(length,))
    return Contents(model, x.reshape(rows, length), len(values) - (rows - 1) * length, form)


def _write_line(x, form, path, suffix, write):
    """Calls write(file, values) for each file of a line."""
    ends = np.cumsum(form["lengths"])
    parts = np.split(x.reshape(-1)[: ends[-1]], ends[:-1])
    with replacing(path, suffix) as partial:
        if not form["names"]:
            write(partial, parts[0])
        for name, part in zip(form["names"], parts if form["names"] else [], strict=True):
            file = inside(partial, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            write(file, part)


def inside(folder: Path, name: str) -> Path:
    """The path of a file in a folder.

    Raises:
      ValueError: the name leads out of it.

    Example:
      >>> inside(Path("all"), "a/b.txt").as_posix()
      'all/a/b.txt'
    """
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError(f"the data name a file outside of their folder: {name!r}.")
    return folder / name
