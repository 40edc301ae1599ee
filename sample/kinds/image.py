"""Images: a grid of samples, a GIF of the drawing, maps of surprise, completions."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import tyro

import zoo
from sample.engines.program_sizes import BATCH
from sample.kinds.codes import Codes, given_images, show_codes
from sample.kinds.completions import context_of, show_completions
from sample.kinds.kept import kept_images
from sample.kinds.kind import (
    Computing,
    Inline,
    Kind,
    Run,
    check_counts,
    check_out,
    check_plain_flags,
    check_seed,
    mean,
    with_ddim,
)
from sample.kinds.places import folder_of, noted, place
from sample.kinds.table import show_drawing
from sample.media import examples
from sample.media.image_files import Binarise
from sample.media.pixels import as_images, canvases
from sample.pictures.frames import progress
from sample.pictures.grids import grid, save_gif, save_png
from sample.pictures.surprise_maps import save_surprise
from sample.scoring.surprisal import surprise
from zoo.core.bounds import has
from zoo.core.checks import kind

DRAWN, MAPPED = 100, 16  # how many images by default, in the grid and with a map of surprise


@dataclasses.dataclass(frozen=True)
class Picture:
    """How the picture looks, and where it goes."""

    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE.png")] = None
    """Where it goes; by default samples.png, surprise.png of --images or completions.png beside the
    checkpoint, with the engine and the seed in the name if they are not the usual ones.
    """
    columns: int | None = None
    """Columns of the grid; about square by default."""
    scale: int = 2
    """Every pixel is this many pixels wide and high."""

    def check(self) -> None:
        """Raises ValueError for values that make no sense."""
        check_counts(columns=self.columns, scale=self.scale)
        check_out(self.out)


@dataclasses.dataclass(frozen=True)
class Options:
    """Draws images from a trained model: a grid as PNG, or one of the other pictures."""

    run: Run
    """A checkpoint, a run's folder, or a model's name: its newest run."""
    num: int | None = None
    """How many images, 100 by default (16 of --images); with --complete how many completions of
    each, 8 by default.
    """
    seed: int = 0
    """Seed of the key: the same seed gives the same images whatever the engine, the batches and the
    devices.
    """
    label: int | None = None
    """Label of every image, for a class-conditional model; by default all labels in turn."""
    ddim: Annotated[int | None, tyro.conf.arg(metavar="STEPS")] = None
    """Draw a diffusion in so many steps, spread over its timesteps and without noise after the first;
    by default in all steps, with noise.
    """
    complete: Annotated[int | None, tyro.conf.arg(metavar="ROWS")] = None
    """Keep so many upper rows of images (--images, or test images that the run keeps), and draw the
    rest of them from the posterior.
    """
    known: Annotated[Path | None, tyro.conf.arg(metavar="MASK.png")] = None
    """Keep the white pixels of a picture of the model's size instead, and draw the black ones. Any
    mask of an order-agnostic model (EoNADE, MADE with resample_order); a prefix of every other.
    """
    marginals: bool = False
    """With --complete or --known: also write the posterior of each unknown pixel by itself, its mean
    and its entropy.
    """
    surprise: bool = False
    """Also write maps of the surprise, -log p of every pixel given those before it (by default of
    16 test images that the run keeps).
    """
    gif: bool = False
    """Also write a GIF that shows the images being drawn, site by site or in the model's steps."""
    images: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """Images for --surprise, --complete, --interpolate or --reconstruct, instead of drawn ones: a
    picture, a folder of them or an .npy.
    """
    binarise: Binarise = "none"
    """How greys of --images (or --nearest) become bits, for a model of bits: threshold is grey > 127,
    dynamic draws Bernoulli(grey/255) with --seed. Pictures of another size or colour are fitted.
    """
    codes: Annotated[Codes, Inline] = Codes()
    picture: Annotated[Picture, Inline] = Picture()
    computing: Annotated[Computing, Inline] = Computing()

    def check(self) -> None:
        """Raises ValueError for flags that make no sense, or none together."""
        check_seed(self.seed)
        check_counts(num=self.num)
        if self.complete is not None and self.known is not None:
            raise ValueError("--complete and --known both say what is kept: drop one of them.")
        completes = self.complete is not None or self.known is not None
        if self.marginals and not completes:
            raise ValueError("--marginals are given known pixels: add --known or --complete.")
        if completes and (self.gif or self.surprise or self.picture.columns is not None):
            flag = "known" if self.complete is None else "complete"
            raise ValueError(
                f"--{flag} makes a picture of its own: drop --gif, --surprise and --columns."
            )
        if self.images is not None and self.gif:
            raise ValueError(
                "--gif shows images being drawn, and --images are given: drop one of them."
            )
        if self.binarise != "none" and self.images is None and self.codes.nearest is None:
            raise ValueError("--binarise is for --images and --nearest: add one, or drop it.")
        others = completes or self.surprise or self.gif
        if self.codes.asked and (others or self.picture.columns is not None):
            raise ValueError(
                f"--{self.codes.asked[0]} makes a picture of its own: drop --complete, --gif, "
                "--surprise and --columns."
            )
        if self.images is not None and self.codes.nearest is not None:
            raise ValueError("--nearest shows samples beside images: drop --images.")
        if self.images is not None and not others and not self.codes.asked:
            raise ValueError(
                "--images are what --surprise, --complete, --known, --interpolate or --reconstruct "
                "look at: add one of them."
            )


