"""Text: one as it is drawn, or several and how likely they are."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import tyro

import zoo
from sample.kinds.kind import (
    Computing,
    Inline,
    Kind,
    Run,
    Truncation,
    check_counts,
    check_seed,
    engine_name,
)
from sample.kinds.places import folder_of
from sample.media import examples
from sample.media.characters import encode
from sample.media.texts import stream, text
from sample.pictures.surprise_pages import save_surprise_page
from sample.scoring.surprisal import surprise

WRITTEN = 3  # texts without a prompt
LONG = 500  # characters of a text
MOST = 1 << 14  # characters of a given text whose surprise is shown


@dataclasses.dataclass(frozen=True)
class Options:
    """Draws text from a trained model, and prints it."""

    run: Run
    """A checkpoint, a run's folder, or a model's name: its newest run."""
    prompt: str | None = None
    """How a text begins; with it (or --num 1) the text is printed while it is drawn."""
    num: int | None = None
    """How many texts; 3 by default, 1 with a prompt."""
    length: int | None = None
    """How many characters are drawn after the prompt; 500 by default, or as many as the model can
    read.
    """
    stop: tuple[str, ...] = ()
    """Texts end before the first of these."""
    surprise: bool = False
    """Also write a page of the texts, surprise.html, coloured by -log p of every character."""
    text: Annotated[Path | None, tyro.conf.arg(metavar="FILE.txt")] = None
    """The text of --surprise, instead of drawn ones."""
    seed: int = 0
    """Seed of the key: the same seed gives the same texts whatever the engine, the batches and the
    devices.
    """
    truncation: Annotated[Truncation, Inline] = Truncation()
    computing: Annotated[Computing, Inline] = Computing()

    def check(self) -> None:
        """Raises ValueError for values that make no sense."""
        check_seed(self.seed)
        check_counts(num=self.num)
        if self.text is not None and not self.surprise:
            raise ValueError("--text is what --surprise looks at: add --surprise.")


def show(options: Options, checkpoint: Path, model: zoo.Sequence, variables: zoo.Variables) -> None:
    """Prints one text while it is drawn, or several with their likelihood; or the surprise of a
    given text.
    """
    page = folder_of(checkpoint) / "surprise.html"
    if options.text is not None:
        _show_surprise(page, model, variables, _windows(model, options.text))
        return
    prompt, num = options.prompt or "", options.num or (WRITTEN if options.prompt is None else 1)
    left = (
        LONG
        if model.max_length is None
        else max(1, min(LONG, model.max_length - len(encode(model, prompt))))
    )
    how: dict[str, Any] = dataclasses.asdict(options.truncation)
    how |= {"length": left if options.length is None else options.length, "stop": options.stop}
    how |= {"key": jax.random.key(options.seed)}
    if num == 1 and not options.surprise:
        pieces = stream((model, variables), prompt, **how)
        print(prompt, end="")
        for piece in pieces:
            print(piece, end="", flush=True)
        print()
        return
    drawn = text((model, variables), prompt, num, **dataclasses.asdict(options.computing), **how)
    for each, log_prob in zip(drawn.texts, drawn.log_prob, strict=True):
        length = max(1, len(each) - len(prompt))
        print(f"--- {-log_prob / length:.4f} nats/char by the model's own likelihood\n{each}")
    engine = engine_name(options.computing.engine, model, variables)
    print(f"---\n{num} texts from {checkpoint}, {engine}, seed {options.seed}")
    if options.surprise:
        _show_surprise(page, model, variables, [encode(model, each) for each in drawn.texts])


def _windows(model, path):
    """The tokens of a file: one text, or windows where the model reads no more at a time."""
    parts = examples.texts(model, path.expanduser(), 1)
    windows = [window for part in parts for window in examples.rows_of(part)]
    return windows if model.max_length is not None else [np.concatenate(windows)[:MOST]]


def _show_surprise(page, model, variables, texts):
    """Writes the page of texts, each read from its start."""
    texts = [tokens for tokens in texts if len(tokens)]
    nats = []
    for tokens in texts:
        # Later characters change nothing of the earlier ones, so a text may be filled up.
        size = 1 << (len(tokens) - 1).bit_length()
        size = size if model.max_length is None else min(size, model.max_length)
        x = np.pad(tokens, (0, size - len(tokens)))[None]
        each = surprise(model.clone(site_shape=(size,)), variables, x)
        nats.append(np.asarray(each, np.float64)[0, : len(tokens)])
    mean = np.concatenate(nats).mean()
    path = save_surprise_page(page, model, texts, nats)
    print(f"surprise of {len(texts)} texts, {mean:.4f} nats a token: {path}")


def describe(model: Any, x: Sequence[Any], names: list[str], path: Path) -> list[str]:
    """The texts, a line each."""
    texts = [examples.text_of(model, row) for row in x]
    return [f"{name}: {text!r}" for name, text in zip(names, texts, strict=True)]


KIND = Kind("text", Options, show, examples.texts, describe)
