"""Your own images that need not fit into memory: a folder of arrays or records, read as they are used.

- `train.npy` and `test.npy`, optionally `valid.npy`: uint8 `[N, H, W]`, `[N, H, W, 3]` or vectors
  `[N, D]`;
- or `train.array_record` and so on, each record a picture's file, such as PNG; also in several files,
  `train-00000-of-00002.array_record` and so on;
- optionally `train_labels.npy`, `test_labels.npy` (and `valid_labels.npy`): integers from 0, `[N]`.

An .npy is mapped into memory, so the system reads the examples of a batch when the batch is made; the
training records of a batch are read and decoded then (those of the other splits at once). Without
validation images the last `--data.valid` training images are held out, at most a tenth of them.
Nobody looks for images that occur twice: that would need all of them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from train.data.dataset import Data, DataError, Dataset, Split
from train.data.in_files import blocks
from train.data.sources.records import SUFFIX, Records, record_files
from zoo.formats.arrays import map_array

Classes = Callable[[Path, list[Any]], tuple[int | None, tuple[str, ...]]]
SPLITS = ("train", "valid", "test")
NOTE = "the images stay in their files, and nobody looked for those that occur twice"


def is_mapped(folder: Path) -> bool:
    """Whether a folder holds arrays or records and no image files."""
    return (folder / "train.npy").is_file() or any(folder.glob(f"train*{SUFFIX}"))


def mapped_images(data: Data, folder: Path, classes: Classes) -> Dataset:
    """The images in the arrays or records of a folder; `classes` counts and checks their labels.

    Raises:
      DataError: a file is missing, strange or of another shape than the others.
    """
    names = {path.name for path in folder.iterdir() if path.name[0] != "."}
    files = {split: _files(folder, split) for split in SPLITS}
    train = files["train"][0].name
    known = {each.name for of_split in files.values() for each in of_split}
    if strange := sorted(names - known - {f"{split}_labels.npy" for split in SPLITS}):
        raise DataError(f"{folder} holds {strange[0]} beside {train}: take it out of the folder.")
    if not files["test"]:
        suffix = Path(train).suffix
        raise DataError(f"{folder} holds {train}, but no test{suffix}: write one.")
    found = [split for split in SPLITS if files[split]]
    labelled = [split for split in found if f"{split}_labels.npy" in names]
    if labelled not in ([], found):
        raise DataError(f"{folder} has labels for {labelled[0]} only: give them for all or none.")
    splits = {split: _split(folder, split, files[split], bool(labelled)) for split in found}
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


def _files(folder, split):
    """The files with the images of a split."""
    array = folder / f"{split}.npy"
    return [array] if array.is_file() else record_files(folder, split)


def _split(folder, name, files, labelled):
    try:
        x: Any = map_array(files[0]) if files[0].suffix == ".npy" else Records.of(files)
        if isinstance(x, Records) and name != "train":
            x = np.asarray(x)
        labels = np.array(map_array(folder / f"{name}_labels.npy")) if labelled else None
    except ValueError as error:
        raise DataError(str(error)) from None
    fits = x.ndim in (2, 3) or (x.ndim == 4 and x.shape[3] == 3)
    if x.dtype != np.uint8 or not fits or not x.size:
        raise DataError(
            f"{files[0]} is {x.dtype} {list(x.shape)}, expected uint8 [N, H, W], [N, H, W, 3] or "
            "vectors [N, D]: write it as one of them"
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
    return first, last._replace(x=np.asanyarray(last.x))


def _largest(x):
    """The largest value, block by block; of records, the largest that pictures of their mode have."""
    if isinstance(x, Records):
        return 1 if x.mode == "1" else 255
    return max(int(block.max()) for block in blocks(x))
