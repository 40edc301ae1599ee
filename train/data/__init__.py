"""Data: `load(Data(...))` gives a `Dataset`, `Batches` its training stream, `batches` its evaluation batches."""

import difflib
from collections.abc import Callable

from train.data.audio import sounds, spoken_digit, tones
from train.data.dataset import Data, DataError, Dataset, Split, lines, ragged
from train.data.described import captions, digit_words, scenes
from train.data.embedded import digits, mnist_1bit
from train.data.images import images
from train.data.standard import standard
from train.data.stream import Batches, Streams, Windows, batches
from train.data.tables import bundled, red_wine, table
from train.data.texts import python_docs, text, tiny_shakespeare
from train.data.translations import dates, multi30k, pairs
from train.data.values import convert

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
LOADERS = {**IMAGES, **TABLES, **TEXTS, **SOUNDS, **PAIRS, **CAPTIONS}
NAMES = tuple(LOADERS)


def load(data: Data) -> Dataset:
    """Loads the chosen data, or raises a `DataError` that says what to do."""
    if data.name not in LOADERS:
        near = difflib.get_close_matches(data.name, NAMES, cutoff=0.4) or NAMES
        raise DataError(
            f"there is no data set {data.name!r}; did you mean {' or '.join(near)}? All: {', '.join(NAMES)}"
        )
    if data.name in TABLES:
        own = data.path is not None and data.name != "red_wine"
        return (table if own else TABLES[data.name])(data)
    if data.name in TEXTS:
        return (text if data.path is not None else TEXTS[data.name])(data)
    if data.name in SOUNDS:
        return (sounds if data.path is not None else SOUNDS[data.name])(data)
    if data.name in PAIRS:
        own = data.path is not None and data.name != "multi30k"
        return (pairs if own else PAIRS[data.name])(data)
    if data.name in CAPTIONS:
        return (CAPTIONS[data.name] if data.path is None else captions)(data)
    own = data.path is not None and data.name in IMAGES
    return convert((images if own else LOADERS[data.name])(data), data)
