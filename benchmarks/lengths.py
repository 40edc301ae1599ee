"""`python -m benchmarks.lengths RUN ... --pairs FILE.tsv`: exact match against the length of the
source, one curve per run.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from jaxtyping import Float

import zoo
from sample.media.translations import translate
from sample.pictures.figures import new_figure
from zoo.cli import called, command
from zoo.formats.tsv import read_pairs
from zoo.formats.vocabulary import pieces


@dataclasses.dataclass(frozen=True)
class Options:
    """Measures how well trained runs translate sources of different lengths, including lengths
    beyond their training.
    """

    runs: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Run folders or checkpoints of models that translate."""
    pairs: Path
    """Sources and their translations, one pair per line."""
    width: int = 10
    """Tokens per point of a curve: lengths are grouped into bins of this width."""
    beam: int = 5
    """Hypotheses that the search keeps."""
    trained: int | None = None
    """The length of the longest training source; a line marks it."""
    out: Path = Path("lengths.png")
    """The PNG file."""


def exact_by_length(
    model: zoo.Translator,
    variables: zoo.Variables,
    pairs: Sequence[tuple[str, str]],
    width: int,
    beam: int = 5,
) -> Float[np.ndarray, "points 3"]:
    """Computes exact match for sources of different lengths.

    Args:
      model: a trained model.
      variables: its variables.
      pairs: sources and their translations.
      width: lengths are grouped into bins of this many tokens.
      beam: hypotheses that the search keeps.

    Returns:
      [points, 3]: for each bin the mean length of its sources in tokens, the share translated
      exactly, and their number.

    Raises:
      ValueError: `width` is below 1, or the model cannot translate the sources.

    Example:
      >>> import jax
      >>> import zoo
      >>> from benchmarks.lengths import exact_by_length
      >>> words = ("<pad>", "<end>", "<unk>", "a", "b")
      >>> model = zoo.Seq2Seq(
      ...     (6,), 5, 3, end=1, pad=0, vocabulary=words, head=zoo.Categorical(5),
      ...     source_vocabulary=words, source_values=5,
      ... )
      >>> variables = zoo.init(model, jax.random.key(0), *model.example(1))
      >>> pairs = [("ab", "ab"), ("ba", "ba"), ("abab", "abab")]
      >>> exact_by_length(model, variables, pairs, width=3, beam=1)[:, [0, 2]].tolist()
      [[2.0, 2.0], [4.0, 1.0]]
    """
    if width < 1:
        raise ValueError(f"width must be at least 1; got {width}.")
    wanted = [pieces(target, model.unit) for _, target in pairs]
    made = translate(
        (model, variables), [source for source, _ in pairs], beam, length=1 + max(map(len, wanted))
    )
    lengths = np.array([len(source) for source in made.sources])
    right = np.array([tokens == target for tokens, target in zip(made.tokens, wanted, strict=True)])
    points = [(lengths // width == each).nonzero()[0] for each in np.unique(lengths // width)]
    return np.array([(lengths[part].mean(), right[part].mean(), len(part)) for part in points])


def save_lengths(
    path: Path, curves: Mapping[str, Float[np.ndarray, "points 3"]], trained: int | None = None
) -> Path:
    """Writes the curves of `exact_by_length` to a PNG file.

    Args:
      path: the file.
      curves: points [points, 3] by name.
      trained: the longest training length, marked by a line.

    Returns:
      The path.

    Raises:
      ImportError: matplotlib is not installed.

    Example:
      >>> import numpy as np
      >>> from benchmarks.lengths import save_lengths
      >>> save_lengths("lengths.png", {"GRU": np.array([[2.0, 0.9, 10], [4.0, 0.7, 12]])}).name
      'lengths.png'
    """
    figure = new_figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    for name, points in curves.items():
        axes.plot(points[:, 0], 100 * points[:, 1], marker="o", label=name)
    if trained is not None:
        axes.axvline(trained, color="grey", linestyle=":", label="longest in training")
    axes.set(xlabel="tokens of the source", ylabel="exact match in %", ylim=(-3, 103))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
    return Path(path)


def main(options: Options) -> None:
    """Translates the sources, prints the points and draws the curves."""
    pairs, curves = read_pairs(options.pairs), {}
    for run in options.runs:
        model: Any
        model, variables = zoo.open(run)
        if model.kind != "translation":
            raise ValueError(
                f"{run}: {type(model).__name__} does not translate: it reads no source."
            )
        name = type(model).__name__ if type(model).__name__ not in curves else run
        curves[name] = exact_by_length(model, variables, pairs, options.width, options.beam)
        for length, share, count in curves[name]:
            print(f"{name}: {length:.0f} tokens, exact match {100 * share:.1f} % of {count:.0f}")
    print(f"curves: {save_lengths(options.out, curves, options.trained)}")


if __name__ == "__main__":
    command(main, Options, called("benchmarks.lengths"), "--out FILE")
