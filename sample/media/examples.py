"""Examples of a model in files, a few at a time: a file may be larger than memory.

| kind | files |
|---|---|
| images | a picture, a folder of pictures, .npy, .npz with `images` and perhaps `labels` |
| table | .csv, .npy, .npz |
| text | .txt, or a folder of them; examples are windows of the model's length |
| sound | .wav, or a folder of them; examples are windows of the model's length |
| translation | .tsv, a source and a target a line |
| captions | a folder with captions.tsv, an image and its caption a line |
| labels | .npz with `images` and `labels` |
"""

import codecs
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, Shaped

import zoo
from sample.media.characters import decode, encode
from sample.media.image_files import Binarise, stream_images
from sample.media.pixel_files import read_pixels
from zoo.core.checks import kind
from zoo.formats import tsv, vocabulary
from zoo.formats.arrays import map_array, read_arrays
from zoo.formats.csv_cells import Reading
from zoo.formats.csv_files import column_names, stream_csv
from zoo.formats.vocabulary import BYTES
from zoo.foundation.files import files_below

PIECE = 1 << 20  # bytes of a text that are looked at together
AS_WRITTEN = Reading(flags="--")


class Examples(NamedTuple):
    """Some examples of a file.

    Attributes:
      x: values [n, *site_shape, *event_shape].
      context: what the model conditions on, [n, ...], or None.
      names: a name for each.
      sites: how many leading sites of each are its own, [n]; the rest is filling.
    """

    x: Shaped[np.ndarray, "n ..."]
    context: Any
    names: list[str]
    sites: Int[np.ndarray, " n"] | None = None


def rows_of(examples: Examples) -> list[np.ndarray]:
    """Each example without filling.

    Example:
      >>> rows = rows_of(Examples(np.array([[1, 2], [3, 0]]), None, ["a", "b"], np.array([2, 1])))
      >>> [row.tolist() for row in rows]
      [[1, 2], [3]]
    """
    if examples.sites is None:
        return list(examples.x)
    return [row[:count] for row, count in zip(examples.x, examples.sites, strict=True)]


def images(
    model: zoo.Generative, path: Path, size: int, binarise: Binarise = "none", fit: bool = False
) -> Iterator[Examples]:
    """Images of a picture, a folder, an .npy or an .npz; `fit` makes pictures fit the model."""
    if path.suffix == ".npz":
        yield from _packed(model, path, size)
        return
    for names, x in stream_images(model, path, size, binarise, fit):
        yield Examples(x, None, names)


def rows(
    model: zoo.Generative,
    path: Path,
    size: int,
    reading: Reading = AS_WRITTEN,
) -> Iterator[Examples]:
    """Rows of a .csv, an .npy or an .npz."""
    if path.suffix in (".npy", ".npz"):
        yield from arrays(model, path, size)
        return
    _check_file(path, ".csv, an .npy or an .npz")
    _, lines = stream_csv(path, reading.for_file(column_names(path, reading)))
    shape = (-1, *model.site_shape, *model.head.event_shape)
    start = 0
    while part := list(itertools.islice(lines, size)):
        if len(part[0]) != model.num_dims:
            raise ValueError(
                f"{path} has {len(part[0])} columns, but this {kind(model)} describes "
                f"{model.num_dims}: choose columns by --columns or --drop, or another file."
            )
        x = np.array(part)
        if model.head.num_values is not None and not (x == np.round(x)).all():
            raise ValueError(f"{path} has real numbers, but this {kind(model)} describes levels.")
        yield Examples(x.astype(model.head.dtype).reshape(shape), None, _numbers(start, len(x)))
        start += len(x)
    if not start:
        raise ValueError(f"{path} has names but no rows; expected one row of numbers a line.")


def arrays(model: zoo.Generative, path: Path, size: int) -> Iterator[Examples]:
    """Values in an .npy, which stay in the file until they are used, or in an .npz."""
    if path.suffix == ".npz":
        yield from _packed(model, path, size)
        return
    _check_file(path, ".npy or an .npz")
    if path.suffix != ".npy":
        raise ValueError(f"{path} is neither an .npy nor an .npz of values of this {kind(model)}.")
    yield from of_array(model, map_array(path), None, size)


def of_array(model: zoo.Generative, x: Any, context: Any, size: int) -> Iterator[Examples]:
    """Values in memory or in a mapped file, `size` at a time."""
    import jax

    if not len(np.shape(x)) or not len(x):
        raise ValueError(f"there are no examples: expected values [N, ...] of {kind(model)}.")
    for start in range(0, len(x), size):
        part = slice(start, start + size)
        values = np.asarray(x[part])
        if model.head.num_values is None and values.dtype.kind in "fiu":
            values = values.astype(model.head.dtype)
        given = jax.tree.map(lambda leaf: np.asarray(leaf[part]), context)  # noqa: B023
        yield Examples(values, given, _numbers(start, len(values)))


def _packed(model, path, size):
    """Values of an .npz, called `images` or alone, and perhaps `labels`."""
    _check_file(path, ".npz")
    found = read_arrays(path)
    labels = found.pop("labels", None)
    if "images" not in found and len(found) != 1:
        raise ValueError(
            f"{path} holds {', '.join(found) or 'nothing'}; expected `images`, and perhaps `labels`."
        )
    x = found.get("images", next(iter(found.values())))
    if labels is not None and len(labels) != len(x):
        raise ValueError(f"{path} has {len(x):,} images and {len(labels):,} labels.")
    if model.kind == "labels":
        if labels is None:
            raise ValueError(f"{path} has no `labels`, whose likelihood {kind(model)} knows.")
        yield from of_array(model, np.asarray(labels).reshape(len(labels), -1), x, size)
        return
    is_conditional = model.example(1)[1] is not None
    yield from of_array(model, x, labels if is_conditional else None, size)


