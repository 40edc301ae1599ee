"""Outliers against the data of a run: the scores of both, and how well each score tells."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

import zoo
from train.anomalies.measures import Separation, separation
from train.anomalies.scores import NATS, complexities, ratio, stand_ins, typicality
from train.data import Data, DataError, Dataset, Split
from train.data.dataset import generator, take
from train.data.subsets import of_classes
from train.engine.ensembles import MEANING
from train.engine.evaluation import example_scores, mixture
from train.kinds import kind_of, kind_of_data, load
from train.kinds.kind import named
from zoo.core.checks import check_knows, kind
from zoo.formats.csv_cells import Reading


class Trained(NamedTuple):
    """A run with its model, its best weights and the seed and draws of its bound."""

    name: str
    model: zoo.Generative
    variables: zoo.Variables
    batch_size: int
    draws: int | None
    data: Data

    def nats(self, split: Split) -> Float[np.ndarray, " N"]:
        """-log p(x) of each example, or an upper bound of it.

        A class-conditional model scores the mixture over its labels, all as likely; a recurrent
        network reads each window without a past.
        """
        labels = getattr(self.model, "num_classes", 0)
        if not labels:
            return self._scores(split).nats
        given = (np.full(len(split.x), label, np.int32) for label in range(labels))
        return mixture([self._scores(split._replace(context=each)) for each in given]).nats

    def _scores(self, split):
        size = kind_of(self.model).evaluation_batch(self.batch_size)
        size = min(size, len(split.x))
        return example_scores(
            self.model, self.variables, split, size, draws=self.draws, streams=False
        )


class Comparison(NamedTuple):
    """What was found.

    Attributes:
      scores: by the name of the score, that of the data and that of the outliers.
      measures: how well each tells them apart.
      background: the name of the background that was chosen, or None.
      choice: the AUROC by which it was chosen, by the name of each background.
    """

    scores: dict[str, tuple[np.ndarray, np.ndarray]]
    measures: dict[str, Separation]
    background: str | None
    choice: dict[str, float]


def outliers(trained: Trained, data: Data, reading: Reading, binarise: str) -> Dataset:
    """Other data as the model of a run reads them; of a file of your own all of it is the test split.

    Args:
      trained: the run.
      data: which data, and how they are read.
      reading: how a .csv is read.
      binarise: how greys become bits, for a model of bits.

    Raises:
      DataError: they cannot be loaded, or the model cannot describe them.
    """
    model, kind = trained.model, kind_of(trained.model)
    other = kind_of_data(data.name)
    if not kind.accepts(other):
        raise DataError(
            f"{data.name} holds {other.holds}, but {named(model)} describes {kind.holds}: pass "
            f"--against, such as {kind.example}."
        )
    if data.path is not None and data.name not in kind.published:
        data = dataclasses.replace(data, name=Path(data.path).name)
        dataset = kind.whole(model, data, reading)
        dataset = of_classes(dataset, data.classes) if data.classes else dataset
    else:
        loaded = kind.adopted(load(data))
        dataset = loaded.map(lambda _: loaded.test)  # nothing else is converted
    dataset = kind.alike(model, dataset, binarise)
    if model.example(1)[1] is None:
        dataset = dataset.map(lambda split: split._replace(context=None))
    return kind.prepare(model, dataset)


def check_background(trained: Trained, background: Trained) -> None:
    """Raises ValueError unless the nats of a background are those of the same examples."""
    one, other = trained.model, background.model
    check_knows(other, "exact", "bound")
    spaces = [
        (model.site_shape, model.head.event_shape, model.head.num_values, model.kind)
        for model in (one, other)
    ]
    meanings = [[getattr(model, name, None) for name in MEANING] for model in (one, other)]
    if spaces[0] != spaces[1] or meanings[0] != meanings[1]:
        raise ValueError(
            f"--background {background.name}: {kind(other)} describes {_space(other)}, but the run "
            f"{_space(one)}: train the same model on the same data with --data.mutate."
        )


def _space(model):
    levels = model.head.num_values
    what = "real numbers" if levels is None else f"{levels:,} levels"
    return f"{model.kind} of shape {list(model.site_shape)} with {what}"


def compare(
    trained: Trained,
    valid: Split,
    inside: Split,
    outside: Split,
    backgrounds: Sequence[Trained] = (),
) -> Comparison:
    """Scores of the examples `inside` and `outside`, and how well each tells them apart.

    Of several backgrounds that one is taken whose ratio best tells validation examples from
    `stand_ins` made of them: no outlier is looked at.

    Raises:
      ValueError: the model knows nothing of its likelihood, or a background describes other things.
    """
    model = trained.model
    check_knows(model, "exact", "bound")
    for background in backgrounds:
        check_background(trained, background)
    known = trained.nats(valid)
    nats = trained.nats(inside), trained.nats(outside)
    scores: dict[str, Any] = {"raw": nats}
    scores["typicality"] = tuple(typicality(each, known.mean()) for each in nats)
    chosen: Trained | None = None
    choice: dict[str, float] = {}
    if backgrounds:
        choice = _choice(trained, valid, known, backgrounds) if len(backgrounds) > 1 else {}
        chosen = max(backgrounds, key=lambda each: choice.get(each.name, 0.0))
        others = chosen.nats(inside), chosen.nats(outside)
        scores["ratio"] = tuple(ratio(*each) for each in zip(nats, others, strict=True))
    coded = [complexities(model, split.x) for split in (inside, outside)]
    for name in coded[0]:
        scores[name] = tuple(
            each / NATS - bits[name] for each, bits in zip(nats, coded, strict=True)
        )
    measures = {name: separation(*both) for name, both in scores.items()}
    return Comparison(scores, measures, chosen and chosen.name, choice)


def _choice(trained, valid, known, backgrounds):
    """The AUROC of validation examples against stand-ins, by the name of each background."""
    made = valid._replace(x=stand_ins(trained.model, valid.x, generator(0)))
    strange = trained.nats(made)
    return {
        each.name: separation(ratio(known, each.nats(valid)), ratio(strange, each.nats(made))).auroc
        for each in backgrounds
    }


def first(split: Split, num: int | None) -> Split:
    """The first `num` examples of a split; all if None."""
    return take(split, slice(num))


def draw_scores(path: Path, comparison: Comparison, names: tuple[str, str]) -> Path:
    """Draws a histogram of each score, of the data and of the outliers.

    Raises:
      ImportError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    count = len(comparison.scores)
    figure = Figure(figsize=(4 * count, 3.2), layout="constrained")
    panels = figure.subplots(1, count, squeeze=False)[0]
    for axes, (score, both) in zip(panels, comparison.scores.items(), strict=True):
        finite = [each[np.isfinite(each)] for each in both]
        edges = np.histogram_bin_edges(np.concatenate(finite), bins=50)
        for name, each in zip(names, finite, strict=True):
            weights = np.full(len(each), 1 / max(1, len(each)))
            axes.hist(each, edges, weights=weights, alpha=0.6, label=name)
        axes.set_title(f"{score}, AUROC {comparison.measures[score].auroc:.4f}", fontsize=9)
        axes.set_xlabel("nats" if score in ("raw", "typicality", "ratio") else "bits", fontsize=8)
    panels[0].set_ylabel("share of the examples", fontsize=8)
    panels[0].legend(fontsize=8)
    figure.savefig(path, dpi=100, format="png")
    return path
