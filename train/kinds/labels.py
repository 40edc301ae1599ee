"""Labels of images or of frames: the sites are labels, and what is classified is the context."""

import dataclasses
import io
import os
from pathlib import Path
from typing import Any

import numpy as np

import zoo
from train.data.dataset import DataError, Split, take
from train.data.quantise import brightness
from train.data.sources.frames import changing_digits, frames, moving_digits
from train.data.sources.images import all_images
from train.kinds.kind import Kind, named
from zoo.foundation.arguments import array
from zoo.foundation.files import write_whole
from zoo.heads import value_probabilities

TEST = "test.npz"  # in the run's folder
KEPT = 1_000  # examples of the test split in it


class Labels(Kind):
    """Every data set of images with labels serves; pixels become brightness, 0..255."""

    name = "labels"
    holds = "labels of images"
    example = "mnist_1bit"
    own = "frames"
    flags = ("train", "train_seed")
    loaders = {
        "moving_digits": moving_digits,
        "changing_digits": changing_digits,
        "frames": frames,
    }
    recipe = {"steps": 2_000, "batch_size": 100, "ema": 0.99}
    most_samples = 25
    needs_context = True

    def accepts(self, other):
        return other.name in (self.name, "images")

    def adopted(self, dataset):
        """Images with labels become labels with images."""
        if dataset.kind == self.name:
            return dataset
        if dataset.num_classes is None:
            raise DataError(
                f"{dataset.name} has no labels, so there is nothing to classify: pass data with "
                f"labels, such as --data.name {self.example}, a folder with a sub-folder a class, or "
                "an .npz with labels (--data.label-arrays)."
            )
        if dataset.num_classes < 2:
            raise DataError(f"{dataset.name} has one class only; a classifier needs at least 2.")
        if dataset.dynamic:
            raise DataError(
                "--data.binarise dynamic is for models of images, and here images are the context: "
                "drop it, or pass --data.binarise threshold."
            )
        levels = 256 if dataset.num_levels is None else dataset.num_levels

        def swapped(split):
            return Split(split.context[:, None], brightness(split.x, levels))

        return dataclasses.replace(
            dataset.map(swapped),
            kind=self.name,
            num_levels=dataset.num_classes,
            description=f"labels of {dataset.description}, {dataset.num_classes} classes",
        )

    def read(self, model, parts):
        """Labels [N], or [N, T] of frames, and the images or frames that they are of."""
        splits = []
        for name, x, context in parts:
            labels = array(x, name)
            if labels.ndim not in (1, 2) or not labels.size or labels.dtype.kind not in "iu":
                raise DataError(
                    f"{name} must hold labels, whole numbers [N] or [N, T]; got {labels.dtype} of "
                    f"shape {list(labels.shape)}."
                )
            if labels.min() < 0 or labels.max() >= 2**31:
                raise DataError(f"{name} has the label {labels.min()}; labels are 0..K-1.")
            labels = labels.reshape(len(labels), -1).astype(np.int32)
            splits.append(Split(labels, pixels_of(name, context, len(labels))))
        count = max(2, 1 + max(int(split.x.max()) for split in splits))
        return splits, {"num_levels": count, "num_classes": count}

    def content(self, split):
        """The images: many have the same label."""
        return split.context

    def shaped(self, model, dataset, given):
        """`site_shape`, `image_shape` and the head follow the labels and images."""
        check_classes(dataset)
        changes: dict[str, Any] = {
            "site_shape": dataset.train.x.shape[1:],
            "image_shape": image_shape(model, dataset),
        }
        if model.head.num_values != dataset.num_classes:
            changes["head"] = zoo.Categorical(dataset.num_classes)
        fields = {field.name for field in dataclasses.fields(model)} - set(given)
        return model.clone(**{name: changes[name] for name in fields & set(changes)})

    def with_data(self, model, dataset):
        """The classes have the names that the data give them, unless the user chose others."""
        if dataset.class_names and getattr(model, "class_names", None) == ():
            return model.clone(class_names=dataset.class_names)
        return model

    def whole(self, model, data, reading):
        """An .npz of frames or of images with labels, or a folder of pictures of each class."""
        if getattr(model, "reads_frames", False):
            return super().whole(model, data, reading)
        path, shape = Path(os.path.expanduser(data.path)), model.image_shape
        if path.is_dir():
            data = dataclasses.replace(data, size=tuple(shape[:2]), grey=len(shape) == 2)
        return self.adopted(all_images(data))

    def prepare(self, model, dataset):
        got, wanted = dataset.train.x.shape[1:], tuple(model.site_shape)
        if got != wanted:
            raise DataError(
                f"{dataset.name} has {got[0]} labels an example, but the {named(model)} gives "
                f"{wanted[0]}: pass --model.site-shape {got[0]}, or choose other data."
            )
        for name, split in (("test", dataset.test), ("validation", dataset.valid)):
            where = dataset.name if name == "test" else f"the validation split of {dataset.name}"
            if reason := model.why_invalid(split.context):
                shape = " ".join(map(str, image_shape(model, dataset)))
                raise DataError(
                    f"{where}: {named(model)} {reason}: pass --model.image-shape {shape}."
                )
        if (most := int(dataset.train.x.max())) >= model.head.num_values:
            raise DataError(
                f"{dataset.name} has the label {most}, but the head has classes "
                f"0..{model.head.num_values - 1}: pass --model.head categorical:{most + 1}."
            )
        return dataset

    def unit(self, model):
        return "label"

    def scored_sites(self, model, x):
        return np.full(len(x), model.num_sites, np.float32)

    def scores(self, members, variables, x, context):
        """Also the mean probability of each label under the members."""
        shares = [
            value_probabilities(member.head, zoo.conditionals(member, variables, x, context))
            for member in members
        ]
        scores = super().scores(members, variables, x, context)
        return scores | {"probabilities": sum(shares) / len(shares)}

    def keep(self, dataset, folder):
        test = take(dataset.test, slice(KEPT))
        arrays: dict[str, Any] = {"labels": test.x, "images": test.context}
        packed = io.BytesIO()
        np.savez_compressed(packed, **arrays)
        write_whole(folder / TEST, packed.getvalue())


