"""Folders of image files: of one size and mode (1 bit, grey or RGB), unless `--data.size` and
`--data.grey` make them so. Sub-folders of the level `--data.class-level` are classes, whose names in
alphabetical order become the labels 0, 1, ...
"""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from train.data.dataset import Data, DataError, Split
from train.data.own.image_arrays import SPLITS
from train.data.own.resize import target


def read_folder(path: Path, data: Data) -> tuple[Split, tuple[str, ...]]:
    """The images of a folder with the labels of their classes, and the names of the classes.

    Raises:
      DataError: it holds no images, or other files, or folders that are no classes.
    """
    level = data.class_level
    if level < 0:
        raise DataError(f"--data.class-level counts levels of sub-folders from 0; got {level}")
    if not _entries(path):
        raise DataError(f"{path} is empty; expected image files, or one sub-folder of them a class")
    if level == 0 or (level == 1 and not any(each.is_dir() for each in _entries(path))):
        return Split(read_files(_files(path), data)[1], None), ()
    folders = _folders(path, level)
    if {folder.name for folder in folders} & set(SPLITS):
        raise DataError(
            f"{path} has the sub-folders of a split, {folders[0].name}: sub-folders are classes; "
            "use an .npz"
        )
    files = [_files(folder) for folder in folders]
    if not all(files):
        raise DataError(
            f"{folders[files.index([])]} is empty; every sub-folder is a class and needs images"
        )
    labels = np.repeat(np.arange(len(files), dtype=np.int32), [len(each) for each in files])
    _, x = read_files([file for each in files for file in each], data)
    names = tuple(folder.relative_to(path).as_posix() for folder in folders)
    return Split(x, labels), names


def _folders(path, level):
    """The sub-folders of a level, which all images lie in."""
    folders = [path]
    for depth in range(1, level + 1):
        entries = [entry for folder in folders for entry in _entries(folder)]
        folders = [entry for entry in entries if entry.is_dir()]
        if stray := [entry for entry in entries if not entry.is_dir()]:
            where = "sub-folders and files" if folders else "files and no sub-folders"
            of = "" if level == 1 else f" at level {depth}, and --data.class-level is {level}"
            raise DataError(
                f"{stray[0].parent} has {where} ({stray[0].name}){of}; expected one or the other: "
                "move them, or choose another --data.class-level (0: no classes)"
                if level > 1
                else f"{path} mixes sub-folders and files ({stray[0].name}); expected one or the "
                "other, or pass --data.class-level 0: no classes"
            )
    return folders


def _entries(folder):
    return [entry for entry in sorted(folder.iterdir()) if not entry.name.startswith(".")]


def _files(folder):
    """All files in a folder and below, but hidden ones."""
    return [file for file in sorted(folder.rglob("*")) if file.is_file() and file.name[0] != "."]


def read_files(
    files: list[Path], data: Data
) -> tuple[str, UInt8[np.ndarray, "files height width *channels"]]:
    """The mode of image files, and their pixels in the size and colour that `data` asks for; see
    `read_picture`.

    Raises:
      DataError: a file is no image, or is then of another size or mode than the first.
    """
    from zoo.formats.arrays import check_size
    from zoo.formats.pictures import fit_picture, read_picture

    size, colour = target(data), False if data.grey else None
    x, first = [], None
    for file in files:
        try:
            mode, pixels = fit_picture(*read_picture(file), size, colour)
        except ValueError as error:
            raise DataError(
                f"{error} Take it out of the folder if it does not belong there."
            ) from None
        if size is not None and mode == "1":  # others of another size are grey
            mode, pixels = "L", pixels * np.uint8(255)
        if first is None:
            first = (file, mode, pixels.shape)
            check_size(
                len(files) * pixels.nbytes,
                f"{file.parent} with {len(files):,} pictures like {file.name}",
            )
        if (mode, pixels.shape) != first[1:]:
            raise DataError(
                f"{first[0]} is {_say(*first[1:])} but {file} is {_say(mode, pixels.shape)}; all "
                f"must be alike: {_advice(first[1:], (mode, pixels.shape))}"
            )
        x.append(pixels)
    return mode, np.stack(x)


def _advice(one, other):
    """The flags that make two pictures alike."""
    flags = []
    if one[1][:2] != other[1][:2]:
        flags.append(f"--data.size {min(*one[1][:2], *other[1][:2])}")
    if one[0] != other[0]:
        flags.append("--data.grey" if "RGB" in (one[0], other[0]) else "--data.size (then grey)")
    return f"pass {' '.join(dict.fromkeys(flags))}"


def _say(mode, shape):
    return f"{shape[1]}x{shape[0]} {mode}"
