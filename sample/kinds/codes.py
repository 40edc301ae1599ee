"""Pictures by the code of an image, and of the nearest examples of what was drawn."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import tyro

import zoo
from sample.engines.sampler import draw
from sample.kinds.kept import kept_images
from sample.kinds.kind import check_counts, labels, mean
from sample.kinds.places import noted, place
from sample.media.codes import (
    interpolate,
    mean_images,
    nearest,
    reconstruct,
    reconstruction_nats,
)
from sample.media.image_files import load_images
from sample.media.pixels import as_images
from sample.pictures.grids import grid, save_png
from zoo.core.bounds import check_has
from zoo.core.checks import kind

ROWS, STEPS, NEIGHBOURS = 8, 10, 5


@dataclasses.dataclass(frozen=True)
class Codes:
    """Pictures of what a model has learnt."""

    interpolate: bool = False
    """Draw the way from one image to another through their codes, a row for each pair; of a model
    that has a code, such as a VAE.
    """
    reconstruct: bool = False
    """Draw images beside their reconstructions from their codes."""
    nearest: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """Draw samples, each beside the images of PATH (such as the training images) that are nearest to
    it.
    """

    @property
    def asked(self) -> list[str]:
        """The flags that were given."""
        return [name for name, value in vars(self).items() if value]

    def check(self) -> None:
        """Raises ValueError for flags that make no sense together."""
        if len(self.asked) > 1:
            first, second = self.asked[:2]
            raise ValueError(f"--{first} and --{second} are a picture each: drop one of them.")


def show_codes(options: Any, checkpoint: Path, model: Any, variables: zoo.Variables) -> None:
    """The picture that was asked for: rows of images, beside the checkpoint."""
    codes = options.codes
    if codes.nearest is None:
        check_has(model, "represent")
        check_has(model, "decode")
    (name,) = codes.asked
    check_counts(num=options.num)
    show = {"interpolate": _ways, "reconstruct": _reconstructions, "nearest": _neighbours}[name]
    panels, said = show(
        options, checkpoint, model, variables
    )  # [rows, columns, height, width(, 3)]
    sheet = grid(panels.reshape(-1, *panels.shape[2:]), columns=panels.shape[1])
    out = options.picture.out or place(checkpoint, name, ".png", options.seed)
    where = noted(out)
    save_png(out, sheet, options.picture.scale)
    print(f"{kind(model)} from {checkpoint}, seed {options.seed}")
    print(f"{said}: {where}")


def given_images(model: Any, options: Any, path: Path, num: int | None = None) -> np.ndarray:
    """Values of the images at `path`; prints what was done to the pictures, if something was."""
    x, said = load_images(model, path, num, binarise=options.binarise, seed=options.seed)
    if said:
        print(f"{path}: {said}")
    return x


def _examples(options, checkpoint, model, variables, num, alike=1):
    """`num` images and their context: those of --images, of the test split if the run beside the
    checkpoint keeps enough of them, or draws; `alike` of them in a row have the same label.
    """
    if (
        options.images is None
        and checkpoint is not None
        and (alike == 1 or model.example(1)[1] is None)
    ):
        kept = kept_images(checkpoint, model, num)
        if kept is not None and len(kept[0]) == num:
            return kept
    if options.images is None:
        context = labels(model, options.label, -(-num // alike))
        context = jax.tree.map(lambda leaf: np.repeat(leaf, alike, axis=0)[:num], context)
        key, how = jax.random.key(options.seed), options.computing
        drawn = draw(
            model,
            variables,
            key,
            num,
            context=context,
            engine=how.engine,
            batch_size=how.batch_size,
        )
        return np.asarray(drawn.x), context
    x = given_images(model, options, options.images, num)
    context = labels(model, options.label, len(x))
    if context is not None and options.label is None:
        raise ValueError(
            f"{kind(model)} is conditional on labels: say by --label which one --images have."
        )
    return x, context


def _ways(options, checkpoint, model, variables):
    x, context = _examples(
        options, checkpoint, model, variables, 2 * (options.num or ROWS), alike=2
    )
    if len(x) < 2:
        raise ValueError(f"--interpolate needs two images; {options.images} has {len(x)}.")
    pairs = len(x) // 2
    x, context = jax.tree.map(lambda leaf: leaf[: 2 * pairs], (x, context))
    codes = zoo.represent(model, variables, x, context)
    of_pairs = jax.tree.map(lambda leaf: leaf[::2], context)
    way = interpolate(model, variables, codes[::2], codes[1::2], STEPS, of_pairs)
    middle = mean_images(model, way.params.reshape(-1, *way.params.shape[2:]))
    pictures = as_images(model, x)
    panels = np.concatenate(
        [
            pictures[::2, None],
            middle.reshape(pairs, STEPS, *middle.shape[1:]),
            pictures[1::2, None],
        ],
        axis=1,
    )
    return panels, f"{pairs} pairs of images, {STEPS} codes between each two"


def _reconstructions(options, checkpoint, model, variables):
    x, context = _examples(options, checkpoint, model, variables, options.num or ROWS)
    restored = mean_images(model, reconstruct(model, variables, x, context))
    nats = np.asarray(reconstruction_nats(model, variables, x, context), np.float64)
    panels = np.stack([as_images(model, x), restored], axis=1)
    return panels, f"{len(x)} images and their reconstructions, {mean(nats)} nats"


def _neighbours(options, checkpoint, model, variables):
    examples = given_images(model, options, options.codes.nearest)
    drawn = dataclasses.replace(options, images=None)
    x, _ = _examples(drawn, None, model, variables, options.num or ROWS)
    found = nearest(x, examples, min(NEIGHBOURS, len(examples)))
    pictures = as_images(model, examples[found.indices.reshape(-1)])
    near = pictures.reshape(*found.indices.shape, *pictures.shape[1:])
    panels = np.concatenate([as_images(model, x)[:, None], near], axis=1)
    first = found.distances[:, 0]
    return panels, (
        f"{len(x)} samples and the nearest of {len(examples):,} images, distance of the nearest "
        f"{first.mean():.2f} in the mean, {first.min():.2f} at least"
    )
