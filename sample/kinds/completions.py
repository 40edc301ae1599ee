"""Completions of images: rows or any mask of pixels are kept, the rest is drawn."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

import zoo
from sample.engines.completion import complete
from sample.engines.sampler import draw
from sample.kinds.codes import given_images
from sample.kinds.kept import kept_images
from sample.kinds.kind import engine_name, labels
from sample.kinds.places import noted, place
from sample.media.masks import read_mask
from sample.media.pixels import as_images, image_shape
from sample.pictures.frames import partly
from sample.pictures.grids import grid, save_png
from sample.uses.unknown_sites import marginals
from zoo.core.checks import kind

COMPLETED, COMPLETIONS = 8, 8  # how many images by default, and completions of each


def show_completions(options: Any, checkpoint: Path, model: Any, variables: zoo.Variables) -> None:
    """Rows of pictures: an image, what is kept of it, and its completions."""
    num, computing = options.num or COMPLETIONS, options.computing
    known, kept = _known(options, model)
    how: dict[str, Any] = {"engine": computing.engine, "batch_size": computing.batch_size}
    key = jax.random.key(options.seed)
    if options.images is not None:
        x, of = given_images(model, options, options.images, COMPLETED), "images"
        context = context_of(options, model, len(x))
    elif (images := kept_images(checkpoint, model, COMPLETED)) is not None:
        (x, context), of = images, "test images"
    else:
        context, of = context_of(options, model, COMPLETED), "images"
        x = np.asarray(draw(model, variables, key, COMPLETED, context=context, **how).x)
    # Another key than that of the images, or each would be its own first completion; no sample has
    # this index.
    key = jax.random.fold_in(key, 2**32 - 1)
    values, contexts = jax.tree.map(lambda leaf: np.repeat(leaf, num, axis=0), (x, context))
    drawn = complete(model, variables, key, len(values), values, known, context=contexts, **how)
    completions = as_images(model, drawn.x).reshape(len(x), num, *image_shape(model))
    panels = np.concatenate(
        [as_images(model, x)[:, None], partly(model, x, known)[:, None], completions], axis=1
    )
    sheet = grid(panels.reshape(-1, *panels.shape[2:]), columns=num + 2)
    default = place(checkpoint, "completions", ".png", options.seed, computing.engine)
    path = options.picture.out or default
    where = noted(path)
    save_png(path, sheet, options.picture.scale)
    engine = engine_name(computing.engine, model, variables, contexts)
    print(f"{kind(model)} from {checkpoint}, {engine}, seed {options.seed}")
    print(f"{kept} of {len(x)} {of} kept, {num} completions of each: {where}")
    if options.marginals:
        _show_marginals(path, options, model, variables, key, x, known, context)


def _known(options, model):
    """The known sites, bool [*site_shape], and what they are in words.

    Raises:
      ValueError: the flag asks for none or for all of the pixels, or the mask has another size.
    """
    height, width = image_shape(model)[:2]
    known = np.zeros(model.site_shape, bool)
    if options.known is None:
        if not 1 <= options.complete < height:
            raise ValueError(
                f"--complete keeps 1..{height - 1} rows of a {height}x{width} image; got "
                f"{options.complete}."
            )
        known[: options.complete] = True
        return known, f"{options.complete} of {height} rows"
    white = read_mask(options.known, (height, width))
    known[white] = True
    return known, f"{white.sum()} of {height * width} pixels"


def _show_marginals(path, options, model, variables, key, x, known, context):
    """Rows of pictures: what is kept of an image, the mean and the entropy of each pixel."""
    rows, draws = [], 0
    for i, values in enumerate(np.asarray(x)):
        given = jax.tree.map(lambda leaf: np.asarray(leaf)[i : i + 1], context)  # noqa: B023
        found = marginals(model, variables, key, values, known, context=given)
        levels, draws = found.probabilities.shape[-1], found.draws
        maps = [found.mean * 255 / (levels - 1), found.entropy * 255 / np.log(levels)]
        shape = image_shape(model)
        rows += [
            partly(model, values[None], known)[0],
            *(each.round().astype(np.uint8).reshape(shape) for each in maps),
        ]
    out = path.with_name(f"{path.stem}_marginals.png")
    save_png(out, grid(np.stack(rows), columns=3), options.picture.scale)
    how = f"averaged over {draws} draws" if draws else "exact, in one pass"
    print(f"marginals, mean and entropy of each pixel ({how}): {out}")


def context_of(options: Any, model: Any, num: int) -> Any:
    """The context of `num` images: the label asked for, or all labels in turn, which only drawn
    images can have.
    """
    context = labels(model, options.label, num)
    if context is not None and options.label is None and options.images is not None:
        raise ValueError(
            f"{kind(model)} is conditional on labels: say by --label which one --images have."
        )
    return context
