"""Your own images: an .npz, an .npy, or a folder of image files.

- `.npz` with `train` and `test`, optionally `valid`, and labels for all of them or none:
  `train_labels`, `test_labels`, `valid_labels`;
- `.npz` with one array of images under any name, optionally `labels`; or `.npy`: split 80/10/10 by
  a fixed permutation;
- a folder of image files of one size and mode (1 bit, grey or RGB), split 80/10/10 likewise; or one
  sub-folder a class, whose names in alphabetical order become the labels 0, 1, ...
- a folder of arrays that need not fit into memory: see `mapped`.

Arrays are uint8 or bool, `[N, H, W]` or `[N, H, W, 3]`. Without `valid`, the last `--data.valid`
training images are held out, at most a tenth of them.

Images that are equal to the model (after `--data.levels` or `--data.binarise`) stay in
one split, unless they are frequent or the file itself names the splits.

Values 0 and 1 alone make 2 levels; arrays below `--data.levels` are taken as they
are; everything else is 256 levels, requantised to `--data.levels`.
"""

import os
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

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
from train.data.quantise import seen
from train.data.sources.mapped import is_mapped, mapped_images

CLASSES = 2**16  # at most
_SPLITS = ("train", "valid", "test")
_RELABEL = "number the classes from 0 without gaps: np.unique(labels, return_inverse=True)[1]"


def images(data: Data) -> Dataset:
    """The user's own images at `data.path`."""
    if data.path is None:
        raise DataError(
            "images needs your own data: pass --data.path FILE.npz, FILE.npy or a folder of "
            "image files"
        )
    path = Path(os.path.expanduser(data.path))
    if is_mapped(path):
        return mapped_images(data, path, _classes)
    if path.is_dir():
        splits = {"all": _folder(path)}
    elif not path.exists():
        raise DataError(
            f"there is nothing at {path}; --data.path needs an .npz, an .npy or a folder of "
            "image files"
        )
    elif path.suffix in (".npz", ".npy"):
        splits = _arrays(path)
    else:
        raise DataError(
            f"{path} is neither an .npz, an .npy nor a folder of image files{_other_kind(path)}"
        )
    largest = max(int(split.x.max(initial=0)) for split in splits.values())
    is_array = path.is_file()
    levels = (
        2 if largest < 2 else min(data.levels, 256) if is_array and largest < data.levels else 256
    )

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
    notes = (*often, *shared(keys("train"), keys("test"), "images"), *empty)
    title = f"{data.name} ({len(splits['train'].x):,} training images)"
    return Dataset(
        data.name,
        title,
        **splits,
        num_levels=levels,
        num_classes=classes,
        class_names=class_names(path) if classes else (),
        notes=notes,
    )


def class_names(path: Path) -> tuple[str, ...]:
    """The names of the sub-folders of a folder, each a class; () of a file."""
    if not path.is_dir():
        return ()
    return tuple(each.name for each in sorted(path.iterdir()) if each.name[0] != ".")


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
    return {name: take(whole, index) for name, index in zip(_SPLITS, parts, strict=True)}


def _arrays(path):
    from zoo.formats.arrays import read_arrays

    try:
        arrays = read_arrays(path)
    except ValueError as error:
        raise DataError(str(error)) from None
    found = [name for name in _SPLITS if name in arrays]
    if {"train", "test"} <= set(found):
        if strange := set(arrays) - {f"{name}{kind}" for name in found for kind in ("", "_labels")}:
            raise DataError(
                f"{path} holds {', '.join(sorted(strange))} beside {', '.join(found)}; expected "
                "only their labels"
            )
        labelled = {f"{name}_labels" in arrays for name in found}
        if len(labelled) > 1:
            raise DataError(
                f"{path} has labels for some of {', '.join(found)} only: give them for all or "
                "for none"
            )
        splits = {
            name: _split(path, name, arrays[name], arrays.get(f"{name}_labels")) for name in found
        }
        shapes = {name: split.x.shape[1:] for name, split in splits.items()}
        if len(set(shapes.values())) > 1:
            raise DataError(f"{path} has images of different shapes: {shapes}")
        return splits
    labels = arrays.pop("labels", arrays.pop("train_labels", None))
    if len(arrays) != 1:
        raise DataError(
            f"{path} holds the arrays {', '.join(arrays) or '(none)'}; expected `train` and "
            "`test`, or one array"
        )
    ((name, x),) = arrays.items()
    return {"all": _split(path, name, x, labels)}