def image_shape(model, dataset):
    """The shape of an image, or of a frame, that the model classifies.

    Raises:
      DataError: the data are images and the model reads frames, or the other way round.
    """
    shape = dataset.train.context.shape
    frames = getattr(model, "reads_frames", False)
    found = shape[1 + frames :]
    if len(found) == 2 or (len(found) == 3 and found[2] in (1, 3)):
        return found
    reads, example = ("frames", "T, ") if frames else ("images", "")
    instead = "moving_digits" if frames else Labels.example
    raise DataError(
        f"{dataset.name} has pixels of shape {list(shape)}, but {named(model)} reads {reads} "
        f"[N, {example}height, width] or [N, {example}height, width, 3]: pass --data.name, such as "
        f"{instead}."
    )


def pixels_of(name, context, count):
    """Pixels 0..255 of `count` examples.

    Raises:
      DataError: they are none, or bits.
    """
    if context is None:
        raise DataError(f"{name} needs a context, the images that the labels are of: pass context.")
    found = array(context, "context")
    if found.shape[:1] != (count,):
        raise DataError(
            f"{name} has {count:,} labels, but its context has shape {list(found.shape)}: pass an "
            "image for each."
        )
    if found.dtype.kind not in "iu" or found.min() < 0 or found.max() > 255:
        what = f"{found.dtype} from {found.min():g} to {found.max():g}"
        raise DataError(
            f"the context of {name} holds {what}; images are integers 0..255: convert them, such "
            "as (images * 255).astype(np.uint8)."
        )
    if found.max() == 1:
        raise DataError(
            f"the context of {name} holds 0 and 1 only, but white is 255: pass context * 255."
        )
    return found.astype(np.uint8)


def check_classes(dataset):
    """Raises DataError if a class occurs in no training example."""
    known = np.bincount(dataset.train.x.ravel(), minlength=dataset.num_classes) > 0
    if not known.all():
        missing = int(known.argmin())
        raise DataError(
            f"{dataset.name}: class {missing} occurs in no training example, so it cannot be "
            "learnt: add examples of it, or leave it out and number the others from 0."
        )


KIND = Labels()
