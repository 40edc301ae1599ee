"""Data: what a data set is, the training streams, and the loaders; `train.kinds.load(Data(...))` gives a `Dataset`."""

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
    "ragged",
    "shortened",
]
