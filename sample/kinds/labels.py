"""Labels: of the images asked for, or of examples of the run's test split beside the true ones."""

import dataclasses
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

import zoo
from sample.engines.conditional import BATCH
from sample.kinds.kind import Kind, Run, check_counts, check_out
from sample.kinds.places import folder_of, noted
from sample.media import examples
from sample.media.labels import classify, names_of
from sample.media.pixel_files import load_pixels
from sample.pictures.labelled import save_labelled
from zoo.core.checks import kind
from zoo.formats.arrays import read_arrays
from zoo.formats.pictures import picture_files

SHOWN = 25  # examples in the picture, and lines that are printed


@dataclasses.dataclass(frozen=True)
class Options:
    """Classifies images by a trained model."""

    run: Run
    """A checkpoint, a run's folder, or a model's name: its newest run."""
    images: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """Images to classify: a picture, a folder of them or an .npy; by default those of the run's
    test split that it keeps.
    """
    num: int | None = None
    """How many images; by default 25 of the test split, or all at PATH."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE.png")] = None
    """Where the picture goes; by default labels.png beside the checkpoint."""
    batch_size: int = BATCH
    """How many images are read at once."""

    def check(self) -> None:
        """Raises ValueError for values that make no sense."""
        check_counts(num=self.num, batch_size=self.batch_size)
        check_out(self.out)


def show(
    options: Options, checkpoint: Path, model: zoo.Classifier, variables: zoo.Variables
) -> None:
    """Prints labels with their probabilities, and draws the first images with them, and with the
    glimpses of a model that takes some.
    """
    images, names, truth = _what(options, checkpoint, model)
    made = classify((model, variables), images, batch_size=options.batch_size)
    titles, right = made.texts(), None
    if truth is not None:
        wrong = made.labels != truth
        right = (~wrong.any(1)).tolist()
        classes = names_of(model)
        titles = [
            text if good else f"{text}, not {', '.join(classes[label] for label in labels)}"
            for text, labels, good in zip(titles, truth, right, strict=True)
        ]
    for name, title in list(zip(names, titles, strict=True))[
        : SHOWN if truth is not None else None
    ]:
        print(f"{name}: {title}")
    print(f"{kind(model)} from {checkpoint}: {len(images):,} images", end="")
    print("" if truth is None else f", {100 * wrong.mean():.2f} % of the labels are wrong")
    path = options.out or folder_of(checkpoint) / "labels.png"
    where = noted(path)
    shown = slice(SHOWN)
    marks = None if right is None else right[shown]
    try:
        pixels, glimpses = images[shown].astype(np.uint8), {}
        if getattr(model, "takes_glimpses", False):
            centres = np.asarray(zoo.glimpse_centres(model, variables, pixels))
            glimpses = {"centres": centres, "sides": model.sides}
        save_labelled(path, pixels, titles[shown], marks, **glimpses)
        print(f"picture: {where}")
    except ImportError as error:
        print(f"no picture: {error}")


def _what(options, checkpoint, model):
    """The images, a name for each, and their labels, if they are known."""
    if options.images is not None:
        if getattr(model, "reads_frames", False):
            raise ValueError(
                f"{kind(model)} reads sequences of frames, and --images are single pictures: drop "
                "it, or call sample.classify on an array of frames."
            )
        images, said = load_pixels(model, options.images, options.num)
        if said:
            print(f"{options.images}: {said}")
        return images, names_at(options.images, len(images)), None
    path = checkpoint.parent / "test.npz"
    if not path.is_file():
        raise ValueError(f"nothing to classify: pass --images PATH (there is no {path}).")
    arrays = read_arrays(path)
    images, labels = (arrays[name][: options.num or SHOWN] for name in ("images", "labels"))
    return images, [f"test {i}" for i in range(len(images))], labels


def names_at(path: Path, num: int) -> list[str]:
    """The names of `num` images of a picture file, a folder or an .npy."""
    if path.suffix == ".npy":
        return [f"{path.name}[{i}]" for i in range(num)]
    files = picture_files(path) if path.is_dir() else [path]
    return [file.name for file in files[:num]]


KIND = Kind("labels", Options, show, examples.arrays)
