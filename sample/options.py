"""The flags of `python -m sample`, and which of them make sense."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

import zoo
from sample.draw import Engine
from zoo.checks import kind


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
    length: int | None = None
    """How many characters are drawn after the prompt; 500 by default, or as many as the model can read."""
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


def check(options: Options) -> None:
    """Raises ValueError for flags that make no sense, or none together."""
    if not 0 <= options.seed < 2**32:
        raise ValueError(f"--seed must be in 0..2**32 - 1; got {options.seed}.")
    if any(count is not None and count < 1 for count in (options.num, options.scale, options.columns)):
        raise ValueError("--num, --scale and --columns must be at least 1.")
    if options.out is not None and not options.out.parent.is_dir():
        raise ValueError(f"--out {options.out}: there is no folder {options.out.parent}; make it first.")
    if options.out is not None and options.out.is_dir():
        raise ValueError(f"--out {options.out} is a folder; name a file in it.")
    if options.beam < 0:
        raise ValueError(f"--beam must be at least 1, or 0 to draw samples; got {options.beam}.")
    if options.complete is not None and (options.gif or options.surprise or options.columns is not None):
        raise ValueError("--complete makes a picture of its own: drop --gif, --surprise and --columns.")
    if options.images is not None and options.gif:
        raise ValueError("--gif shows images being drawn, and --images are given: drop one of them.")


def check_means(options: Options, model: zoo.Autoregressive) -> None:
    """Raises ValueError for flags that mean nothing for such a model."""
    law, text = {"temperature", "top_k", "top_p", "min_p"}, {"prompt", "stop", "length"}
    image, source = {"gif", "surprise", "complete", "columns", "scale"}, {"source", "pairs"}
    context, sound = source | {"attention", "beam"}, {"audio", "seconds"}
    other = sound | {"label", "engine"}
    if isinstance(model, zoo.WaveNet):
        what, strange = "sounds", text | image | context | {"images"}
        if options.out is not None and options.out.suffix == ".wav":
            raise ValueError("--out is the picture of the sounds, a .png; the sounds lie beside it, each in a .wav.")
    elif isinstance(model, zoo.Translator):
        what, strange = "what it makes of a source", text | image | law | other | {"images"}
    elif isinstance(model, zoo.ImageDescriber):
        what, strange = "captions of images", text | image | law | other | source
    elif isinstance(model, zoo.Sequence):
        what, strange = "text, which is printed", image | context | sound | {"images", "label", "out"}
    else:
        what, strange = "neither texts nor sounds", law | text | context | sound
        if model.head.num_values is None and options.out is not None and options.out.suffix != ".csv":
            raise ValueError(f"--out is the table of what is drawn, a .csv; got {options.out}.")
    for field in dataclasses.fields(options):
        if field.name in strange and getattr(options, field.name) != field.default:
            flag = field.name.replace("_", "-")
            raise ValueError(f"--{flag} means nothing for {kind(model)}, which writes {what}: drop it.")
    if options.source and options.pairs is not None:
        raise ValueError("--source and --pairs are both given: drop one of them.")
    if options.source and options.num is not None:
        raise ValueError("--num is how many pairs of a file are read, and --source is given: drop one of them.")
    if isinstance(model, zoo.EncoderDecoder) and options.out is not None and not options.attention:
        raise ValueError("--out is the picture that --attention draws: add --attention, or drop --out.")
