"""What a code is good for: reconstructions, ways from one example to another; and nearest examples."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree, Shaped, UInt8

import zoo
from sample.media.pixels import as_images, image_shape, levels
from zoo.core.bounds import check_has
from zoo.core.checks import check_batch, kind
from zoo.core.generative import Values
from zoo.foundation.arguments import array, checked
from zoo.heads.base import value_probabilities

AT_ONCE = 2_000  # rows whose distances are computed together


class Interpolation(NamedTuple):
    """The way from one code to another.

    Attributes:
      codes: [batch, steps, latents].
      params: of the head, [batch, steps, *site_shape, num_params].

    Example:
      >>> print(Interpolation._fields)
      ('codes', 'params')
    """

    codes: Float[np.ndarray, "batch steps latents"]
    params: Float[Array, "batch steps *sites_and_params"]


@checked(steps=2)
def interpolate(
    model: zoo.Generative,
    variables: zoo.Variables,
    first: Any,
    last: Any,
    steps: int = 10,
    context: PyTree = None,
) -> Interpolation:
    """Decodes the codes on the straight line between two codes, ends included.

    Args:
      model: a model that has a code, such as `zoo.VAE`.
      variables: its variables.
      first: codes [batch, latents], such as `zoo.represent` returns.
      last: codes of the same shape.
      steps: how many codes, at equal distances.
      context: what the model conditions on, leading axis `batch`.

    Raises:
      ValueError: the model has no code, or the codes are not this model's.

    Example:
      >>> import jax, numpy as np
      >>> import sample, zoo
      >>> model = zoo.VAE((4, 4), latents=2, hidden=(5,))
      >>> x, _ = zoo.example(model, 2)
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> codes = zoo.represent(model, variables, x)
      >>> way = sample.interpolate(model, variables, codes[:1], codes[1:], steps=5)
      >>> way.codes.shape, way.params.shape
      ((1, 5, 2), (1, 5, 4, 4, 1))
    """
    check_has(model, "decode")
    ends = [_codes(model, each, name) for each, name in ((first, "first"), (last, "last"))]
    if ends[0].shape != ends[1].shape:
        raise ValueError(
            f"first and last must be as many codes; got {len(ends[0])} and {len(ends[1])}."
        )
    share = np.linspace(0, 1, steps, dtype=np.float32)[None, :, None]
    codes = (1 - share) * ends[0][:, None] + share * ends[1][:, None]  # [batch, steps, latents]
    repeated = jax.tree.map(lambda leaf: np.repeat(leaf, steps, axis=0), context)
    params = zoo.decode(model, variables, codes.reshape(-1, codes.shape[-1]), repeated)
    return Interpolation(codes, params.reshape(*codes.shape[:2], *params.shape[1:]))


def _codes(model, codes, name):
    codes = array(codes, name)
    if codes.ndim != 2 or codes.shape[1] != model.num_latents:
        raise ValueError(
            f"{name} must be codes [batch, {model.num_latents}] of this {kind(model)}, as "
            f"zoo.represent returns them; got shape {list(codes.shape)}."
        )
    return np.asarray(codes, np.float32)


@checked()
def reconstruct(
    model: zoo.Generative, variables: zoo.Variables, x: Values, context: PyTree = None
) -> Float[Array, "batch *sites num_params"]:
    """Params of the head given the code of each example: `zoo.decode` of `zoo.represent`.

    Raises:
      ValueError: the model has no code, or an argument does not fit it.

    Example:
      >>> import jax, sample, zoo
      >>> model = zoo.Autoencoder((4, 4), latents=2, hidden=(5,))
      >>> x, _ = zoo.example(model, 3)
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> sample.reconstruct(model, variables, x).shape
      (3, 4, 4, 1)
    """
    return zoo.decode(model, variables, zoo.represent(model, variables, x, context), context)


@checked()
def mean_images(model: zoo.Generative, params: Any) -> UInt8[np.ndarray, "num *axes"]:
    """Pictures of params: the mean brightness of each pixel.

    Of a head whose sites hold all colours, and of one with more than 256 levels, the median.

    Args:
      model: a model of images.
      params: of its head, [num, *site_shape, num_params].

    Returns:
      uint8 [num, height, width], or [num, height, width, 3] in colour.

    Example:
      >>> import jax.numpy as jnp
      >>> import sample, zoo
      >>> sample.mean_images(zoo.VAE((1, 2)), jnp.array([[[[0.0], [9.0]]]])).tolist()
      [[[127, 254]]]
    """
    image_shape(model)
    head, bright = model.head, levels(model)
    if head.event_shape or len(bright) > 256:
        u = jnp.full((*params.shape[:-1], head.uniforms), 0.5)
        return as_images(model, head.quantile(params, u))
    pixels = np.asarray(value_probabilities(head, params)) @ bright.astype(np.float32)
    pixels = pixels.clip(0, 255).astype(np.uint8)
    return pixels[..., 0] if pixels.shape[3:] == (1,) else pixels


class Neighbours(NamedTuple):
    """The nearest of some examples.

    Attributes:
      indices: of the examples, the nearest first, [num, k].
      distances: their Euclidean distances, [num, k].

    Example:
      >>> print(Neighbours._fields)
      ('indices', 'distances')
    """

    indices: np.ndarray
    distances: Float[np.ndarray, "num k"]


@checked(k=1)
def nearest(
    x: Shaped[Any, "num *sites_and_event"],
    examples: Shaped[Any, "many *sites_and_event"],
    k: int = 1,
) -> Neighbours:
    """Finds the examples that are nearest to each x, by the Euclidean distance of their values; of
    bits it is the square root of the number of bits that differ.

    A model that has learnt its training examples by heart draws samples at distance 0 of them.

    Raises:
      ValueError: the shapes differ, or there are fewer than `k` examples.

    Example:
      >>> import numpy as np
      >>> import sample
      >>> found = sample.nearest(np.array([[0, 0]]), np.array([[3, 4], [0, 1]]), k=2)
      >>> found.indices.tolist(), found.distances.tolist()
      ([[1, 0]], [[1.0, 5.0]])
    """
    x, examples = array(x, "x"), array(examples, "examples")
    if x.shape[1:] != examples.shape[1:] or not 1 <= k <= len(examples):
        raise ValueError(
            f"examples must be at least {k} of the shape of x, {list(x.shape[1:])}; got shape "
            f"{list(examples.shape)}."
        )
    rows = _rows(x)
    parts = (examples[i : i + AT_ONCE] for i in range(0, len(examples), AT_ONCE))
    squares = np.concatenate([_squares(rows, _rows(part)) for part in parts], axis=1)
    order = np.argsort(squares, axis=1, kind="stable")[:, :k]
    return Neighbours(order, np.sqrt(np.take_along_axis(squares, order, 1)))


def _rows(x):
    return np.asarray(x, np.float64).reshape(len(x), -1)


def _squares(a, b):
    """Squared distances [len(a), len(b)]."""
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    return np.maximum(squares, 0)


@checked()
def reconstruction_nats(
    model: zoo.Generative, variables: zoo.Variables, x: Values, context: PyTree = None
) -> Float[Array, " batch"]:
    """-log p(x | its code), nats of each example: the error of its reconstruction.

    Example:
      >>> import jax, sample, zoo
      >>> model = zoo.Autoencoder((4, 4), latents=2, hidden=(5,))
      >>> x, _ = zoo.example(model, 3)
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> sample.reconstruction_nats(model, variables, x).shape
      (3,)
    """
    check_batch(model, x, context)
    params = reconstruct(model, variables, x, context)
    return -zoo.score(model.head, params, jnp.asarray(x, model.head.dtype))
