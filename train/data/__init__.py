"""Data: `load(Data(...))` gives a `Dataset`, `Batches` its training stream, `batches` its evaluation batches."""

from train.data.batches import Batches, Streams, Windows, batches, shortened
from train.data.dataset import Data, DataError, Dataset, Split, lines, ragged

__all__ = [
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


def load(data: Data) -> Dataset:
    """The chosen data: `train.kinds.load`, where every kind has its loaders."""
    from train import kinds

    return kinds.load(data)
