"""Data: `load(Data(...))` gives a `Dataset`, `Batches` its training stream, `batches` its
evaluation batches.
"""

from train.data.batching import Batches, Streams, Windows, batches, shortened
from train.data.dataset import Data, DataError, Dataset, Split, lines, ragged
from train.data.loading import load

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
