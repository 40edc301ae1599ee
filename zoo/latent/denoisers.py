"""Networks that look at noisy values: what a diffusion predicts, given the time."""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

PERIOD = 10_000.0  # the longest wave of the embedding of time, / 2 pi
UNIT_TIME = 1_000.0  # the embedding counts time from 0 to this


def time_embedding(
    time: Float[Array, " batch"], features: int
) -> Float[Array, "batch {2*(features//2)}"]:
    """Sines and cosines of times in [0, 1], at frequencies that fall geometrically.

    Example:
      >>> time_embedding(jnp.zeros(3), 4).tolist()[0]
      [0.0, 0.0, 1.0, 1.0]
    """
    half = features // 2
    frequencies = jnp.exp(-math.log(PERIOD) / half * jnp.arange(half, dtype=jnp.float32))
    angle = UNIT_TIME * time[:, None] * frequencies[None]
    return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=-1)


class TimeAndLabel(nn.Module):
    """A vector of time, and of the label where there is one: [batch, features], by two layers."""

    features: int

    @nn.compact
    def __call__(self, time, label, dtype):
        h = time_embedding(time, max(2, self.features)).astype(dtype)
        h = nn.Dense(self.features)(nn.silu(nn.Dense(self.features)(h)))
        return nn.silu(h if label is None else h + nn.Dense(self.features, use_bias=False)(label))


class MLP(nn.Module):
    """Residual blocks over all values at once: h += W silu(V norm(h) + U e(t)).

    Attributes:
      features: the width.
      blocks: how many.
      outputs: numbers to predict for each value.
    """

    features: int
    blocks: int
    outputs: int

    @nn.compact
    def __call__(
        self, z: Float[Array, "batch *sites"], time: Float[Array, " batch"], label: Array | None
    ) -> Float[Array, "batch *sites outputs"]:
        size = math.prod(z.shape[1:])
        bias = self.param("bias", nn.initializers.zeros, (size * self.outputs,))
        e = TimeAndLabel(self.features)(time, label, bias.dtype)
        h = nn.Dense(self.features)(z.reshape(len(z), size).astype(bias.dtype))
        for _ in range(self.blocks):
            inner = nn.Dense(self.features)(nn.LayerNorm()(h)) + nn.Dense(self.features)(e)
            h = h + nn.Dense(self.features)(nn.silu(inner))
        last = nn.Dense(len(bias), use_bias=False, kernel_init=nn.initializers.zeros)
        return (last(nn.LayerNorm()(h)) + bias[None]).reshape(*z.shape, self.outputs)


class UNet(nn.Module):
    """A U-Net: residual blocks of convolutions at each resolution, down and up again.

    Attributes:
      features: channels of the first resolution; all others have twice as many.
      blocks: residual blocks of a resolution on the way down; one more on the way up.
      scales: how many resolutions; each halves the one before.
      attention: whether pixels attend to each other at the second resolution and in the middle.
      outputs: numbers to predict for each value.
    """

    features: int
    blocks: int
    scales: int
    attention: bool
    outputs: int

    @nn.compact
    def __call__(
        self, z: Float[Array, "batch *sites"], time: Float[Array, " batch"], label: Array | None
    ) -> Float[Array, "batch *sites outputs"]:
        image = z.reshape(*z.shape[:3], -1)  # [batch, height, width, channels]
        bias = self.param("bias", nn.initializers.zeros, (image.shape[-1] * self.outputs,))
        e = TimeAndLabel(4 * self.features)(time, label, bias.dtype)
        h = nn.Conv(self.features, (3, 3))(image.astype(bias.dtype))
        skips = [h]
        for scale in range(self.scales):
            for _ in range(self.blocks):
                h = self._attend(ResBlock(self._width(scale))(h, e), scale)
                skips.append(h)
            if scale < self.scales - 1:
                h = nn.Conv(self._width(scale), (3, 3), strides=(2, 2))(h)
                skips.append(h)
        h = ResBlock(h.shape[-1])(h, e)
        h = ResBlock(h.shape[-1])(self._attend(h, 1), e)
        for scale in reversed(range(self.scales)):
            for _ in range(self.blocks + 1):
                joined = jnp.concatenate([h, skips.pop()], axis=-1)
                h = self._attend(ResBlock(self._width(scale))(joined, e), scale)
            if scale > 0:
                h = nn.Conv(h.shape[-1], (3, 3))(jnp.repeat(jnp.repeat(h, 2, axis=1), 2, axis=2))
        h = nn.silu(_norm(h))
        last = nn.Conv(len(bias), (3, 3), use_bias=False, kernel_init=nn.initializers.zeros)
        return (last(h) + bias[None, None, None]).reshape(*z.shape, self.outputs)

    def _width(self, scale):
        return self.features if scale == 0 else 2 * self.features

    def _attend(self, h, scale):
        return SelfAttention()(h) if self.attention and scale == 1 else h


class ResBlock(nn.Module):
    """Two convolutions, with the vector of time between them, and a way around both."""

    features: int

    @nn.compact
    def __call__(self, x, e):
        h = nn.Conv(self.features, (3, 3))(nn.silu(_norm(x)))
        h = h + nn.Dense(self.features)(e)[:, None, None]
        h = nn.silu(_norm(h))
        h = nn.Conv(self.features, (3, 3), kernel_init=nn.initializers.zeros)(h)
        around = x if x.shape[-1] == self.features else nn.Conv(self.features, (1, 1))(x)
        return around + h


class SelfAttention(nn.Module):
    """Every pixel attends to all others, by one head."""

    @nn.compact
    def __call__(self, x):
        batch, height, width, features = x.shape
        h = _norm(x).reshape(batch, height * width, features)
        query, key, value = jnp.split(nn.Dense(3 * features)(h), 3, axis=-1)
        scores = jnp.einsum("bqf,bkf->bqk", query, key) / math.sqrt(features)
        h = jnp.einsum("bqk,bkf->bqf", nn.softmax(scores), value)
        h = nn.Dense(features, kernel_init=nn.initializers.zeros)(h)
        return x + h.reshape(x.shape)


def _norm(h):
    """GroupNorm in up to 32 groups, of at least 4 channels: of one alone it would undo all biases."""
    return nn.GroupNorm(max(1, math.gcd(128, h.shape[-1]) // 4))(h)


def why_no_image(shape: Sequence[int], scales: int) -> str | None:
    """Returns why a U-Net of so many resolutions cannot take sites of that shape, else None.

    Example:
      >>> why_no_image((28, 28), 3), why_no_image((7, 28), 2)
      (None, 'a U-Net of 2 scales halves its sides 1 times, and 7x28 does not halve that often')
    """
    if len(shape) not in (2, 3):
        return f"a U-Net takes images, (height, width) or (height, width, 3), not {tuple(shape)}"
    factor = 2 ** (scales - 1)
    if shape[0] % factor or shape[1] % factor:
        return (
            f"a U-Net of {scales} scales halves its sides {scales - 1} times, and "
            f"{shape[0]}x{shape[1]} does not halve that often"
        )
    return None