def _split(path, name, x, labels):
    x = x.astype(np.uint8) if x.dtype == bool else x
    if x.dtype != np.uint8:
        raise DataError(
            f"{path}: `{name}` is {x.dtype}, expected uint8 (0..255) or bool; convert it first"
        )
    if not (x.ndim == 3 or (x.ndim == 4 and x.shape[3] == 3)) or not x.size:
        raise DataError(
            f"{path}: `{name}` has the shape {x.shape}, expected [N, H, W] or [N, H, W, 3]"
        )
    if labels is None:
        return Split(x, None)
    if labels.shape != x.shape[:1] or labels.dtype.kind not in "iu" or labels.min() < 0:
        raise DataError(
            f"{path}: the labels of `{name}` are {labels.dtype} {labels.shape}, expected "
            f"{len(x)} integers from 0"
        )
    if labels.max() >= CLASSES:
        raise DataError(
            f"{path}: the labels of `{name}` go up to {labels.max()}, expected less than "
            f"{CLASSES:,}; {_RELABEL}"
        )
    return Split(x, labels.astype(np.int32))


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
            f"{_RELABEL}"
        )
    return count, (f"{count - seen} of {count} classes have no images",) if seen < count else ()


def _folder(path):
    entries = [entry for entry in sorted(path.iterdir()) if not entry.name.startswith(".")]
    folders = [entry for entry in entries if entry.is_dir()]
    if not entries:
        raise DataError(f"{path} is empty; expected image files, or one sub-folder of them a class")
    if not folders:
        return Split(read_files(entries)[1], None)
    if len(folders) < len(entries):
        stray = next(entry for entry in entries if not entry.is_dir())
        raise DataError(
            f"{path} mixes sub-folders and files ({stray.name}); expected one or the other"
        )
    if {folder.name for folder in folders} & set(_SPLITS):
        raise DataError(
            f"{path} has the sub-folders of a split, {folders[0].name}: sub-folders are classes; "
            "use an .npz"
        )
    files = [
        [f for f in sorted(folder.rglob("*")) if f.is_file() and f.name[0] != "."]
        for folder in folders
    ]
    if not all(files):
        raise DataError(
            f"{folders[files.index([])]} is empty; every sub-folder is a class and needs images"
        )
    labels = np.repeat(np.arange(len(files), dtype=np.int32), [len(each) for each in files])
    return Split(read_files([file for each in files for file in each])[1], labels)


def read_files(files: list[Path]) -> tuple[str, UInt8[np.ndarray, "files height width *channels"]]:
    """The mode of image files, which have one size and mode, and their pixels; see `read_picture`.

    Raises:
      DataError: a file is no image, or of another size or mode than the first.
    """
    from zoo.formats.arrays import check_size
    from zoo.formats.pictures import read_picture

    x, first = [], None
    for file in files:
        try:
            mode, pixels = read_picture(file)
        except ValueError as error:
            raise DataError(
                f"{error} Take it out of the folder if it does not belong there."
            ) from None
        if first is None:
            first = (file, mode, pixels.shape)
            check_size(
                len(files) * pixels.nbytes,
                f"{file.parent} with {len(files):,} pictures like {file.name}",
            )
        if (mode, pixels.shape) != first[1:]:
            raise DataError(
                f"{first[0]} is {_say(*first[1:])} but {file} is {_say(mode, pixels.shape)}; all "
                "must be alike"
            )
        x.append(pixels)
    return mode, np.stack(x)


def _say(mode, shape):
    return f"{shape[1]}x{shape[0]} {mode}"
