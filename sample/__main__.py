"""`python -m sample RUN`: draws images into a PNG, rows of a table into a .csv, text, or sounds into .wav files.

It says how likely they are and how fast they came. Flags add a GIF of the drawing and maps of the surprise, or complete
images instead.
"""

import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

import zoo
from sample.audio import audio, save_sounds, save_waveforms
from sample.complete import complete
from sample.draw import Sample, draw
from sample.options import Options, check, check_means
from sample.progress import partly, progress
from sample.read import read_images
from sample.render import as_images, grid, image_shape, save_gif, save_png
from sample.show import show_captions, show_translations
from sample.surprise import save_surprise, surprise
from sample.text import encode, stream, text
from zoo.checks import kind
from zoo.command import command

# How many by default: images in the grid, with a map of surprise, to complete; completions of each; texts; sounds.
DRAWN, MAPPED, COMPLETED, COMPLETIONS, WRITTEN, HEARD = 100, 16, 8, 8, 3, 4
LONG = 500  # characters of a text


def main(options: Options) -> None:
    """Draws, writes the pictures and prints the figures."""
    check(options)
    checkpoint = zoo.find(options.run)
    model, variables = zoo.load(checkpoint)
    check_means(options, model)
    if isinstance(model, zoo.WaveNet):
        show_sounds(options, checkpoint, model, variables)
        return
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
        print(f"{kind(model)} from {checkpoint}")
        show_surprise(options.out or checkpoint.parent / "surprise.png", options, model, variables, x, context)
    else:
        show_samples(options, checkpoint, model, variables)


def context_of(options: Options, model: zoo.Autoregressive, num: int) -> Any:
    """The context of `num` images: the label asked for, or all labels in turn, which only drawn images can have."""
    if options.label is not None:
        return np.full(num, options.label)
    context = zoo.example(model, num)[1]
    if context is not None and options.images is not None:
        raise ValueError(f"{kind(model)} is conditional on labels: say by --label which one --images have.")
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
    print(f"{kind(model)} from {checkpoint}, {options.engine} engine, seed {options.seed}")
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


def show_texts(options: Options, checkpoint: Path, model: zoo.Sequence, variables: zoo.Variables) -> None:
    """One text as it is drawn, or several and how likely they are."""
    prompt, num = options.prompt or "", options.num or (WRITTEN if options.prompt is None else 1)
    left = LONG if model.longest is None else max(1, min(LONG, model.longest - len(encode(model, prompt))))
    law = law_of(options) | {"length": left if options.length is None else options.length, "stop": options.stop}
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
    print(f"{kind(model)} from {checkpoint}, {options.engine} engine, seed {options.seed}")
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
    print(f"{kind(model)} from {checkpoint}, {options.engine} engine, seed {options.seed}")
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
