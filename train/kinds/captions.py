"""Captions of images."""

import io
from typing import Any

import numpy as np

from train.data.dataset import DataError
from train.data.sources.captions import all_captions, captions, digit_words, scenes
from train.kinds.paired import Paired
from zoo.foundation.files import write_whole

TEST = "test.npz"  # in the run's folder


class Captions(Paired):
    """Images must have the model's size."""

    name = "captions"
    holds = "captions"
    example = "scenes"
    own = "captions"
    flags = ("unit", "least", "size", "grey", "blind", "valid", "train", "train_seed")
    own_flags = ("size", "grey")
    loaders = {"scenes": scenes, "digit_words": digit_words, "captions": captions}

    def shaped(self, model, dataset, given):
        """`image_shape` is that of the images, too."""
        model = super().shaped(model, dataset, given)
        images = dataset.train.context.shape[1:]
        return model if "image_shape" in given else model.clone(image_shape=images)

    def prepare(self, model, dataset):
        dataset = super().prepare(model, dataset)
        if reason := model.why_invalid(dataset.test.context):
            shape = " ".join(map(str, dataset.test.context.shape[1:]))
            raise DataError(
                f"{dataset.name}: {type(model).__name__} {reason}: pass --model.image-shape "
                f"{shape}."
            )
        return dataset

    def whole(self, model, data, reading):
        """A folder with captions.tsv."""
        return all_captions(data, model)

    def keep(self, dataset, folder):
        names, texts = (np.array(each) for each in zip(*dataset.pairs, strict=True))
        arrays: dict[str, Any] = {"images": dataset.test.context, "names": names, "captions": texts}
        arrays |= {} if dataset.corners is None else {"corners": dataset.corners}
        packed = io.BytesIO()
        np.savez_compressed(packed, **arrays)
        write_whole(folder / TEST, packed.getvalue())


KIND = Captions()
