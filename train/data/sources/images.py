"""Your own images: an .npz, an .npy, or a folder of image files.

- `.npz` with `train` and `test`, optionally `valid`, and labels for all of them or none:
  `train_labels`, `test_labels`, `valid_labels`; or with arrays of other names, which
  `--data.arrays` and `--data.label-arrays` choose;
- `.npz` with one array of images under any name, optionally `labels`; or `.npy`: split 80/10/10 by
  a fixed permutation;
- a folder of image files (see `image_folders`), split 80/10/10 likewise;
- a folder of arrays that need not fit into memory: see `mapped`.

Arrays are `[N, H, W]`, `[N, H, W, 1 or 3]` or `[N, 1 or 3, H, W]`, or vectors `[N, D]`, which stay as
they are; uint8, bool or as `zoo.formats.arrays.as_pixels` reads numbers. Without `valid`, the last
`--data.valid` training images are held out, at most a tenth of them.

Images that are equal to the model (after `--data.size`, `--data.grey`, `--data.levels` and
`--data.binarise`) stay in one split, unless they are frequent or the file itself names the splits.

Values 0 and 1 alone make 2 levels; arrays below `--data.levels` are taken as they
are; everything else is 256 levels, requantised to `--data.levels`.
"""

import os
from pathlib import Path

import numpy as np

from train.data.dataset import (
    Data,
    DataError,
    Dataset,
    Split,
    content_keys,
    hold_out,
    shared,
    take,
    thirds,
)
from train.data.grouping import frequent_note
from train.data.own.image_arrays import RELABEL, SPLITS, read_splits
from train.data.own.image_folders import read_folder
from train.data.own.resize import asked
from train.data.quantise import seen
from train.data.sources.mapped import is_mapped, mapped_images


def images(data: Data) -> Dataset:
    """The user's own images at `data.path`."""
    if data.path is None:
        raise DataError(
            "images needs your own data: pass --data.path FILE.npz, FILE.npy or a folder of "
            "image files"
        )
    path = Path(os.path.expanduser(data.path))
    if is_mapped(path):
        if asked(data) or data.arrays or data.class_level != 1:
            raise DataError(
                f"{path} holds arrays that stay in their files: drop --data.size, --data.grey, "
                "--data.arrays and --data.class-level"
            )
        return mapped_images(data, path, _classes)
    splits, names, said, levels = _read(path, data)

    def keys(name):
        return content_keys(seen(splits[name].x, levels, data))

    often: tuple[str, ...] = ()
    if "all" in splits:
        often = frequent_note(keys("all"), "images")
        splits = _cut(splits["all"], keys("all"), path)
    elif "valid" not in splits:
        count = min(data.valid, max(1, len(splits["train"].x) // 10))
        often = frequent_note(keys("train"), "training images")
        splits["train"], splits["valid"] = hold_out(splits["train"], count, keys("train"))
    labels = [split.context for split in splits.values() if split.context is not None]
    classes, empty = _classes(path, labels)
    notes = (*said, *often, *shared(keys("train"), keys("test"), "images"), *empty)
    x = splits["train"].x
    what = f"vectors of {x.shape[1]}" if x.ndim == 2 else "images"
    title = f"{data.name} ({len(x):,} training {what})"
    return Dataset(
        data.name,
        title,
        splits["train"],
        splits["valid"],
        splits["test"],
        num_levels=levels,
        num_classes=classes,
        class_names=names,
        notes=notes,
    )


def all_images(data: Data) -> Dataset:
    """All of the user's own images at `data.path`, in their order, as each split; of a folder of
    arrays those of its test split.

    Raises:
      DataError: as for `images`.
    """
    path = Path(os.path.expanduser(data.path or ""))
    if is_mapped(path):
        mapped = mapped_images(data, path, _classes)
        return mapped.map(lambda _: mapped.test)
    splits, names, _, levels = _read(path, data)
    x = np.concatenate([split.x for split in splits.values()])
    labels = [split.context for split in splits.values() if split.context is not None]
    whole = Split(x, np.concatenate(labels) if labels else None)
    classes, _ = _classes(path, labels)
    title = f"{data.name}, {len(x):,} images"
    return Dataset(
        data.name, title, whole, whole, whole, levels, num_classes=classes, class_names=names
    )


def _read(path, data):
    """The images of each split that a file names, or of `all`; the names of classes, notes on how
    numbers were read, and how many levels there are.
    """
    if data.label_arrays and not data.arrays:
        raise DataError("--data.label-arrays are the labels of --data.arrays: pass both")
    names: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    if path.is_dir():
        if data.arrays:
            raise DataError(f"--data.arrays chooses from an .npz, and {path} is a folder: drop it")
        whole, names = read_folder(path, data)
        splits = {"all": whole}
    elif not path.exists():
        raise DataError(
            f"there is nothing at {path}; --data.path needs an .npz, an .npy or a folder of "
            "image files"
        )
    elif path.suffix in (".npz", ".npy"):
        if data.class_level != 1:
            raise DataError(f"--data.class-level is for folders, and {path} is a file: drop it")
        splits, said = read_splits(path, data)
    else:
        raise DataError(
            f"{path} is neither an .npz, an .npy nor a folder of image files{_other_kind(path)}"
        )
    largest = max(int(split.x.max(initial=0)) for split in splits.values())
    are_levels = path.is_file() and largest < data.levels and not asked(data)
    levels = 2 if largest < 2 else min(data.levels, 256) if are_levels else 256
    return splits, names, said, levels


def _other_kind(path):
    """What to do with a file that looks like data of another kind."""
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv", ".data"):
        return "; for a table add --data.name table"
    if suffix in (".txt", ".md"):
        return "; texts are read by models such as lstm, gru and transformer"
    return "; sounds are read by wavenet: pass their folder" if suffix == ".wav" else ""


def _cut(whole, keys, path):
    parts = thirds(keys, f"{path} holds {len(keys)} images")
    return {name: take(whole, index) for name, index in zip(SPLITS, parts, strict=True)}


def _classes(path, labels):
    """How many classes there are, and a note if some of them have no images; refused if most have
    none.
    """
    if not labels:
        return None, ()
    seen = len(np.unique(np.concatenate(labels)))
    count = 1 + max(int(each.max()) for each in labels)
    if count > 2 * seen:
        raise DataError(
            f"{path}: the labels 0..{count - 1} name {count:,} classes, but only {seen} occur; "
            f"{RELABEL}"
        )
    return count, (f"{count - seen} of {count} classes have no images",) if seen < count else ()
