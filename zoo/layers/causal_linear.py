"""A linear layer that is causal in rank, with its cached form."""

import math
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from zoo.core.orderings import Ordering
from zoo.heads import Head
from zoo.layers.ranks import at_ranks, block_size, place_in_block, read_once, value_before


class CausalLinear(nn.Module):
    """A linear map that is causal: params_t = b_t + sum_{r<t} features(x_r) W[r, t].

    The kernel W is strictly triangular in rank and stored by site, [num_sites, num_features,
    num_sites, num_params].

    Sampling works in blocks of ranks. `enter` computes the sums of a whole block from everything
    known before it, by one matmul; `step` adds what the newest value of the block contributes.
    Neither needs a mask inside the block, for no value is added before it is known.

    Attributes:
      site_shape: shape of the array of sites.
      head: the distribution of one site.
      ordering: the ordering of the sites.
      use_bias: whether to add b.

    Example:
      >>> import jax, jax.numpy as jnp, zoo
      >>> ordering = zoo.Ordering()
      >>> linear = CausalLinear((2, 2), zoo.Bernoulli(), ordering)
      >>> features, ranks = jnp.zeros((5, 4, 1)), ordering.ranks((2, 2))
      >>> variables = linear.init(jax.random.key(0), features, ranks)
      >>> linear.apply(variables, features, ranks).shape
      (5, 4, 1)
    """

    site_shape: tuple[int, ...]
    head: Head
    ordering: Ordering
    use_bias: bool = True

    def setup(self):
        num_sites = math.prod(self.site_shape)
        shape = (num_sites, self.head.num_features, num_sites, self.head.num_params)
        init = nn.initializers.variance_scaling(0.1, "fan_in", "normal", (0, 1), (2, 3))
        self.kernel = self.param("kernel", init, shape)
        if self.use_bias:
            self.bias = self.param("bias", nn.initializers.zeros, shape[2:])

    def __call__(
        self, features: Float[Array, "batch sites f"], ranks: Int[Array, " sites"] | np.ndarray
    ) -> Float[Array, "batch sites p"]:
        """Params of all sites, by site, given their features and ranks."""
        causal = ranks[:, None] < ranks[None, :]  # [from site, to site]
        kernel = jnp.where(causal[:, None, :, None], self.kernel, 0)
        params = jnp.einsum("bif,ifjp->bjp", features.astype(self.kernel.dtype), kernel)
        return params + self.bias[None] if self.use_bias else params

    @property
    def block(self) -> int:
        """Ranks per block."""
        return block_size(math.prod(self.site_shape))

    def enter(self, x, t):
        """Computes the sums of the block that begins at rank t, given `x` at ranks < t."""
        num_sites, f, _, p = self.kernel.shape
        x = x.reshape(len(x), num_sites, *self.head.event_shape)
        features = self.head.features(x).astype(self.kernel.dtype)  # [batch, sites, f], by site
        known = jnp.where((jnp.asarray(self._ranks) < t)[None, :, None], features, 0)
        kernel = at_ranks(self.kernel, t, self.block, self._sites, 2)  # [sites, f, block, p]
        # The batch comes first in the product: it is twice as fast so on a CPU.
        sums = known.reshape(len(x), -1) @ kernel.reshape(num_sites * f, -1)
        if self.use_bias:
            bias = at_ranks(self.bias, t, self.block, self._sites, 0)
            sums = sums + bias.reshape(1, -1)
        sums = sums.T.reshape(self.block, p, len(x))
        self.put_variable(
            "cache", "linear", LinearCache(sums, jnp.zeros((2, f, len(x)), sums.dtype))
        )

    def step(self, x, t):
        """Params [batch, num_params] of the site at rank t, given `x` at ranks < t."""
        place = place_in_block(t, self.block)
        row = at_ranks(self.kernel, jnp.maximum(t - 1, 0), 1, self._sites, 0)[0]  # [f, sites, p]
        row = at_ranks(row, t - place, self.block, self._sites, 1)  # [f, block, p]
        # `enter` has added the value before the first rank of the block already.
        value = jnp.where(place > 0, value_before(x, t, self._sites, self.head), 0)
        cache: LinearCache = self.get_variable("cache", "linear")
        value, values = read_once(cache.values, value, place)
        sums = cache.sums + jnp.einsum("fjp,fb->jpb", row, value)
        self.put_variable("cache", "linear", LinearCache(sums, values))
        return jax.lax.dynamic_index_in_dim(sums, place, 0, keepdims=False).T

    @property
    def _sites(self) -> np.ndarray:
        return self.ordering.sites(self.site_shape)

    @property
    def _ranks(self) -> np.ndarray:
        return self.ordering.ranks(self.site_shape)


class LinearCache(NamedTuple):
    """What `CausalLinear` remembers between ranks.

    Attributes:
      sums: the sums so far of the sites of the block, by rank [block, num_params, batch].
      values: the features of the two newest values [2, num_features, batch]; see `read_once`.
    """

    sums: Array
    values: Array
