"""A linear layer that is causal in rank, with its cached form."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from zoo.core.orderings import Ordering
from zoo.heads import Head
from zoo.layers.ranks import at_ranks, block_size, place_in_block, value_before


class CausalLinear(nn.Module):
    """Every site a linear function of the sites of lower rank: params_t = b_t + sum_{r<t}
      features(x_r) W[r, t].

    The kernel is strictly triangular in rank, stored by site: [num_sites, num_features, num_sites,
      num_params].

    Cached, the sums of a block of ranks are begun by one matmul over everything known (`enter`);
    inside the block each new value adds its own share (`step`). Nothing is masked there: what is
    not known yet is not added yet.

    Attributes:
      site_shape: shape of the array of sites.
      head: the law of one site.
      ordering: the ordering of the sites.
      use_bias: whether b is added.
    """

    site_shape: tuple[int, ...]
    head: Head
    ordering: Ordering
    use_bias: bool = True

    def setup(self):
        num_sites = math.prod(self.site_shape)
        shape = (num_sites, self.head.num_features, num_sites, self.head.num_params)
        self.kernel = self.param(
            "kernel",
            nn.initializers.variance_scaling(0.1, "fan_in", "normal", (0, 1), (2, 3)),
            shape,
        )
        if self.use_bias:
            self.bias = self.param("bias", nn.initializers.zeros, shape[2:])

    def __call__(
        self, features: Float[Array, "batch sites f"], ranks: Int[Array, " sites"] | np.ndarray
    ) -> Float[Array, "batch sites p"]:
        """Params [batch, sites, num_params] of all sites, by site; `ranks` are those of the sites."""
        causal = (ranks[:, None] < ranks[None, :])[:, None, :, None]
        params = jnp.einsum(
            "bif,ifjp->bjp", features.astype(self.kernel.dtype), jnp.where(causal, self.kernel, 0)
        )
        return params + self.bias[None] if self.use_bias else params

    @property
    def block(self) -> int:
        return block_size(math.prod(self.site_shape))

    def enter(self, x, t):
        num_sites, f, _, p = self.kernel.shape
        features = self.head.features(x.reshape(len(x), num_sites, *self.head.event_shape)).astype(
            self.kernel.dtype
        )
        known = jnp.where((jnp.asarray(self._sites_and_ranks[1]) < t)[None, :, None], features, 0)
        kernel = at_ranks(self.kernel, t, self.block, self._sites_and_ranks[0], 2)
        sums = kernel.reshape(num_sites * f, -1).T @ known.reshape(len(x), -1).T
        if self.use_bias:
            sums = sums + at_ranks(self.bias, t, self.block, self._sites_and_ranks[0], 0).reshape(
                -1, 1
            )
        self.put_variable("cache", "sums", sums.reshape(self.block, p, len(x)))

    def step(self, x, t):
        """Params [batch, num_params] of the site at rank t."""
        sites, place = self._sites_and_ranks[0], place_in_block(t, self.block)
        value = value_before(x, t, sites, self.head).astype(self.kernel.dtype)
        row = at_ranks(self.kernel, jnp.maximum(t - 1, 0), 1, sites, 0)[0]
        row = at_ranks(row, t - place, self.block, sites, 1)
        share = jnp.einsum("fjp,bf->jpb", row, jnp.where(place > 0, value, 0))
        sums = self.get_variable("cache", "sums") + share
        self.put_variable("cache", "sums", sums)
        return jax.lax.dynamic_index_in_dim(sums, place, 0, keepdims=False).T

    @property
    def _sites_and_ranks(self) -> tuple[np.ndarray, np.ndarray]:
        return self.ordering.sites(self.site_shape), self.ordering.ranks(self.site_shape)
