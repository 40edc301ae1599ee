"""What a model knows of the likelihood of a split, in stated units and under its own name."""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

import zoo
from train.data import Split, batches
from train.data.dataset import take
from train.engine.devices import shardings
from train.engine.figures import Evaluation
from train.engine.progress import progress_bar
from train.kinds import kind_of
from zoo.core import checks
from zoo.core.bounds import watched
from zoo.foundation.files import write_whole
from zoo.foundation.limits import MOST
from zoo.foundation.processes import gathered, share_of

STREAMS = 16  # that a recurrent network reads a text as: only their first windows have no past


TEST_SCORES = "test_scores.npz"  # in the folder of a run: nats of its test examples
KEY = 0  # seed of the noise of all evaluations, so that they can be compared


class Scores(NamedTuple):
    """What evaluation measures of every example.

    Attributes:
      nats: -log p(x), [N].
      probabilities: of labels, that of each class at each site, [N, sites, classes]; None for other
        data.
      draws: how many draws of each example a bound took.
    """

    nats: Float[np.ndarray, " N"]
    probabilities: Float[np.ndarray, "N sites classes"] | None = None
    draws: int = 0


def evaluate(
    model: zoo.Generative,
    variables: zoo.Variables,
    split: Split,
    batch_size: int,
    *,
    ensemble: bool = False,
    draws: int | None = None,
    seed: int = KEY,
) -> Evaluation:
    """What the model knows of the likelihood of every example of a split, over all devices.

    The last batch is filled up by repeating its last example, and the filling is not counted: one
      compilation serves
    all batches, and the mean is over exactly the examples of the split.

    Args:
      model: the model.
      variables: its variables.
      split: the examples.
      batch_size: examples at a time; rounded up to a multiple of the number of devices.
      ensemble: score the mixture of `model.members()` instead of the model itself.
      draws: how many draws a bound takes for each example; by default as many as training does.
      seed: of the noise of a bound; the noise of an example depends on the seed and on its place in
        the split.

    A text, cut into windows, is scored window by window, each from its beginning; by a recurrent
    network as a few streams of windows that go on from one another.
    """
    scores = example_scores(
        model, variables, split, batch_size, ensemble=ensemble, draws=draws, seed=seed
    )
    return summarise(scores.nats, model, split.x, scores.probabilities, scores.draws)


def mixture(scores: Sequence[Scores]) -> Scores:
    """The scores of each example under the uniform mixture of K distributions: -log (1/K) sum_k
    p_k(x), and the mean probability of each label.

    Args:
      scores: those under each distribution.

    Example:
      >>> one, other = Scores(np.array([0.0, 2.0])), Scores(np.array([np.inf, 2.0]))
      >>> mixture([one, other]).nats.round(4).tolist()
      [0.6931, 2.0]
    """
    nats = math.log(len(scores)) - np.logaddexp.reduce([-each.nats for each in scores])
    probabilities = [each.probabilities for each in scores if each.probabilities is not None]
    return Scores(nats, np.mean(probabilities, axis=0) if probabilities else None)


def example_scores(
    model: zoo.Generative,
    variables: zoo.Variables,
    split: Split,
    batch_size: int,
    *,
    ensemble: bool = False,
    draws: int | None = None,
    seed: int = KEY,
    streams: bool = True,
) -> Scores:
    """The scores of every example of a split, by the arguments of `evaluate`; without `streams` a
    recurrent network reads each window by itself, too.
    """
    if model.streams and streams:
        return Scores(_stream_nats(model, variables, split.x))
    kind = kind_of(model)
    devices = jax.local_devices()  # each process scores its share of the examples by itself
    replicated, rows_cut = shardings(devices)
    variables = jax.device_put(variables, replicated)
    size = math.ceil(batch_size / len(devices)) * len(devices)
    scores: dict[str, list[np.ndarray]] = {}
    draws = 0 if model.knows != "bound" else draws or model.draws
    first, share = share_of(len(split.x))
    first = min(first, len(split.x) - 1)
    own, done = take(split, slice(first, first + share)), first
    with progress_bar(len(own.x), "example", delay=10) as bar:
        for batch in batches(own, size):
            batch = kind.shortened(model, batch)
            count, fitting = len(batch.x), kind.of_length(model, batch.x)
            rows = (*batch, np.arange(done, done + count, dtype=np.uint32))
            filled = jax.tree.map(lambda rows: _fill(rows, size), rows)
            x, context, indices = jax.device_put(filled, rows_cut)
            if model.knows == "exact":
                members = fitting.members() if ensemble else (fitting,)
                found = kind.scores(members, variables, x, context)
            else:
                noise = {"key": jax.random.key(seed), "indices": indices}
                found = {"nats": _from_noise(fitting, variables, x, context, draws, noise)}
            for name, values in found.items():
                scores.setdefault(name, []).append(np.asarray(values, np.float64)[:count])
            done += count
            bar.update(count)
    joined = {name: _fill(np.concatenate(parts), share) for name, parts in scores.items()}
    whole = {name: values[: len(split.x)] for name, values in gathered(joined).items()}
    return Scores(**whole, draws=draws)


