"""How likely examples are, a batch at a time."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float

import zoo
from sample.kinds import kind_of
from sample.media.examples import Examples, arrays, of_array
from sample.scoring.surprisal import surprise
from zoo.core.checks import check_inputs, check_knows, kind
from zoo.formats.kept_reading import read_kept
from zoo.foundation.arguments import checked


class Likelihoods(NamedTuple):
    """How likely examples are.

    Attributes:
      names: of the examples: their number, the name of their file, or their place in it.
      nats: -log p(x | context) of each; an upper bound of it if the model knows a bound, [N].
      bits_per_dim: the same in bits per dimension, [N].
      knows: `exact` or `bound`, as the model's `knows`.

    Example:
      >>> import sample
      >>> found = sample.Likelihoods(["0"], np.log([256.0]), np.array([2.0]), "exact")
      >>> float(found.nats[0] / np.log(2) / found.bits_per_dim[0])  # dimensions
      4.0
    """

    names: list[str]
    nats: Float[np.ndarray, " N"]
    bits_per_dim: Float[np.ndarray, " N"]
    knows: zoo.Knows


@checked(batch_size=1, draws=1)
def score(
    source: str | os.PathLike | tuple[zoo.Generative, zoo.Variables],
    examples: Any,
    context: Any = None,
    *,
    label: int | None = None,
    batch_size: int = 256,
    draws: int | None = None,
    key: Array | None = None,
    **reading: Any,
) -> Likelihoods:
    """Computes -log p(x | context) of each example: `zoo.log_prob`, or the bound `zoo.evidence`.

    One batch of values is in memory, so a file may be larger than it (an .npz and each .wav are
    read whole).

    Args:
      source: a checkpoint, a run's folder, a model's name, or a pair (model, variables).
      examples: values [N, *site_shape, *event_shape], or a file or folder of what the model
        describes: pictures, .npy or .npz; a .csv; a .txt; a .wav; a .tsv of pairs; a folder with
        captions.tsv. Texts and sounds are cut into windows of the model's length, each without a
        past.
      context: what the model conditions on, leading axis N, for values.
      label: the label of every example, for a class-conditional model.
      batch_size: how many examples are scored at once.
      draws: how many draws of each example a bound takes; by default as many as in training.
      key: a key of these draws, consumed; `jax.random.key(0)` if None.
      **reading: how a .csv is read where it differs from that of the run: `header` (auto, yes, no),
        `sep` and `decimal` as the flags --data.sep and --data.decimal, `columns` or `drop`, names of
        columns to read or to leave out; of pictures `binarise`, threshold or dynamic, and
        `fit`, True to resize them and turn them into grey or colour as the model needs them.

    Returns:
      Likelihoods of all examples.

    Raises:
      ValueError: the model knows nothing of its likelihood, or examples or context do not fit it.

    Example:
      >>> import jax, numpy as np
      >>> import sample, zoo
      >>> model, x = zoo.NADE((2, 2), hidden=3), np.eye(4, dtype=int).reshape(4, 2, 2)
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> scores = sample.score((model, variables), x)
      >>> bool(np.allclose(scores.nats, -zoo.log_prob(model, variables, x)))
      True
    """
    model, variables = zoo.open(source)
    checkpoint = zoo.find(source) if isinstance(source, str | os.PathLike) else None
    parts = list(
        stream_scores(
            model,
            variables,
            read_examples(model, examples, context, batch_size, checkpoint, **reading),
            label=label,
            batch_size=batch_size,
            draws=draws,
            key=key,
        )
    )
    return Likelihoods(
        [name for part in parts for name in part.examples.names],
        np.concatenate([part.nats for part in parts]),
        np.concatenate([part.bits_per_dim for part in parts]),
        model.knows,
    )


class Scored(NamedTuple):
    """Some examples with their nats and bits/dim."""

    examples: Examples
    nats: Float[np.ndarray, " n"]
    bits_per_dim: Float[np.ndarray, " n"]


def read_examples(
    model: zoo.Generative,
    examples: Any,
    context: Any,
    size: int,
    checkpoint: Path | None = None,
    **reading: Any,
) -> Iterator[Examples]:
    """Values, or those of a file, `size` at a time; a .csv is read as the run of the checkpoint read
    its own, but for what `reading` says.

    Raises:
      ValueError: there are none, or they cannot be read.
    """
    check_knows(model, "exact", "bound")
    reading = {name: x for name, x in reading.items() if x not in (None, (), "none", False)}
    is_file = isinstance(examples, str | os.PathLike)
    if reading and not (is_file and model.kind in ("images", "table")):
        raise ValueError(f"{', '.join(reading)}: only for tables and pictures in files; drop it.")
    if not isinstance(examples, str | os.PathLike):
        return of_array(model, examples, context, size)
    if context is not None:
        raise ValueError("a file brings its own context: drop context, or pass values.")
    path = Path(os.path.expanduser(examples))
    read: Any = kind_of(model).read or arrays
    if not path.exists():
        raise ValueError(f"there is nothing at {path}: name a file or folder of examples.")
    if model.kind == "table":
        folder, names = checkpoint and checkpoint.parent, getattr(model, "column_names", ())
        return read(model, path, size, reading=read_kept(folder, names, **reading))
    if set(reading) - {"binarise", "fit"} or (reading and path.suffix == ".npz"):
        raise ValueError(f"{', '.join(reading)} says nothing about how {path} is read: drop it.")
    return read(model, path, size, **reading)


def stream_scores(
    model: zoo.Generative,
    variables: zoo.Variables,
    parts: Iterator[Examples],
    *,
    label: int | None = None,
    batch_size: int = 256,
    draws: int | None = None,
    key: Array | None = None,
) -> Iterator[Scored]:
    """The scores of each part of at most `batch_size` examples; arguments as for `score`."""
    check_knows(model, "exact", "bound")
    if draws is not None and model.knows == "exact":
        raise ValueError(f"{kind(model)} knows its likelihood exactly, without draws: drop draws.")
    key = jax.random.key(0) if key is None else key
    done = 0
    for part in parts:
        part = _labelled(model, part, label)
        check_inputs(model, variables, part.x, part.context)
        rows = np.arange(done, done + len(part.x), dtype=np.uint32)
        x, context, rows = jax.tree.map(
            lambda leaf: _filled(leaf, batch_size), (part.x, part.context, rows)
        )
        if part.sites is not None and (part.sites < model.num_sites).any():
            # Sites after those of a shorter example are filling, on which the first do not depend.
            assert isinstance(model, zoo.Autoregressive), "texts and sounds have an ordering"
            site = np.arange(model.num_sites)[None]
            each = np.asarray(surprise(model, variables, x, context), np.float64)
            nats = np.where(site < _filled(part.sites, batch_size)[:, None], each, 0).sum(1)
        elif model.knows == "exact":
            nats = -np.asarray(zoo.log_prob(model, variables, x, context), np.float64)
        else:
            bound = zoo.evidence(
                model, variables, x, context, key=key, num=draws or model.draws, indices=rows
            )
            nats = -np.asarray(bound, np.float64)
        nats = nats[: len(part.x)]
        yield Scored(part, nats, nats / (np.log(2) * _dims(model, part)))
        done += len(part.x)
    if not done:
        raise ValueError("there are no examples to score.")


def _labelled(model, part, label):
    """The examples with the label of a class-conditional model."""
    if part.context is None and label is not None:
        return part._replace(context=np.full(len(part.x), label))
    if part.context is None and model.example(1)[1] is not None:
        raise ValueError(
            f"{kind(model)} is conditional: say by --label which label the examples have, or pass "
            "an .npz with `images` and `labels` (in Python a context)."
        )
    if label is not None:
        raise ValueError("the examples have labels of their own: drop --label.")
    return part


def _dims(model, part):
    """Over how many dimensions the nats of each example are spread."""
    if part.sites is not None:
        return part.sites * (model.num_dims // model.num_sites)
    if model.writes_tokens and getattr(model, "pad", None) is not None:
        return (np.asarray(part.x) != model.pad).sum(1)
    return np.full(len(part.x), model.num_dims)


def _filled(rows, size):
    """Rows of a whole batch: the last is repeated, so that one program serves all batches."""
    rows = np.asarray(rows)
    return np.concatenate([rows, np.repeat(rows[-1:], max(0, size - len(rows)), axis=0)])
