"""What an untrained model, or one that knows only how often each value occurs, pays for a batch.

All functions return nats of each example, or a mean of them, in float64.
"""

from collections import Counter
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict
from jaxtyping import Float, Shaped

import zoo
from train.data import Dataset
from train.data.dataset import lines
from train.kinds import kind_of

Values = Shaped[np.ndarray, "batch ..."]
MOST = 10_000  # training examples whose values are counted


def zero_params_nats(model: Any, x: Values) -> Float[np.ndarray, " batch"]:
    """-log p(x) where the network returns 0 for all params: D ln K for D sites of K equal classes.

    Example:
      >>> model, x = zoo.MADE((2, 3)), np.zeros((1, 2, 3), np.int32)
      >>> float(zero_params_nats(model, x)[0].round(4))  # 6 ln 2
      4.1589
    """
    if (inner := _standardised(model)) is not None:
        shift, scale = (np.reshape(each, model.site_shape) for each in (model.shift, model.scale))
        standardised = ((x - shift) / scale).astype(np.float32)
        return zero_params_nats(inner, standardised) - model.log_jacobian
    return _nats_of(model, jnp.zeros((1, model.head.num_params)), x)


def output_bias_nats(
    model: Any, variables: zoo.Variables, x: Values
) -> Float[np.ndarray, " batch"] | None:
    """-log p(x) where the network returns its output bias alone, which may be fitted to the
    frequencies of the values; None of a model that does not say which bias that is.

    Example:
      >>> import jax
      >>> model, x = zoo.FVSBN((2, 3)), np.zeros((1, 2, 3), np.int32)
      >>> variables = model.fitted(zoo.init(model, jax.random.key(0), x), x)
      >>> float(output_bias_nats(model, variables, x)[0].round(4))  # -6 ln(1.5 / 2)
      1.7261
    """
    if model.output_bias is None or _standardised(model) is not None:
        return None
    bias = flatten_dict(variables["params"], sep="/")[model.output_bias]
    return _nats_of(model, bias.reshape(-1, model.head.num_params), x)


def _standardised(model):
    """The model of the standardised values, of a model that has one inside; else None."""
    return getattr(model, "model", None)


def _nats_of(model, rows, x):
    """-log p(x) where the params are those of `rows` [R, num_params], site i those of row i mod R."""
    values = jnp.asarray(x.astype(model.head.dtype))
    places = np.arange(model.num_sites).reshape(model.site_shape) % len(rows)
    params = jnp.broadcast_to(rows[places][None], (len(x), *places.shape, rows.shape[1]))
    if hasattr(model, "mask_after_end"):
        params = model.mask_after_end(params, model.tokens_before(values))
    nats = -model.head.log_prob(params, values)
    return np.asarray(nats.sum(tuple(range(1, nats.ndim))), np.float64)


def frequencies_nats(
    model: zoo.Autoregressive, dataset: Dataset, x: Values
) -> Float[np.ndarray, " batch"]:
    """-log p(x) where all sites are independent and have the frequencies of the training split.

    Every site of an image or a table has its own frequencies, those of at most `MOST` examples; the
    tokens of a text and the samples of a sound share theirs. A real number is a Gaussian with the
    mean and deviation of its site.
    """
    levels = model.head.num_values
    if levels is None:
        return _gaussian_nats(dataset.train.x, x)
    if kind_of(model).unit(model) != "example":
        return _token_nats(model, lines(dataset.train), x)
    sites = dataset.train.x[:: -(-len(dataset.train.x) // MOST)]
    sites = sites.reshape(len(sites), -1)
    if dataset.dynamic:  # the share of white is the mean grey
        counts = np.stack([255 - sites, sites], axis=1).sum(0, dtype=np.int64) / 255
    else:
        counts = np.stack([np.bincount(site, minlength=levels) for site in sites.T], axis=1)
    # As if one example more had been seen, all of whose values are equally likely.
    shares = (counts + 1 / levels) / (len(sites) + 1)
    chosen = np.take_along_axis(shares, x.reshape(len(x), -1).astype(np.int64), axis=0)
    return -np.log(chosen).sum(1)


def _gaussian_nats(train, x):
    flat, values = (each.reshape(len(each), -1).astype(np.float64) for each in (train, x))
    mean, deviation = flat.mean(0), np.maximum(flat.std(0), 1e-6)
    z = (values - mean) / deviation
    return (0.5 * z**2 + np.log(deviation) + 0.5 * np.log(2 * np.pi)).sum(1)


def _token_nats(model, pieces, x):
    tokens, levels = np.concatenate([piece.ravel() for piece in pieces]), model.head.num_values
    pad = getattr(model, "pad", None)
    counts = np.bincount(tokens[tokens != pad], minlength=levels) + 1 / levels
    nats = -np.log(counts / counts.sum())[x.astype(np.int64)]
    return np.where(x == pad, 0, nats).sum(1)


def entropy_left(x: Values, context: np.ndarray | None = None) -> float:
    """The least mean nats of a batch of discrete values: the entropy of x given its context.

    A model that knows a batch by heart spreads its probability over the examples that have the
    same context (without one, over all of them), so N different examples cost ln N each.

    Example:
      >>> x = np.array([[0, 1], [1, 1], [1, 1], [0, 0]])
      >>> round(entropy_left(x), 4), round(entropy_left(x, np.array([0, 1, 1, 2])), 4)
      (1.0397, 0.0)
    """
    contexts = _keys(np.zeros(len(x)) if context is None else context)
    pairs = list(zip(contexts, _keys(x), strict=True))
    of_pair, of_context = Counter(pairs), Counter(contexts)
    shares = [of_pair[pair] / of_context[pair[0]] for pair in pairs]
    return float(np.log(1 / np.array(shares)).mean())


def _keys(rows):
    return [np.ascontiguousarray(row).tobytes() for row in np.asarray(rows)]


def per_unit(model: zoo.Autoregressive, nats: np.ndarray, x: Values) -> float:
    """The mean of nats of examples in the unit of the training loss: per example, token or sample."""
    return float(nats.mean() / kind_of(model).scored_sites(model, x).mean())
