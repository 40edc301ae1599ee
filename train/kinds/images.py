"""Images: one bit, grey or colour, from files or from the standard sets."""

import dataclasses
import io
import os
from pathlib import Path
from typing import Any

import numpy as np

from train.data.dataset import Data, DataError, Dataset, Split, take
from train.data.own.image_folders import read_files
from train.data.own.resize import fitted
from train.data.quantise import brightness, convert
from train.data.sources.embedded import digits, mnist_1bit
from train.data.sources.images import all_images, images
from train.data.sources.mapped import is_mapped
from train.data.sources.placed import cluttered, translated
from train.data.sources.standard import standard
from train.kinds.arrays import Arrays
from train.kinds.kind import named
from zoo.formats.arrays import array_names
from zoo.foundation.files import write_whole

TEST = "test.npz"  # in the run's folder
KEPT = 16  # images of the test split in it


class Images(Arrays):
    """Images are binarised or requantised as the flags say."""

    name = "images"
    holds = "images"
    example = "mnist_1bit"
    own = "images"
    flags = (
        "size",
        "grey",
        "binarise",
        "levels",
        "class_level",
        "arrays",
        "label_arrays",
        "valid",
        "classes",
        "train",
        "train_seed",
        "mutate",
        "digits",
        "canvas",
        "clutter",
    )
    own_flags = ("class_level", "arrays", "label_arrays")
    recipe = {"steps": 5_000}
    loaders = {
        "mnist_1bit": mnist_1bit,
        "digits": digits,
        "mnist": standard,
        "binarized_mnist": standard,
        "fashion_mnist": standard,
        "cifar10": standard,
        "translated": translated,
        "cluttered": cluttered,
        "images": images,
    }

    def loaded(self, dataset, data):
        return convert(fitted(dataset, data), data)

    def whole(self, model, data, reading):
        """A picture, a folder of pictures of any size, an .npy or an .npz."""
        path, shape = Path(os.path.expanduser(data.path)), _shape(model)
        level = data.class_level if data.classes else 0
        pictures = {"size": shape[:2], "grey": len(shape) == 2} if len(shape) > 1 else {}
        if path.is_dir() and not is_mapped(path):
            return all_images(dataclasses.replace(data, class_level=level, **pictures))
        data = dataclasses.replace(data, class_level=1, levels=model.head.num_values or 256)
        if path.suffix in (".npy", ".npz") and not {*data.arrays} <= {*array_names(path)}:
            data = dataclasses.replace(data, arrays=(), label_arrays=())
        if path.is_dir() or path.suffix in (".npy", ".npz"):
            return all_images(data)
        _, x = read_files([path], dataclasses.replace(data, **pictures))
        whole = Split(x, None)
        return Dataset(data.name, "one picture", whole, whole, whole, 2 if x.max() < 2 else 256)

    def alike(self, model, dataset, binarise):
        """Images are resized, turned into grey, and get the levels of the model by their
        brightness.
        """
        shape, levels = _shape(model), model.head.num_values
        if None in (levels, dataset.num_levels) or dataset.test.x.ndim < 3 or len(shape) < 2:
            return super().alike(model, dataset, binarise)
        dataset = fitted(dataset, Data(size=shape[:2], grey=len(shape) == 2))
        return super().alike(model, _in_levels(dataset, model, levels, binarise), binarise)

    def keep(self, dataset, folder):
        """The first images of the test split, with their labels if the model was told them."""
        test = take(dataset.test, slice(KEPT))
        arrays: dict[str, Any] = {"x": test.x}
        arrays |= {} if test.context is None else {"labels": test.context}
        packed = io.BytesIO()
        np.savez_compressed(packed, **arrays)
        write_whole(folder / TEST, packed.getvalue())


def _in_levels(dataset, model, levels, binarise):
    """Images in so many levels, by their brightness."""
    own, said = dataset.num_levels, dataset.description
    if own == levels:
        return dataset
    if levels == 2 and binarise == "none":
        raise DataError(
            f"{dataset.name} has {own} levels, but {named(model)} describes bits: add "
            "--binarise threshold (grey > 127) or dynamic (drawn with probability grey/255)."
        )
    grey = dataset.map(lambda split: split._replace(x=brightness(split.x, own)))
    how = {"binarise": binarise} if levels == 2 else {"levels": levels}
    dataset = convert(dataclasses.replace(grey, num_levels=256), Data(**how))
    what = f"binarised ({binarise})" if levels == 2 else f"{own} levels as {levels}"
    return dataclasses.replace(dataset, description=f"{said}, {what}")


def _shape(model):
    """The shape of the model's images; (height, width) of grey ones."""
    shape = (*model.site_shape, *model.head.event_shape)
    return shape[:2] if shape[2:] == (1,) else shape


KIND = Images()
