"""Where texts and sounds surprise a model: a page with coloured characters, coloured waveforms."""

import codecs
import html
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Num

import zoo
from sample.pictures.figures import new_figure
from zoo.formats.vocabulary import BYTES
from zoo.foundation.arguments import array, checked
from zoo.foundation.files import write_whole

TOP = 6.0  # nats of the darkest colour
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Surprise</title><style>
body {{ font-family: monospace; max-width: 50em; margin: 2em auto; line-height: 1.5 }}
pre {{ white-space: pre-wrap; border-left: 3px solid #ccc; padding-left: 1em }}
</style></head><body>
<p>-log p of each character, given those before it: from white (0 nats) to red ({top:g} nats and
more). Point at a character to read its number.</p>
{texts}
</body></html>
"""


@checked()
def save_surprise_page(
    path: str | os.PathLike, model: zoo.Autoregressive, x: Sequence[Any], nats: Sequence[Any]
) -> Path:
    """Writes a self-contained HTML page of texts whose characters are coloured by their surprise.

    Args:
      path: the file.
      model: a model of text with a vocabulary.
      x: tokens of each text, [length].
      nats: the surprise of each token; of a character of several bytes they are summed.

    Returns:
      The path.

    Raises:
      ValueError: the model writes no text, or a text has not a number for each token.

    Example:
      >>> import numpy as np
      >>> import sample, zoo
      >>> model = zoo.GRU((3,), vocabulary=tuple("<ab"), head=zoo.Categorical(3))
      >>> path = sample.save_surprise_page("text.html", model, [[1, 0]], [[0.5, 3.0]])
      >>> "&lt;</span>" in path.read_text()
      True
    """
    if model.kind != "text" or not model.vocabulary:
        raise ValueError(f"{type(model).__name__} has no vocabulary, so it writes no text.")
    texts = []
    for tokens, each in zip(x, nats, strict=True):
        tokens, each = array(tokens, "x"), array(each, "nats").astype(np.float64)
        if tokens.ndim != 1 or tokens.shape != each.shape:
            raise ValueError(
                f"nats must have a number for each of {list(tokens.shape)} tokens; got "
                f"{list(each.shape)}."
            )
        spans = "".join(_span(*pair) for pair in _characters(model.vocabulary, tokens, each))
        mean = f"{each.mean():.4f} nats a token" if each.size else "empty"
        texts.append(f"<p>{mean}</p>\n<pre>{spans}</pre>")
    write_whole(path, PAGE.format(top=TOP, texts="\n".join(texts)).encode())
    return Path(path)


def _characters(
    vocabulary: tuple[str, ...], tokens: np.ndarray, nats: np.ndarray
) -> Iterator[tuple[str, float]]:
    """The characters of a text with their nats, summed over the bytes of each."""
    if vocabulary != BYTES:
        yield from ((vocabulary[token], each) for token, each in zip(tokens, nats, strict=True))
        return
    reader, total = codecs.getincrementaldecoder("utf-8")("replace"), 0.0
    for token, each in zip(tokens, nats, strict=True):
        total += each
        if text := reader.decode(bytes([int(token)])):
            yield text, total
            total = 0.0
    if total:
        yield reader.decode(b"", final=True), total


def _span(text, nats):
    share = min(max(nats / TOP, 0.0), 1.0) if np.isfinite(nats) else 1.0
    pale = round(255 * (1 - share))
    shown = html.escape(text)
    return f'<span style="background:rgb(255,{pale},{pale})" title="{nats:.2f} nats">{shown}</span>'


@checked(rate=1)
def save_surprise_waves(
    path: str | os.PathLike,
    waves: Num[np.ndarray, "num samples"],
    nats: Num[np.ndarray, "num samples"],
    rate: int,
) -> Path:
    """Writes a PNG file with a row for each sound: its waveform, coloured by the surprise of each
    sample, above the mean surprise of 5 ms.

    Args:
      path: the file.
      waves: sounds in [-1, 1], [num, samples].
      nats: the surprise of each sample, [num, samples].
      rate: samples per second.

    Returns:
      The path.

    Raises:
      ImportError: matplotlib is not installed.
      ValueError: the arrays have other shapes.

    Example:
      >>> import numpy as np
      >>> import sample
      >>> waves, nats = np.zeros((1, 50)), np.ones((1, 50))
      >>> sample.save_surprise_waves("waves.png", waves, nats, rate=100).name
      'waves.png'
    """
    waves, nats = array(waves, "waves"), array(nats, "nats").astype(np.float64)
    if waves.ndim != 2 or not waves.size or waves.shape != nats.shape:
        raise ValueError(
            f"waves and nats must have one shape [num, samples]; got {list(waves.shape)} and "
            f"{list(nats.shape)}."
        )
    figure = new_figure(figsize=(12, 0.6 + 2.4 * len(waves)), layout="constrained")
    panels = figure.subplots(2 * len(waves), 1, squeeze=False, sharex=True)[:, 0]
    seconds = (np.arange(waves.shape[1]) + 0.5) / rate
    size = max(1, rate // 200)
    window = np.ones(size) / size
    for i, (wave, each) in enumerate(zip(waves, nats, strict=True)):
        upper, lower = panels[2 * i], panels[2 * i + 1]
        dots = upper.scatter(seconds, wave, c=each, s=1, cmap="inferno_r", vmin=0)
        upper.set_ylim(-1, 1)
        figure.colorbar(dots, ax=upper, label="nats")
        lower.plot(seconds, np.convolve(each, window, mode="same"), linewidth=0.6)
        lower.set_ylabel("nats")
    panels[-1].set_xlabel("s")
    figure.savefig(path, dpi=100, format="png")
    return Path(path)
