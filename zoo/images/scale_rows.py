"""The resolutions of PixelCNN++ while drawing: a row of u at once, then ul pixel by pixel.

A coarse row begins with every second row of the next finer resolution, and a coarse pixel with every
second pixel of these. One conditional in each resolution skips everything below it. It returns only
what the new pixel adds, and the caches are written outside of it: a GPU would copy a buffer that a
conditional passes on.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from zoo.images.gated_resnet import Pair, Pixel, Row, concat_elu, next_pixel, next_row
from zoo.images.scales import CoarserWeights, ScaleWeights
from zoo.layers.row_buffers import row_conv


class CoarserCache(NamedTuple):
    """What a resolution keeps for the next coarser one, and of it.

    Attributes:
      u: u of the last row, before it is shrunk, [width, batch, features].
      ul: ul of the row, before it is shrunk, [1 + width + 2, batch, features]: a pixel of padding, the
        row, and two slots for what is not kept.
      above: the sum from which the shrunk ul of each coarse pixel starts, [coarse width, batch, f].
      enlarged_u: of the two fine rows that a coarse one covers, [2, 2 coarse width, batch, f].
      enlarged_ul: for each coarse pixel the 2 x 2 fine ones side by side, [coarse width + 1, batch,
        4 features].
      scale: the cache of the coarser resolution.
    """

    u: Row
    ul: Float[Array, "slots batch features"]
    above: Row
    enlarged_u: Float[Array, "2 width batch features"]
    enlarged_ul: Float[Array, "slots batch four_features"]
    scale: Any


class ScaleCache(NamedTuple):
    """What is kept of a resolution, of all its resnets side by side.

    Attributes:
      u: the inputs of u's two convolutions in the last row, [resnets, 2, width, batch, 2 features].
      ul: those of ul in this row, [1 + width + 1, 2, resnets, batch, 2 features]: a pixel of
        padding, the row, and a slot for what is not kept.
      first, second: the sums from which the convolutions of ul start at each pixel, [resnets, width,
        batch, features] and [resnets, width, batch, 2 features].
      coarser: None at the coarsest resolution.
    """

    u: Float[Array, "resnets 2 width batch twice_features"]
    ul: Float[Array, "slots 2 resnets batch twice_features"]
    first: Float[Array, "resnets width batch features"]
    second: Float[Array, "resnets width batch twice_features"]
    coarser: CoarserCache | None


class NewPixel(NamedTuple):
    """What a pixel adds to the caches of a resolution and of those below.

    Attributes:
      inputs: of the convolutions of ul, [2, resnets, batch, 2 features].
      unshrunk: ul before it is shrunk, of the pixel to the left and of this one, [2, batch, features];
        None at the coarsest resolution.
      enlarged: the 2 x 2 pixels that this one is of, of the coarser resolution, [batch, 4 features];
        None there. Both hold what is read of the caches as well: what is written then
        depends on all that is read, and no loop copies a buffer.
      coarser: the new pixel of the coarser resolution, zeros where none begins; None there.
    """

    inputs: Float[Array, "2 resnets batch twice_features"]
    unshrunk: Float[Array, "2 batch features"] | None = None
    enlarged: Float[Array, "batch four_features"] | None = None
    coarser: Any = None


def empty(w: ScaleWeights, width: int, batch: int) -> ScaleCache:
    """The cache before the first row."""
    resnets, _, f = w.above[0].shape
    half = -(-width // 2)

    def zeros(*shape):
        return jnp.zeros(shape, w.above[0].dtype)

    coarser = w.coarser and CoarserCache(
        u=zeros(width, batch, f),
        ul=zeros(width + 3, batch, f),
        above=zeros(half, batch, f),
        enlarged_u=zeros(2, 2 * half, batch, f),
        enlarged_ul=zeros(half + 1, batch, 4 * f),
        scale=empty(w.coarser.scale, half, batch),
    )
    return ScaleCache(
        u=zeros(resnets, 2, width, batch, 2 * f),
        ul=zeros(width + 2, 2, resnets, batch, 2 * f),
        first=zeros(resnets, width, batch, f),
        second=zeros(resnets, width, batch, 2 * f),
        coarser=coarser,
    )


def enter(cache: ScaleCache, u: Row, row: Array, w: ScaleWeights) -> tuple[Row, ScaleCache]:
    """u of the next row, and a cache that holds it and what is known of ul before its first pixel."""
    skips, outputs = [u], []
    inputs: list[Array] = []

    def visit(u, skip, resnet):
        u, both = next_row(u, skip, cache.u[len(inputs)], resnet)
        inputs.append(both)
        outputs.append(concat_elu(u))
        return u

    for resnet in w.down:
        skips.append(visit(skips[-1], None, resnet))
    coarser = cache.coarser
    if w.coarser is not None and coarser is not None:
        u, coarser = _enter_coarser(coarser, skips[-1], row, w.coarser)
    else:
        u = skips.pop()
    for resnet in w.up:
        u = visit(u, skips.pop(), resnet)
    first, second = _above(cache.ul, jnp.stack(outputs), w)
    return u, ScaleCache(jnp.stack(inputs), cache.ul, first, second, coarser)


def _above(ul, u, w):
    """The sums from which the convolutions of ul start, given u, [resnets, width, batch, 2 f]."""
    width = u.shape[1]
    # At each pixel of the row above, the pixel to its left and itself: [2, resnets, width, batch, c].
    taps = jnp.concatenate([ul[:width], ul[1 : 1 + width]], -1).transpose(1, 2, 0, 3, 4)
    inputs = (jnp.concatenate([taps[0], u], -1), taps[1])
    first, second = (
        jnp.einsum("rwbc,rcf->rwbf", each, kernel)
        + jnp.stack([resnet.ul_bias[i] for resnet in w.down + w.up])[:, None]
        for i, (each, kernel) in enumerate(zip(inputs, w.above, strict=True))
    )
    return first, second


def _enter_coarser(
    cache: CoarserCache, u: Row, row: Array, w: CoarserWeights
) -> tuple[Row, CoarserCache]:
    """u of the coarser resolutions, enlarged, at a fine row."""
    width, batch, features = u.shape

    def begin():
        kernel, bias = w.shrink_u
        shrunk = row_conv(jnp.stack([cache.u, u]), kernel, stride=2) + bias[None, None]
        coarse, scale = enter(cache.scale, shrunk, row // 2, w.scale)
        kernel, bias = w.enlarge_u
        y = (coarse @ kernel + bias[None, None]).reshape(-1, batch, 2, 2, features)
        y = y.transpose(2, 0, 3, 1, 4)  # [2 rows, coarse width, 2 columns, batch, features]
        kernel, _, bias = w.shrink_ul
        taps = [cache.ul[:width:2], cache.ul[1 : 1 + width : 2]]  # to the left, and itself
        above = jnp.concatenate(taps, -1) @ kernel + bias[None, None]
        return y.reshape(cache.enlarged_u.shape), above, scale

    def go_on():
        return cache.enlarged_u, cache.above, cache.scale

    enlarged, above, scale = jax.lax.cond(row % 2 == 0, begin, go_on)
    kept = cache._replace(u=u, above=above, enlarged_u=enlarged, scale=scale)
    return jax.lax.dynamic_index_in_dim(enlarged, row % 2, 0, keepdims=False)[:width], kept


def step(
    cache: ScaleCache, ul: Pixel, row: Array, column: Array, w: ScaleWeights
) -> tuple[Pixel, ScaleCache]:
    """ul of the next pixel, and a cache that holds it."""
    ul, new = _pixel(cache, ul, row, column, w)
    return ul, _write(cache, new, row, column, jnp.ones((), bool))


def _pixel(
    cache: ScaleCache, ul: Pixel, row: Array, column: Array, w: ScaleWeights
) -> tuple[Pixel, NewPixel]:
    """ul of the next pixel, and what it adds to the caches."""
    skips = [ul]
    inputs: list[Pair] = []
    left = jax.lax.dynamic_index_in_dim(cache.ul, column, 0, keepdims=False)  # [2, resnets, ...]
    # Behind a barrier the sums of all resnets are one operation; a GPU's matmul would take them in,
    # and each resnet would cut out its own.
    from_left = jax.lax.optimization_barrier((left[0] @ w.left[0], left[1] @ w.left[1]))
    first, second = (
        jax.lax.dynamic_index_in_dim(above, column, 1, keepdims=False) + each
        for above, each in zip((cache.first, cache.second), from_left, strict=True)
    )  # [resnets, batch, features] and [resnets, batch, 2 features]

    def visit(ul, skip, resnet):
        before = first[len(inputs)], second[len(inputs)]
        ul, both = next_pixel(ul, skip, before, resnet)
        inputs.append(both)
        return ul

    for resnet in w.down:
        skips.append(visit(skips[-1], None, resnet))
    below: list[Any] = []
    if w.coarser is not None and cache.coarser is not None:
        ul, *below = _coarser_pixel(cache.coarser, skips[-1], row, column, w.coarser)
    else:
        ul = skips.pop()
    for resnet in w.up:
        ul = visit(ul, skips.pop(), resnet)
    both = [jnp.stack(each) for each in zip(*inputs, strict=True)]
    return ul, NewPixel(jnp.stack(both), *below)


def _coarser_pixel(
    cache: CoarserCache, ul: Pixel, row: Array, column: Array, w: CoarserWeights
) -> tuple[Pixel, Array, Array, NewPixel]:
    """ul of the coarser resolutions, enlarged, at a fine pixel; and what is new in the caches: the
    attributes of `NewPixel` but the first.
    """
    coarse = column // 2

    # Both branches read what is kept. Read outside, it would be fused into later operations, some
    # behind those that write it, and the buffers would be copied.
    def left():
        return jax.lax.dynamic_index_in_dim(cache.ul, column, 0, keepdims=False)

    def begin():
        above = jax.lax.dynamic_index_in_dim(cache.above, coarse, 0, keepdims=False)
        shrunk = above + jnp.concatenate([left(), ul], -1) @ w.shrink_ul[1]
        pixel, new = _pixel(cache.scale, shrunk, row // 2, coarse, w.scale)
        kernel, bias = w.enlarge_ul
        return jnp.stack([left(), ul]), pixel @ kernel + bias[None], new

    def go_on():
        kept = jax.lax.dynamic_index_in_dim(cache.enlarged_ul, coarse, 0, keepdims=False)
        return jnp.stack([left(), ul]), kept, _blank(cache.scale)

    # The 2 x 2 pixels are row by row.
    unshrunk, enlarged, new = jax.lax.cond(_begins(row, column), begin, go_on)
    size = ul.shape[-1]
    quarter = row % 2 * 2 + column % 2
    pixel = jax.lax.dynamic_slice_in_dim(enlarged, quarter * size, size, 1)
    return pixel, unshrunk, enlarged, new


def _blank(cache: ScaleCache) -> NewPixel:
    """A new pixel of zeros."""
    inputs, coarser = jnp.zeros_like(cache.ul[0]), cache.coarser
    if coarser is None:
        return NewPixel(inputs)
    unshrunk, enlarged = jnp.zeros_like(coarser.ul[:2]), jnp.zeros_like(coarser.enlarged_ul[0])
    return NewPixel(inputs, unshrunk, enlarged, _blank(coarser.scale))


def _begins(row, column):
    """Whether a coarse pixel begins at a fine one."""
    return (row % 2 == 0) & (column % 2 == 0)


def _write(cache: ScaleCache, new: NewPixel, row: Array, column: Array, here: Array) -> ScaleCache:
    """The cache with a new pixel, if it is `here`: otherwise the last slots are written."""

    def put(array, values, slot):
        slot = jnp.where(here, slot, len(array) - len(values))
        return jax.lax.dynamic_update_slice_in_dim(array, values, slot, 0)

    kept, coarser = cache._replace(ul=put(cache.ul, new.inputs[None], column + 1)), cache.coarser
    if coarser is None or new.enlarged is None:
        return kept
    begins, coarse = here & _begins(row, column), column // 2
    enlarged = put(coarser.enlarged_ul, new.enlarged[None], coarse)
    ul = put(coarser.ul, new.unshrunk, column)
    scale = _write(coarser.scale, new.coarser, row // 2, coarse, begins)
    return kept._replace(coarser=coarser._replace(ul=ul, enlarged_ul=enlarged, scale=scale))
