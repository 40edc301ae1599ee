"""`python -m sample RUN`: draws images into a PNG, rows of a table into a .csv, text, or sounds into .wav files.

It says how likely they are and how fast they came. Flags add a GIF of the drawing and maps of the surprise, or complete
images instead.
"""

import dataclasses
import time
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import tyro

import zoo
from sample.audio import audio, save_sounds, save_waveforms
from sample.complete import complete
from sample.draw import Engine, Sample, draw
from sample.progress import partly, progress
from sample.read import read_images
from sample.render import as_images, grid, image_shape, save_gif, save_png
from sample.show import show_captions, show_translations
from sample.surprise import save_surprise, surprise
from sample.text import stream, text
from zoo.command import command

# How many by default: images in the grid, with a map of surprise, to complete; completions of each; texts; sounds.
DRAWN, MAPPED, COMPLETED, COMPLETIONS, WRITTEN, HEARD = 100, 16, 8, 8, 3, 4


@dataclasses.dataclass(frozen=True)
class Options:
    """Draws images from a trained model: a grid as PNG, or one of the other pictures."""

    run: Annotated[str, tyro.conf.Positional]
    """A checkpoint, a run's folder, or a model's name: its newest run."""
    num: int | None = None
    """How many images, 100 by default (16 of --images); with --complete how many completions of each, 8 by default."""
    seed: int = 0
    """Seed of the key: the same seed gives the same images whatever the engine, the batches and the devices."""
    label: int | None = None
    """Label of every image or sound, for a class-conditional model; by default all labels in turn."""
    prompt: str | None = None
    """How a text begins; with it (or --num 1) the text is written as it is drawn."""
    length: int = 500
    """How many characters are drawn after the prompt."""
    audio: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """How sounds begin: a .wav, which is continued."""
    seconds: float = 1.0
    """How much sound is drawn (after the beginning, if there is one)."""
    temperature: float = 1.0
    """Logits of characters or samples are divided by it; 0 takes the likeliest always. Only 1 is exact sampling."""
    top_k: int | None = None
    """Draw from the k likeliest characters (samples) only."""
    top_p: float | None = None
    """Draw from the fewest likeliest characters (samples) only that have this probability together."""
    min_p: float | None = None
    """Draw from characters (samples) only that are at least so many times as likely as the likeliest."""
    stop: tuple[str, ...] = ()
    """Texts end before the first of these."""
    source: tuple[str, ...] = ()
    """What a model that translates reads; by default the sources of --pairs."""
    pairs: Annotated[Path | None, tyro.conf.arg(metavar="TSV")] = None
    """Sources with the translations to compare with, by default those of the run's test split; their number is --num."""
    beam: int = 5
    """How many beginnings a beam search keeps; 1 is greedy, 0 draws exact samples."""
    attention: bool = False
    """Also write a picture of where the model looked when it wrote the first text."""
    gif: bool = False
    """Also write a GIF that shows the images being drawn site by site."""
    surprise: bool = False
    """Also write maps of the surprise, -log p of every pixel given those before it (by default of the first 16)."""
    complete: Annotated[int | None, tyro.conf.arg(metavar="ROWS")] = None
    """Keep so many upper rows of images, and draw the rest of them from the posterior."""
    images: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """Images for --surprise or --complete, instead of drawn ones, or to write captions of: a picture, a folder of them or an
    .npy."""
    engine: Engine = "cached"
    """What computes the conditionals: the model's own step, the whole network at every site, or Jacobi iteration."""
    batch_size: int = 256
    """How many images a device draws (or scores) at once."""
    columns: int | None = None
    """Columns of the grid; about square by default."""
    scale: int = 2
    """Every pixel is this many pixels wide and high in the PNG."""
    out: Path | None = None
    """Where they go; by default samples.png, surprise.png of --images, completions.png, or samples.csv where values are
    real, beside the checkpoint. Sounds lie beside their picture, each in a .wav."""


def main(options: Options) -> None:
    """Draws, writes the pictures and prints the figures."""
    check(options)
    checkpoint = zoo.find(options.run)
    model, variables = zoo.load(checkpoint)
    if isinstance(model, zoo.WaveNet):
        show_sounds(options, checkpoint, model, variables)
        return
    if options.audio is not None:
        raise ValueError(f"--audio is how sounds begin, and {type(model).__name__} describes none.")
    if isinstance(model, zoo.Translator):
        show_translations(options, checkpoint, model, variables)
        return
    if isinstance(model, zoo.ImageDescriber):
        show_captions(options, checkpoint, model, variables)
        return
    if isinstance(model, zoo.Sequence):
        show_texts(options, checkpoint, model, variables)
        return
    if options.images is not None and not options.surprise and options.complete is None:
        raise ValueError("--images are what --surprise or --complete look at: add one of them.")
    if options.gif or options.surprise or options.complete is not None:
        image_shape(model)
    if options.complete is not None:
        show_completions(options, checkpoint, model, variables)
    elif options.images is not None:
        x = read_images(model, options.images, options.num or MAPPED)
        context = context_of(options, model, len(x))
        print(f"{type(model).__name__} from {checkpoint}")
        show_surprise(options.out or checkpoint.parent / "surprise.png", options, model, variables, x, context)
    else:
        show_samples(options, checkpoint, model, variables)