def texts(model: Any, path: Path, size: int) -> Iterator[Examples]:
    """Windows of texts, each from its start and without a past; the last is perhaps shorter."""
    if not model.vocabulary:
        yield from arrays(model, path, size)
        return
    unit = "byte" if model.vocabulary == BYTES else "character"
    windows = (
        (f"{file.name}, {unit} {start:,}", window)
        for file in files_below(path, ".txt")
        for start, window in _windows(_tokens(model, file), model.num_sites)
    )
    yield from _of_windows(model, windows, size, path)


def sounds(model: Any, path: Path, size: int) -> Iterator[Examples]:
    """Windows of recordings, each from its start and without a past; the last is perhaps shorter."""
    if path.suffix in (".npy", ".npz"):
        yield from arrays(model, path, size)
        return
    windows = (
        (f"{file.name}, {start / model.rate:.3f} s", window)
        for file in files_below(path, ".wav")
        for start, window in _windows([_levels(model, file)], model.num_sites)
    )
    yield from _of_windows(model, windows, size, path)


def pairs(model: Any, path: Path, size: int) -> Iterator[Examples]:
    """Targets given their sources."""
    lines = tsv.stream_rows(path, ("source", "target"))
    while part := list(itertools.islice(lines, size)):
        sources = [vocabulary.pieces(source, model.unit) for source, _ in part]
        context, _ = vocabulary.codes(sources, model.source_vocabulary, end=False)
        # In steps of 16, so that few lengths, each compiled once, serve all batches.
        context = np.pad(context, ((0, 0), (0, -context.shape[1] % 16)))
        targets = [target for _, target in part]
        yield Examples(_targets(model, targets, path), context, [f"{a} -> {b}" for a, b in part])


def captions(model: Any, path: Path, size: int) -> Iterator[Examples]:
    """Captions given their images."""
    lines = tsv.stream_rows(path / "captions.tsv", ("image", "caption"), ("split",))
    while part := list(itertools.islice(lines, size)):
        pixels = np.concatenate([read_pixels(model, path / name) for name, _, _ in part])
        targets = [text for _, text, _ in part]
        names = [f"{name}: {text}" for name, text, _ in part]
        yield Examples(_targets(model, targets, path), pixels, names)


def _targets(model, texts, path):
    """Tokens of texts with their end, filled up with padding."""
    tokens = [vocabulary.pieces(text, model.unit) for text in texts]
    x, _ = vocabulary.codes(tokens, model.vocabulary, end=True)
    if x.shape[1] > model.num_sites:
        longest = max(texts, key=len)
        raise ValueError(
            f"{path} has a target of {x.shape[1]} tokens with its end, but this {kind(model)} "
            f"writes at most {model.num_sites}: take {longest[:40]!r}... out."
        )
    return np.pad(x, ((0, 0), (0, model.num_sites - x.shape[1])), constant_values=model.pad)


def text_of(model: Any, x: Int[np.ndarray, " length"]) -> str:
    """The text of tokens; the tokens themselves where they stand for no text."""
    return decode(model, x) if model.vocabulary else " ".join(map(str, np.asarray(x).tolist()))


def _of_windows(model, windows, size, path):
    """Windows of levels, filled up to the model's length."""
    empty = True
    while part := list(itertools.islice(windows, size)):
        x = np.zeros((len(part), model.num_sites), np.int32)
        for row, (_, window) in zip(x, part, strict=True):
            row[: len(window)] = window
        sites = np.array([len(window) for _, window in part])
        yield Examples(x, None, [name for name, _ in part], sites)
        empty = False
    if empty:
        raise ValueError(f"{path} is empty: there is nothing to score.")


def _windows(pieces: Iterable[np.ndarray], length: int) -> Iterator[tuple[int, np.ndarray]]:
    """Consecutive windows of a line that comes in pieces, with where each starts."""
    kept, start = np.zeros(0, np.int32), 0
    for piece in pieces:
        kept = np.concatenate([kept, piece])
        while len(kept) >= length:
            yield start, kept[:length]
            kept, start = kept[length:], start + length
    if len(kept):
        yield start, kept


def _tokens(model, file):
    """The tokens of a text, a piece at a time."""
    reader = codecs.getincrementaldecoder("utf-8-sig")()
    with file.open("rb") as opened:
        while piece := opened.read(PIECE):
            if model.vocabulary == BYTES:
                yield np.frombuffer(piece, np.uint8).astype(np.int32)
            else:
                yield _encoded(model, reader, piece, file)
    if model.vocabulary != BYTES:
        yield _encoded(model, reader, b"", file)


def _encoded(model, reader, piece, file):
    try:
        return encode(model, reader.decode(piece, final=not piece))
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{file} is not a text in UTF-8 ({error.reason}); convert it first."
        ) from None
    except ValueError as error:
        raise ValueError(
            f"{file}: {error} Models of bytes (--data.unit byte) read any text."
        ) from None


def _levels(model, file):
    wave = zoo.read_wav(file, model.rate)
    return zoo.quantise(wave, model.head.num_values, model.companding)


def _check_file(path, suffix):
    if not path.is_file():
        raise ValueError(f"there is no file {path}; expected a {suffix}.")


def _numbers(start, count):
    return [str(i) for i in range(start, start + count)]
