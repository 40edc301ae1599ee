"""Your own images that need not fit into memory: a folder of .npy arrays, read as they are used.

- `train.npy` and `test.npy`, optionally `valid.npy`: uint8 `[N, H, W]` or `[N, H, W, 3]`;
- optionally `train_labels.npy`, `test_labels.npy` (and `valid_labels.npy`): integers from 0, `[N]`.

The file is mapped into memory, so the system reads the examples of a batch when the batch is made.
Without `valid.npy` the last `--data.valid` training images are held out, at most a tenth of them.
Nobody looks for images that occur twice: that would need all of them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from train.data.dataset import Data, DataError, Dataset, Split
from zoo.formats.arrays import map_array

Classes = Callable[[Path, list[Any]], tuple[int | None, tuple[str, ...]]]
SPLITS = ("train", "valid", "test")
BLOCK = 2**24  # bytes that are looked at together
NOTE = "the images stay in their files, and nobody looked for those that occur twice"


def is_mapped(folder: Path) -> bool:
    """Whether a folder holds arrays and no image files."""
    return (folder / "train.npy").is_file()


def mapped_images(data: Data, folder: Path, classes: Classes) -> Dataset:
    """The images in the .npy files of a folder; `classes` counts and checks their labels.

    Raises:
      DataError: a file is missing, strange or of another shape than the others.
    """
    names = {path.name for path in folder.iterdir() if path.name[0] != "."}
    known = {f"{split}{kind}.npy" for split in SPLITS for kind in ("", "_labels")}
    if strange := sorted(names - known):
        raise DataError(f"{folder} holds {strange[0]} beside train.npy: take it out of the folder.")
    if "test.npy" not in names:
        raise DataError(f"{folder} holds train.npy, but no test.npy: write one.")
    found = [split for split in SPLITS if f"{split}.npy" in names]
    labelled = [split for split in found if f"{split}_labels.npy" in names]
    if labelled not in ([], found):
        raise DataError(f"{folder} has labels for {labelled[0]} only: give them for all or none.")
    splits = {split: _split(folder, split, bool(labelled)) for split in found}
    shapes = {split: each.x.shape[1:] for split, each in splits.items()}
    if len(set(shapes.values())) > 1:
        raise DataError(f"{folder} has images of different shapes: {shapes}")
    if "valid" not in splits:
        splits["train"], splits["valid"] = _held_out(splits["train"], data.valid)
    largest = max(_largest(split.x) for split in splits.values())
    levels = 2 if largest < 2 else data.levels if largest < data.levels else 256
    if data.binarise == "threshold" or data.levels < levels:
        raise DataError(
            f"{folder} stays in its files, so its values cannot be changed as a whole: drop "
            "--data.levels and --data.binarise threshold, or write the arrays as you want them."
        )
    count, notes = classes(folder, [each.context for each in splits.values() if labelled])
    return Dataset(
        data.name,
        f"{data.name} ({len(splits['train'].x):,} training images, in files)",
        **splits,
        num_levels=levels,
        num_classes=count,
        notes=(NOTE, *notes),
    )


def _split(folder, name, labelled):
    try:
        x = map_array(folder / f"{name}.npy")
        labels = np.array(map_array(folder / f"{name}_labels.npy")) if labelled else None
    except ValueError as error:
        raise DataError(str(error)) from None
    if x.dtype != np.uint8 or not (x.ndim == 3 or (x.ndim == 4 and x.shape[3] == 3)) or not x.size:
        raise DataError(
            f"{folder / name}.npy is {x.dtype} {x.shape}, expected uint8 [N, H, W] or [N, H, W, 3]"
        )
    if labels is None:
        return Split(x, None)
    if labels.shape != x.shape[:1] or labels.dtype.kind not in "iu" or labels.min() < 0:
        raise DataError(
            f"{folder / name}_labels.npy is {labels.dtype} {labels.shape}, expected {len(x)} "
            "integers from 0"
        )
    return Split(x, labels.astype(np.int32))


def _held_out(split, valid):
    """The split without its last examples, and these; both still in their file."""
    count = min(valid, max(1, len(split.x) // 10))
    if not 0 < count < len(split.x):
        raise DataError(f"cannot hold out {count} of {len(split.x)} training images; add valid.npy")
    parts = slice(None, -count), slice(-count, None)
    x, labels = split
    first, last = (Split(x[p], None if labels is None else labels[p]) for p in parts)
    return first, last


def _largest(x):
    """The largest value, block by block."""
    rows = max(1, BLOCK // max(1, x[:1].nbytes))
    return max(int(x[start : start + rows].max()) for start in range(0, len(x), rows))