def check(options: Options) -> None:
    """Raises ValueError for flags that make no sense, or none together."""
    if not 0 <= options.seed < 2**32:
        raise ValueError(f"--seed must be in 0..2**32 - 1; got {options.seed}.")
    if any(count is not None and count < 1 for count in (options.num, options.scale, options.columns)):
        raise ValueError("--num, --scale and --columns must be at least 1.")
    if options.out is not None and not options.out.parent.is_dir():
        raise ValueError(f"--out {options.out}: there is no folder {options.out.parent}; make it first.")
    if options.beam < 0:
        raise ValueError(f"--beam must be at least 1, or 0 to draw samples; got {options.beam}.")
    if options.complete is not None and (options.gif or options.surprise or options.columns is not None):
        raise ValueError("--complete makes a picture of its own: drop --gif, --surprise and --columns.")
    if options.images is not None and options.gif:
        raise ValueError("--gif shows images being drawn, and --images are given: drop one of them.")


def context_of(options: Options, model: zoo.Autoregressive, num: int) -> Any:
    """The context of `num` images: the label asked for, or all labels in turn, which only drawn images can have."""
    if options.label is not None:
        return np.full(num, options.label)
    context = zoo.example(model, num)[1]
    if context is not None and options.images is not None:
        raise ValueError(f"{type(model).__name__} is conditional on labels: say by --label which one --images have.")
    return context


def show_samples(options: Options, checkpoint: Path, model: zoo.Autoregressive, variables: zoo.Variables) -> None:
    """The grid or the table of samples; with it, if asked for, the GIF of its drawing and the maps of surprise."""
    num = options.num or DRAWN
    context = context_of(options, model, num)

    def once():
        began = time.perf_counter()
        drawn = first_draw(options, model, variables, num, context)
        return jax.block_until_ready(drawn), time.perf_counter() - began

    first = once()[1]
    drawn, seconds = once()
    if model.head.num_values is None:
        what, path = f"{num} rows", options.out or checkpoint.parent / "samples.csv"
        np.savetxt(path, np.asarray(drawn.x).reshape(num, -1), delimiter=",", fmt="%.9g")
    else:
        what, pictures = f"grid of {num}", as_images(model, drawn.x)
        path = save_png(
            options.out or checkpoint.parent / "samples.png", grid(pictures, options.columns), options.scale
        )
    nats = -np.asarray(drawn.log_prob, np.float64)
    print(f"{type(model).__name__} from {checkpoint}, {options.engine} engine, seed {options.seed}")
    print(
        f"drawn samples: {mean(nats)} nats, "
        f"{zoo.bits_per_dim(-nats.mean(), model.num_dims):.4f} bits/dim by the model's own likelihood"
    )
    print(f"speed: {num / seconds:,.0f} samples/s ({seconds:.3f} s; compilation {first - seconds:.1f} s apart)")
    print(f"{what}: {path}")
    if options.gif:
        frames = np.stack([grid(frame, options.columns) for frame in progress(model, drawn.x)])
        print(f"drawing in {len(frames)} frames: {save_gif(path.with_suffix('.gif'), frames, options.scale)}")
    if options.surprise:
        x, context = jax.tree.map(lambda leaf: leaf[: options.num or MAPPED], (drawn.x, context))
        show_surprise(path.with_name(f"{path.stem}_surprise.png"), options, model, variables, x, context)


def show_texts(options: Options, checkpoint: Path, model: zoo.Autoregressive, variables: zoo.Variables) -> None:
    """One text as it is drawn, or several and how likely they are."""
    law = law_of(options) | {"length": options.length, "stop": options.stop}
    prompt, num = options.prompt or "", options.num or (WRITTEN if options.prompt is None else 1)
    if num == 1:
        pieces = stream((model, variables), prompt, **law)
        print(prompt, end="")
        for piece in pieces:
            print(piece, end="", flush=True)
        print()
        return
    drawn = text((model, variables), prompt, num, engine=options.engine, batch_size=options.batch_size, **law)
    for each, log_prob in zip(drawn.texts, drawn.log_prob, strict=True):
        length = max(1, len(each) - len(prompt))
        print(f"--- {-log_prob / length:.4f} nats/char by the model's own likelihood\n{each}")
    print(f"---\n{num} texts from {checkpoint}, {options.engine} engine, seed {options.seed}")


