"""Captions: of the images asked for, or of the run's test split and their scores."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import tyro

import zoo
from sample.kinds.kind import Inline, Kind, Run, check_counts, check_seed
from sample.kinds.places import folder_of, noted
from sample.kinds.written import Writing, check_attends, first_written, report
from sample.media import examples
from sample.media.captions import caption, pointing_accuracy
from sample.media.pixel_files import load_pixels
from sample.pictures.attention_maps import save_gaze
from sample.scoring.text_metrics import scores
from zoo.formats.arrays import read_arrays

SHOWN = 5  # captions of the test split that are printed


@dataclasses.dataclass(frozen=True)
class Options:
    """Describes images by a trained model."""

    run: Run
    """A checkpoint, a run's folder, or a model's name: its newest run."""
    images: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """Images to describe: a picture, a folder of them or an .npy; by default those of the run's
    test split.
    """
    num: int | None = None
    """How many images; all by default."""
    seed: int = 0
    """Seed of the key of --beam 0."""
    writing: Annotated[Writing, Inline] = Writing()

    def check(self) -> None:
        """Raises ValueError for values that make no sense."""
        check_seed(self.seed)
        check_counts(num=self.num)


def show(
    options: Options, checkpoint: Path, model: zoo.ImageDescriber, variables: zoo.Variables
) -> None:
    """Prints captions; of the test split also how good they are, and how often the model looks at
    what it names.
    """
    writing, path = options.writing, checkpoint.parent / "test.npz"
    check_attends(writing, model, "show_attend_tell")
    references, corners = None, None
    if options.images is not None:
        images, said = load_pixels(model, options.images, options.num)
        if said:
            print(f"{options.images}: {said}")
        names = [str(i) for i in range(len(images))]
    elif path.is_file():
        images, names, references, corners = _test_split(path, options.num)
    else:
        raise ValueError(f"nothing to describe: pass --images PATH (there is no {path}).")
    looking = model.attends and (writing.attention or corners is not None)
    key = jax.random.key(options.seed)
    made = caption(
        (model, variables),
        images,
        writing.beam or None,
        looking,
        key=key,
        batch_size=writing.batch_size,
    )
    for name, text in list(zip(names, made.texts, strict=True))[
        : None if references is None else SHOWN
    ]:
        print(f"{name}: {text}")
    if references is not None:
        pointing: dict[str, Any] = {}
        if corners is not None and made.attention:
            share, count = pointing_accuracy(made, corners)
            pointing = {"pointing_accuracy": share, "pointed": count}
        found = scores(made.texts, references, model.unit)
        report(writing, checkpoint, model, found, path, options.num is None, **pointing)
    if writing.attention and made.attention:
        first, out = first_written(made), writing.out or folder_of(checkpoint) / "attention.png"
        image, where = images[first].astype(np.uint8), noted(out)
        save_gaze(out, image, made.attention[first], made.tokens[first], made.centres)
        print(f"attention: {where}")


def _test_split(path, num):
    """Each image of the test split once: images, their names, all captions of each, and corners if
    they are known.
    """
    arrays = read_arrays(path)
    captions: dict[str, list[str]] = {}
    for name, text in zip(arrays["names"].tolist(), arrays["captions"].tolist(), strict=True):
        captions.setdefault(name, []).append(text)
    _, firsts = np.unique(arrays["names"], return_index=True)
    firsts = np.sort(firsts)[:num]
    corners = arrays["corners"][firsts] if "corners" in arrays else None
    return arrays["images"][firsts], list(captions)[:num], list(captions.values())[:num], corners


KIND = Kind("captions", Options, show, examples.captions)