def _from_noise(model, variables, x, context, draws, noise):
    """Minus a bound of log p(x), or what a model without a likelihood is watched by, [batch]."""
    if model.knows == "none":
        return watched(model, variables, x, context, **noise)
    return -zoo.evidence(model, variables, x, context, num=draws, **noise)


def check_draws(model: zoo.Generative, draws: int | None) -> None:
    """Raises ValueError if draws were asked for that cannot be."""
    if draws is not None and model.knows != "bound":
        knows = {"exact": "knows its likelihood exactly", "none": "has no likelihood"}[model.knows]
        raise ValueError(f"{checks.kind(model)} {knows}, so it takes no draws: drop --draws.")
    if draws is not None and not 1 <= draws <= MOST:
        raise ValueError(f"--draws must be in 1..{MOST:,}; got {draws}.")


def check_ensemble(model: zoo.Generative, flag: str) -> None:
    """Raises ValueError if the model has no members besides itself."""
    if model.knows != "exact":
        raise ValueError(
            f"{checks.kind(model)} does not know its likelihood exactly, so there is no mixture to "
            f"score: drop --{flag}."
        )
    if len(model.members()) == 1:
        raise ValueError(f"this {checks.kind(model)} is one model and no ensemble: drop --{flag}.")


def _stream_nats(model, variables, windows):
    """Nats of every window [windows, length], read as streams side by side, the last one perhaps
    shorter.
    """
    count = -(-len(windows) // STREAMS)
    streams = np.split(_fill(windows, count * STREAMS), STREAMS)
    first, size = share_of(STREAMS)
    rows = np.minimum(np.arange(first, first + size), STREAMS - 1)
    carry, nats = zoo.begin(model, variables, size), []
    for pieces in zip(*(streams[row] for row in rows), strict=True):
        log_prob, carry = zoo.stream_log_prob(model, variables, np.stack(pieces), carry)
        nats.append(-np.asarray(log_prob, np.float64))
    found = gathered(np.stack(nats, axis=1))[:STREAMS]
    return found.ravel()[: len(windows)]


def summarise(
    nats: np.ndarray,
    model: zoo.Generative,
    x: np.ndarray,
    probabilities: np.ndarray | None = None,
    draws: int = 0,
) -> Evaluation:
    """The evaluation that the nats of single examples `x` amount to: their sum, divided by what is
    scored in all of them; and how many labels are not the likeliest, by their `probabilities`.
    """
    kind, num = kind_of(model), len(nats)
    sites, of = kind.scored_sites(model, x).astype(np.float64), kind.unit(model)
    mean = float(nats.sum() / sites.sum())
    error = (
        float((nats - mean * sites).std(ddof=1) / sites.mean()) / math.sqrt(num)
        if num > 1
        else math.nan
    )
    bits = zoo.bits_per_dim(-mean, model.num_dims if of == "example" else 1)
    if model.knows == "none":
        return Evaluation(
            math.nan, error, math.nan, num, of, None, None, "none", 0, mean, model.watched
        )
    result = Evaluation(mean, error, bits, int(sites.sum()), of, knows=model.knows, draws=draws)
    if probabilities is None:
        return result
    errors = (probabilities.argmax(-1) != x).mean(1)
    spread = errors.std(ddof=1) / math.sqrt(num) if num > 1 else math.nan
    return result._replace(error=100 * float(errors.mean()), error_spread=100 * float(spread))


def keep_scores(folder: Path, nats: np.ndarray, model: zoo.Generative, x: np.ndarray) -> None:
    """Writes the nats of each test example and over how many dimensions they are spread into the
    folder of a run, unless the model has no likelihood; `python -m sample.score_file` compares other
    examples with them.
    """
    if model.knows == "none":
        return
    kind = kind_of(model)
    scored = kind.scored_sites(model, x).astype(np.float64)
    packed = io.BytesIO()
    dims = scored * (model.num_dims if kind.unit(model) == "example" else 1)
    np.savez_compressed(packed, nats=nats, dims=dims)
    write_whole(folder / TEST_SCORES, packed.getvalue())


def _fill(rows, size):
    return np.concatenate([rows, np.repeat(rows[-1:], size - len(rows), axis=0)])
