"""Images in an .npz or .npy: which array is what, and how its numbers are read."""

from pathlib import Path

import numpy as np

from train.data.dataset import Data, DataError, Split
from train.data.own.resize import asked, resized
from train.data.quantise import brightness
from zoo.formats.arrays import array_names, as_pixels, read_arrays

CLASSES = 2**16  # at most
SPLITS = ("train", "valid", "test")
RELABEL = "number the classes from 0 without gaps: np.unique(labels, return_inverse=True)[1]"
_ROLES = {1: ("all",), 2: ("train", "test"), 3: SPLITS}
_CHOOSE = (
    "choose by --data.arrays TRAIN TEST (or TRAIN VALID TEST, or one array), and "
    "--data.label-arrays for their labels"
)


def read_splits(path: Path, data: Data) -> tuple[dict[str, Split], tuple[str, ...]]:
    """The images and labels of each split that a file names, or of `all`, and notes on how they were
    read.

    Raises:
      DataError: the arrays are no images, or it is not clear which they are.
    """
    try:
        roles = _roles(path, data)
        arrays = read_arrays(path, {name for pair in roles.values() for name in pair if name})
        found = {role: arrays[name] for role, (name, _) in roles.items()}
        shown = {role: name for role, (name, _) in roles.items()}
        pixels, note = as_pixels({shown[role]: x for role, x in found.items()}, path)
    except ValueError as error:
        raise DataError(str(error)) from None
    images = {role: _images(path, shown[role], pixels[shown[role]]) for role in roles}
    if asked(data):
        images = _resized(path, images, data)
    splits = {
        role: Split(x, _labels(path, shown[role], len(x), roles[role][1], arrays))
        for role, x in images.items()
    }
    shapes = {name: split.x.shape[1:] for name, split in splits.items()}
    if len(set(shapes.values())) > 1:
        raise DataError(f"{path} has images of different shapes: {shapes}")
    return splits, (note,) if note else ()


def _roles(path, data):
    """{split: (its array, the array of its labels or None)}."""
    names = array_names(path)
    if data.arrays:
        return _chosen(path, data, names)
    found = [name for name in SPLITS if name in names]
    if {"train", "test"} <= set(found):
        if strange := set(names) - {f"{name}{kind}" for name in found for kind in ("", "_labels")}:
            raise DataError(
                f"{path} holds {', '.join(sorted(strange))} beside {', '.join(found)}; expected "
                f"only their labels: take it out, or {_CHOOSE}"
            )
        if len({f"{name}_labels" in names for name in found}) > 1:
            raise DataError(
                f"{path} has labels for some of {', '.join(found)} only: give them for all or "
                "for none"
            )
        labelled = f"{found[0]}_labels" in names
        return {name: (name, f"{name}_labels" if labelled else None) for name in found}
    label = next((name for name in ("labels", "train_labels") if name in names), None)
    others = [name for name in names if name != label]
    if len(others) != 1:
        raise DataError(
            f"{path} holds the arrays {', '.join(names) or '(none)'}; expected `train` and "
            f"`test`, or one array: {_CHOOSE}"
        )
    return {"all": (others[0], label)}


def _chosen(path, data, names):
    wanted, labels = data.arrays, data.label_arrays
    if path.suffix == ".npy":
        raise DataError(f"--data.arrays chooses from an .npz, and {path} is one array: drop it")
    if len(wanted) > 3:
        raise DataError(f"--data.arrays names one to three arrays; got {len(wanted)}")
    if labels and len(labels) != len(wanted):
        raise DataError(
            f"--data.label-arrays names {len(labels)} arrays and --data.arrays {len(wanted)}: give "
            "as many, in the same order"
        )
    if absent := [name for name in (*wanted, *labels) if name not in names]:
        raise DataError(f"{path} has no array {absent[0]!r}; it holds {', '.join(names)}")
    if len({*wanted, *labels}) < len(wanted) + len(labels):
        raise DataError("--data.arrays and --data.label-arrays name an array twice")
    pairs = zip(wanted, labels or (None,) * len(wanted), strict=True)
    return dict(zip(_ROLES[len(wanted)], pairs, strict=True))


def _images(path, name, x):
    """Images with colours last, or vectors as they are."""
    if x.ndim == 4 and x.shape[3] not in (1, 3) and x.shape[1] in (1, 3):
        x = np.moveaxis(x, 1, 3)  # as PyTorch keeps them
    if x.ndim == 4 and x.shape[3] == 1:
        x = x[..., 0]
    if not (x.ndim in (2, 3) or (x.ndim == 4 and x.shape[3] == 3)) or not x.size:
        raise DataError(
            f"{path}: `{name}` has the shape {x.shape}, expected images [N, H, W] or [N, H, W, 3], "
            "or vectors [N, D]"
        )
    return np.ascontiguousarray(x)


def _resized(path, images, data):
    if any(x.ndim == 2 for x in images.values()):
        raise DataError(f"{path} holds vectors, no images: drop --data.size and --data.grey")
    levels = 2 if max(int(x.max()) for x in images.values()) < 2 else 256
    return {role: resized(brightness(x, levels), data) for role, x in images.items()}


def _labels(path, name, count, label_name, arrays):
    if label_name is None:
        return None
    labels = arrays[label_name]
    labels = labels[:, 0] if labels.shape[1:] == (1,) else labels
    if labels.shape != (count,) or labels.dtype.kind not in "iu" or labels.min() < 0:
        raise DataError(
            f"{path}: the labels of `{name}` are {labels.dtype} {labels.shape}, expected "
            f"{count} integers from 0"
        )
    if labels.max() >= CLASSES:
        raise DataError(
            f"{path}: the labels of `{name}` go up to {labels.max()}, expected less than "
            f"{CLASSES:,}; {RELABEL}"
        )
    return labels.astype(np.int32)
