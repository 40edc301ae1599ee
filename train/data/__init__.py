"""Data: `load(Data(...))` gives a `Dataset`, `Batches` its training stream, `batches` its evaluation batches."""

import dataclasses
import difflib
import os
from collections.abc import Callable
from pathlib import Path

from train.data.audio import sounds, spoken_digit, tones
from train.data.dataset import Data, DataError, Dataset, Split, lines, ragged
from train.data.described import captions, digit_words, scenes
from train.data.embedded import digits, mnist_1bit
from train.data.images import images
from train.data.standard import standard
from train.data.stream import Batches, Streams, Windows, batches, shortened
from train.data.tables import bundled, red_wine, table
from train.data.texts import python_docs, text, tiny_shakespeare
from train.data.translations import dates, multi30k, pairs
from train.data.values import convert
from zoo.arguments import checked

__all__ = [
    "NAMES",
    "Batches",
    "Data",
    "DataError",
    "Dataset",
    "Split",
    "Streams",
    "Windows",
    "batches",
    "lines",
    "load",
    "ragged",
    "shortened",
]

IMAGES: dict[str, Callable[[Data], Dataset]] = {
    "mnist_1bit": mnist_1bit,
    "digits": digits,
    "mnist": standard,
    "binarized_mnist": standard,
    "fashion_mnist": standard,
    "cifar10": standard,
    "images": images,
}
TABLES: dict[str, Callable[[Data], Dataset]] = {
    "wine": bundled,
    "breast_cancer": bundled,
    "diabetes": bundled,
    "red_wine": red_wine,
    "table": table,
}
TEXTS: dict[str, Callable[[Data], Dataset]] = {
    "python_docs": python_docs,
    "tiny_shakespeare": tiny_shakespeare,
    "text": text,
}
SOUNDS: dict[str, Callable[[Data], Dataset]] = {
    "tones": tones,
    "spoken_digit": spoken_digit,
    "sounds": sounds,
}
PAIRS: dict[str, Callable[[Data], Dataset]] = {"dates": dates, "multi30k": multi30k, "pairs": pairs}
CAPTIONS: dict[str, Callable[[Data], Dataset]] = {"scenes": scenes, "digit_words": digit_words, "captions": captions}
OWN = ((IMAGES, images), (TABLES, table), (TEXTS, text), (SOUNDS, sounds), (PAIRS, pairs), (CAPTIONS, captions))
PUBLISHED = ("red_wine", "multi30k")  # at data.path lie their own files
LOADERS = {**IMAGES, **TABLES, **TEXTS, **SOUNDS, **PAIRS, **CAPTIONS}
NAMES = tuple(LOADERS)


@checked()
def load(data: Data) -> Dataset:
    """The chosen data; your own have the name of their file or folder.

    Raises:
      DataError: they cannot be had; the message says what to do.
    """
    if data.name not in LOADERS:
        near = difflib.get_close_matches(data.name, NAMES, cutoff=0.4) or NAMES
        raise DataError(
            f"there is no data set {data.name!r}; did you mean {' or '.join(near)}? All: {', '.join(NAMES)}"
        )
    kind, loader = next((kind, loader) for kind, loader in OWN if data.name in kind)
    if (data.drop or data.header != "auto") and (loader is not table or data.path is None or data.name in PUBLISHED):
        raise DataError(f"--data.drop and --data.header are for your own table, not for {data.name}: drop them")
    if data.path is None or data.name in PUBLISHED:
        dataset = kind[data.name](data)
    else:
        path = Path(os.path.expanduser(data.path))
        dataset = loader(dataclasses.replace(data, name=path.name or path.resolve().name))
    return convert(dataset, data) if kind is IMAGES else dataset