def show(options: Options, checkpoint: Path, model: Any, variables: zoo.Variables) -> None:
    """The picture that was asked for, by default the grid of samples."""
    model = with_ddim(model, options.ddim)
    if options.codes.asked:
        show_codes(options, checkpoint, model, variables)
        return
    gif = options.gif and not has(model, "canvases")
    asked = {
        "complete": options.complete,
        "known": options.known,
        "surprise": options.surprise,
        "gif": gif,
    }
    check_plain_flags(model, options.computing, **asked, images=options.images)
    if options.complete is not None or options.known is not None:
        show_completions(options, checkpoint, model, variables)
    elif options.images is not None:
        x = given_images(model, options, options.images, options.num or MAPPED)
        context = context_of(options, model, len(x))
        print(f"{kind(model)} from {checkpoint}")
        path = options.picture.out or folder_of(checkpoint) / "surprise.png"
        show_surprise(path, options, model, variables, x, context)
    else:
        show_samples(options, checkpoint, model, variables)


def show_samples(options: Options, checkpoint: Path, model: Any, variables: zoo.Variables) -> None:
    """The grid of samples; with it, if asked for, the GIF of its drawing and the maps of surprise."""
    num, picture = options.num or DRAWN, options.picture
    drawn, context = show_drawing(options, checkpoint, model, variables, num)
    seed, engine = options.seed, options.computing.engine
    path = picture.out or place(checkpoint, "samples", ".png", seed, engine)
    where = noted(path)
    save_png(path, grid(as_images(model, drawn.x), picture.columns), picture.scale)
    print(f"grid of {num}: {where}")
    if options.gif:
        steps = _frames(model, variables, options.seed, drawn.x, context)
        frames = np.stack([grid(frame, picture.columns) for frame in steps])
        where = noted(path.with_suffix(".gif"))
        save_gif(path.with_suffix(".gif"), frames, picture.scale)
        print(f"drawing in {len(frames)} frames: {where}")
    if options.surprise:
        mapped, path = options.num or MAPPED, path.with_name(f"{path.stem}_surprise.png")
        if (kept := kept_images(checkpoint, model, mapped)) is not None:
            show_surprise(path, options, model, variables, *kept, of="test images")
        else:
            x, context = jax.tree.map(lambda leaf: leaf[:mapped], (drawn.x, context))
            show_surprise(path, options, model, variables, x, context, of="images")


def _frames(model, variables, seed, x, context):
    """Frames of the samples `x` of that seed while they are drawn; the last are the samples."""
    if not has(model, "canvases"):
        return progress(model, x)
    steps = canvases(model, variables, jax.random.key(seed), len(x), context)
    return np.concatenate([steps, as_images(model, x)[None]])


def show_surprise(
    path: Path,
    options: Options,
    model: Any,
    variables: zoo.Variables,
    x: Any,
    context: Any,
    of: str = "images",
) -> None:
    """Images and where they surprise the model."""
    size, parts = options.computing.batch_size or BATCH, []
    for i in range(0, len(x), size):
        part = jax.tree.map(lambda leaf: leaf[i : i + size], (x, context))  # noqa: B023
        parts.append(np.asarray(surprise(model, variables, *part), np.float64))
    nats = np.concatenate(parts)
    where = noted(path)
    save_surprise(path, model, x, nats, options.picture.columns)
    print(f"surprise of {len(x)} {of}, {mean(nats.reshape(len(x), -1).sum(1))} nats: {where}")


def describe(model: Any, x: Sequence[Any], names: list[str], path: Path) -> list[str]:
    """Draws the images beside one another; says their names."""
    picture = save_png(
        path.with_suffix(".png"), grid(as_images(model, np.stack(x)), len(x)), scale=2
    )
    return [", ".join(names), f"picture: {picture}"]


KIND = Kind("images", Options, show, examples.images, describe)
