"""Images: one bit, grey or colour, from files or from the standard sets."""

import io
from typing import Any

import numpy as np

from train.data.dataset import take
from train.data.own.resize import fitted
from train.data.quantise import convert
from train.data.sources.embedded import digits, mnist_1bit
from train.data.sources.images import images
from train.data.sources.placed import cluttered, translated
from train.data.sources.standard import standard
from train.kinds.arrays import Arrays
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

    def keep(self, dataset, folder):
        """The first images of the test split, with their labels if the model was told them."""
        test = take(dataset.test, slice(KEPT))
        arrays: dict[str, Any] = {"x": test.x}
        arrays |= {} if test.context is None else {"labels": test.context}
        packed = io.BytesIO()
        np.savez_compressed(packed, **arrays)
        write_whole(folder / TEST, packed.getvalue())


KIND = Images()