def law_of(options: Options) -> dict[str, Any]:
    """What changes the law of a token, and the key."""
    law = {name: getattr(options, name) for name in ("temperature", "top_k", "top_p", "min_p")}
    return law | {"key": jax.random.key(options.seed)}


def show_sounds(options: Options, checkpoint: Path, model: zoo.WaveNet, variables: zoo.Variables) -> None:
    """Sounds as .wav files, a picture of them, how likely they are and how much faster than they last."""
    num = options.num or HEARD
    more = law_of(options) | {"context": context_of(options, model, num), "beginning": options.audio}
    more |= {"engine": options.engine, "batch_size": options.batch_size}

    def once():
        began = time.perf_counter()
        return audio((model, variables), num, options.seconds, **more), time.perf_counter() - began

    first = once()[1]
    drawn, seconds = once()
    path = save_waveforms(options.out or checkpoint.parent / "samples.png", drawn.waves, drawn.rate)
    files = save_sounds(path.with_suffix(".wav"), drawn)
    bits = zoo.bits_per_dim(drawn.log_prob.mean(), drawn.waves.shape[1])
    print(f"{type(model).__name__} from {checkpoint}, {options.engine} engine, seed {options.seed}")
    print(f"drawn sounds: {bits:.4f} bits/sample by the model's own likelihood")
    print(
        f"speed: {num * options.seconds / seconds:.2f} times real time ({seconds:.3f} s for {num} x {options.seconds:g} s; "
        f"compilation {first - seconds:.1f} s apart)"
    )
    print(f"{num} sounds: {files[0]} ... {files[-1].name}" if num > 1 else f"sound: {files[0]}")
    print(f"waveforms and spectrograms: {path}")


def show_surprise(
    path: Path, options: Options, model: zoo.Autoregressive, variables: zoo.Variables, x: Any, context: Any
) -> None:
    """Images and where they surprise the model."""
    size = options.batch_size
    parts = [jax.tree.map(lambda leaf: leaf[i : i + size], (x, context)) for i in range(0, len(x), size)]  # noqa: B023
    nats = np.concatenate([np.asarray(surprise(model, variables, *part), np.float64) for part in parts])
    save_surprise(path, model, x, nats, options.columns)
    print(f"surprise of {len(x)} images, {mean(nats.reshape(len(x), -1).sum(1))} nats: {path}")


def show_completions(options: Options, checkpoint: Path, model: zoo.Autoregressive, variables: zoo.Variables) -> None:
    """Rows of pictures: an image, what is kept of it, and its completions."""
    height, width = image_shape(model)[:2]
    rows, num = options.complete or 0, options.num or COMPLETIONS
    if not 1 <= rows < height:
        raise ValueError(f"--complete keeps 1..{height - 1} rows of a {height}x{width} image; got {options.complete}.")
    if options.images is None:
        context = context_of(options, model, COMPLETED)
        x = np.asarray(first_draw(options, model, variables, COMPLETED, context).x)
    else:
        x = read_images(model, options.images, COMPLETED)
        context = context_of(options, model, len(x))
    known = np.zeros(model.site_shape, bool)
    known[:rows] = True
    # Another key than that of the images, or each would be its own first completion; no sample has this index.
    key = jax.random.fold_in(jax.random.key(options.seed), 2**32 - 1)
    values, contexts = jax.tree.map(lambda leaf: np.repeat(leaf, num, axis=0), (x, context))
    drawn = complete(
        model, variables, key, len(values), values, known,
        context=contexts, engine=options.engine, batch_size=options.batch_size,
    )  # fmt: skip
    completions = as_images(model, drawn.x).reshape(len(x), num, *image_shape(model))
    panels = np.concatenate([as_images(model, x)[:, None], partly(model, x, known)[:, None], completions], axis=1)
    sheet = grid(panels.reshape(-1, *panels.shape[2:]), columns=num + 2)
    path = save_png(options.out or checkpoint.parent / "completions.png", sheet, options.scale)
    print(f"{type(model).__name__} from {checkpoint}, {options.engine} engine, seed {options.seed}")
    print(f"{rows} of {height} rows of {len(x)} images kept, {num} completions of each: {path}")


def first_draw(options: Options, model: zoo.Autoregressive, variables: zoo.Variables, num: int, context: Any) -> Sample:
    """The first `num` samples of the seed."""
    key, batch_size = jax.random.key(options.seed), options.batch_size
    return draw(model, variables, key, num, context=context, engine=options.engine, batch_size=batch_size)


def mean(nats: np.ndarray) -> str:
    """The mean of nats [num] with its standard error."""
    error = nats.std(ddof=1) / np.sqrt(len(nats)) if len(nats) > 1 else float("nan")
    return f"{nats.mean():.2f} +- {error:.2f}"


if __name__ == "__main__":
    command(main, Options, "python -m sample")
