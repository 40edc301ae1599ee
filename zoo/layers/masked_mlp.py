"""A masked multi-layer perceptron, with a cached form that evaluates every unit once a draw."""

import itertools
import math
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from zoo.core.orderings import Ordering
from zoo.heads import Head
from zoo.layers.ranks import (
    at_ranks,
    block_size,
    place_in_block,
    read_once,
    sort_units,
    value_before,
)


class MaskedMLP(nn.Module):
    """A perceptron whose masks make it causal: h_l = relu(b_l + (W_l * M_l) h_{l-1}).

    The input h_0 holds the features of all sites, the outputs are params = b + (V * M) h_L, one row
    a site. With `masks_as_input` every layer, the outputs too, adds (U_l * M_l) 1.

    `__call__` takes any masks. `enter` and `step` give the same outputs rank by rank, for the masks
    that follow from `degrees`: a unit of degree m sees the inputs of rank <= m and the units of
    degree <= m below it; the output at rank t sees the units of degree < t. So the value at rank r
    completes exactly the units of degree r, and each unit is evaluated once. Ranks go in blocks,
    to make matmuls of it: `enter` adds what a finished block contributes to all later units, one
    matmul a layer; `step` works inside the current block, a small network of its own size.

    Attributes:
      site_shape: shape of the array of sites.
      head: the distribution of one site.
      ordering: the ordering of the sites in `enter` and `step`.
      degrees: the degree of every unit, an integer array for each hidden layer.
      masks_as_input: whether U exists, which feeds the masks to the units as extra inputs.

    Example:
      >>> import jax, jax.numpy as jnp, numpy as np, zoo
      >>> degrees = (np.array([0, 0, 1, 1]),)
      >>> network = MaskedMLP((3,), zoo.Bernoulli(), zoo.Ordering(), degrees)
      >>> masks = [jnp.ones((3, 4), bool), jnp.ones((4, 3, 1), bool)]
      >>> variables = network.init(jax.random.key(0), jnp.zeros((2, 3, 1)), masks)
      >>> network.apply(variables, jnp.zeros((2, 3, 1)), masks).shape
      (2, 3, 1)
    """

    site_shape: tuple[int, ...]
    head: Head
    ordering: Ordering
    degrees: tuple[np.ndarray, ...]
    masks_as_input: bool = False

    def setup(self):
        num_sites = math.prod(self.site_shape)
        shape: tuple[int, ...] = (num_sites, self.head.num_features)
        kernels, biases = [], []
        for i, degrees in enumerate(self.degrees):
            inputs, units = tuple(range(len(shape))), len(degrees)
            init = nn.initializers.variance_scaling(2.0, "fan_in", "truncated_normal", inputs, -1)
            kernels.append(self.param(f"kernel_{i}", init, (*shape, units)))
            biases.append(self.param(f"bias_{i}", nn.initializers.zeros, (units,)))
            shape = (units,)
        outputs = (num_sites, self.head.num_params)
        init = nn.initializers.variance_scaling(0.1, "fan_in", "truncated_normal", 0, (1, 2))
        self.kernels = [*kernels, self.param("kernel_out", init, (*shape, *outputs))]  # W_l, V
        self.biases = [*biases, self.param("bias_out", nn.initializers.zeros, outputs)]  # b_l, b
        self.mask_kernels = self._mask_kernels() if self.masks_as_input else None  # U_l
        self.units = [sort_units(degrees, num_sites, self.block) for degrees in self.degrees]

    def __call__(self, features, masks):
        """Params [batch, num_sites, num_params], by site.

        Args:
          features: of all sites, [batch, num_sites, num_features].
          masks: [below, units] of each hidden layer, then [units, num_sites, 1] of the outputs.
        """
        h = self.hidden(features, masks)
        kernel_out = jnp.where(masks[-1], self.kernels[-1], 0)  # [units, sites, params]
        return jnp.tensordot(h, kernel_out, 1) + self.biases_with(masks)[-1][None]

    def hidden(self, features, masks):
        """The units of the last hidden layer, [batch, units]."""
        *biases, bias_out = self.biases_with(masks)
        h = features.reshape(len(features), -1).astype(bias_out.dtype)
        for kernel, mask, bias in zip(self.kernels, masks, biases, strict=False):
            mask = jnp.repeat(mask, kernel.size // mask.size, axis=0)  # [sites * features, units]
            h = nn.relu(h @ jnp.where(mask, kernel.reshape(mask.shape), 0) + bias[None])
        return h

    def biases_with(self, masks):
        """b + (U * M) 1 of each hidden layer [units], then of the outputs [num_sites, num_params].

        These are what `enter` takes. They depend on the masks alone, so a draw computes them once.
        """
        if self.mask_kernels is None:
            return list(self.biases)
        terms = zip(self.biases, masks, self.mask_kernels, strict=True)
        return [bias + jnp.where(mask, kernel, 0).sum(0) for bias, mask, kernel in terms]

    @property
    def block(self) -> int:
        """Ranks per block."""
        return block_size(math.prod(self.site_shape))

    def enter(self, x, t, biases):
        """Finishes the block that ends before rank t, and lays out the one that begins there."""
        if self.has_variable("cache", "mlp"):
            totals = self._finish_block(self.get_variable("cache", "mlp"), x, t)
        else:  # the first call of all, which only asks for the shapes of the cache
            totals = [jnp.zeros((len(x), *bias.shape), bias.dtype) for bias in self.biases]
        sums, kernels = self._lay_out_block(totals, t, biases)
        values = jnp.zeros((2, self.head.num_features, len(x)), sums[0].dtype)
        self.put_variable("cache", "mlp", MLPCache(totals, sums, kernels, values))

    def step(self, x, t):
        """Params [batch, num_params] of the site at rank t."""
        place = place_in_block(t, self.block)
        # At the first rank of a block the value before it is in the totals already: rank -1 and
        # zeros stand for "no new value".
        rank = jnp.where(place > 0, t - 1, -1)
        value = jnp.where(place > 0, value_before(x, t, self._sites, self.head), 0)
        cache: MLPCache = self.get_variable("cache", "mlp")
        value, values = read_once(cache.values, value, place)
        sums = self._add_value(cache, value, rank)
        self.put_variable("cache", "mlp", cache._replace(sums=sums, values=values))
        return jax.lax.dynamic_index_in_dim(sums[-1], place, 0, keepdims=False).T

    def _lay_out_block(self, totals, t, biases):
        """The `sums` and `kernels` of the cache, for the block that begins at rank t."""
        degrees = [units.degrees_of_block(t) for units in self.units]
        # A rank, or the degree of a unit, reaches the units of the same or a higher degree.
        reach = itertools.pairwise([t + jnp.arange(self.block), *degrees])
        visible = [below[:, None] <= above[None] for below, above in reach]
        kernel = at_ranks(self.kernels[0], t, self.block, self._sites, 0)
        kernel = self.units[0].take(kernel, t, 2)  # [block, features, units]
        kernels = [jnp.where(visible[0][:, None], kernel, 0)]
        for i, (lower, upper) in enumerate(itertools.pairwise(self.units), 1):
            kernel = upper.take(lower.take(self.kernels[i], t, 0), t, 1)  # [units, units above]
            kernels.append(jnp.where(visible[i], kernel, 0))
        # The outputs need no mask: those that must not see a unit are read before it is complete.
        kernel = at_ranks(self.kernels[-1], t, self.block, self._sites, 1)
        kernels.append(self.units[-1].take(kernel, t, 0))  # [units, block, params]

        *hidden, outputs = zip(totals, biases, strict=True)
        sums = [
            units.take(total, t, 1).T + units.take(bias, t, 0)[:, None]  # [units, batch]
            for units, (total, bias) in zip(self.units, hidden, strict=True)
        ]
        total, bias = outputs
        total = jnp.moveaxis(at_ranks(total, t, self.block, self._sites, 1), 0, -1)
        bias = at_ranks(bias, t, self.block, self._sites, 0)
        return [*sums, total + bias[..., None]], kernels  # the last sum: [block, params, batch]

    def _add_value(self, cache, value, rank):
        """The cache's `sums` with the value [num_features, batch] at `rank`, the newest known.

        It completes the units of degree `rank`, layer by layer, and they add their share to the
        sums above them. Nothing has the degree -1, so rank -1 completes no unit.
        """
        place = place_in_block(jnp.maximum(rank, 0), self.block)
        row = jax.lax.dynamic_index_in_dim(cache.kernels[0], place, 0, keepdims=False)
        sums = [cache.sums[0] + _outer(value.astype(row.dtype), row)]
        for units, kernel, total in zip(self.units, cache.kernels[1:], cache.sums[1:], strict=True):
            start, degrees = units.of_rank(rank)
            h = jax.lax.dynamic_slice_in_dim(sums[-1], start, len(degrees))
            h = jnp.where((degrees == rank)[:, None], nn.relu(h), 0)  # [units of a rank, batch]
            rows = jax.lax.dynamic_slice_in_dim(kernel, start, len(degrees))
            sums.append(total + _outer(h, rows))
        return sums

    def _finish_block(self, cache, x, t):
        """The cache's `totals` with all that the block before rank t contributes; at rank 0, none.

        The matmuls are not masked: what a mask would keep out goes to units and outputs of this
        block or earlier ones, which no later rank reads.
        """
        value = value_before(x, t, self._sites, self.head).T
        sums = self._add_value(cache, value, t - 1)
        first = jnp.maximum(t - self.block, 0)
        values = x.reshape(len(x), math.prod(self.site_shape), *self.head.event_shape)
        features = self.head.features(at_ranks(values, first, self.block, self._sites, 1))
        features = jnp.where(t > 0, features, 0).astype(sums[0].dtype)  # [batch, block, features]
        kernel = at_ranks(self.kernels[0], first, self.block, self._sites, 0)
        # The batch comes first here: such a product is twice as fast on a CPU.
        totals = [cache.totals[0] + jnp.tensordot(features, kernel, 2)]  # [batch, units]
        for units, kernel, below, total in zip(
            self.units, self.kernels[1:], sums, cache.totals[1:], strict=False
        ):
            degrees = units.degrees_of_block(t - self.block)
            inside = (degrees >= t - self.block) & (degrees < t)
            h = jnp.where(inside[:, None], nn.relu(below), 0)  # [units of the block, batch]
            rows = units.take(kernel, t - self.block, 0)  # [units of the block, *above]
            totals.append(total + jnp.tensordot(h.T, rows, 1))  # [batch, *above]
        return totals

    def _mask_kernels(self):
        sizes = [math.prod(self.site_shape), *map(len, self.degrees)]
        shapes = [*itertools.pairwise(sizes), self.kernels[-1].shape]
        return [
            self.param(f"told_{i}", nn.initializers.zeros, shape) for i, shape in enumerate(shapes)
        ]

    @property
    def _sites(self) -> np.ndarray:
        return self.ordering.sites(self.site_shape)


class MLPCache(NamedTuple):
    """What `MaskedMLP` remembers between ranks. Each field has one entry per hidden layer,
    and a last one for the outputs.

    The units of a block are those whose degrees lie in it; see `SortedUnits`.

    Attributes:
      totals: what all units of each hidden layer [batch, units], and then all outputs
        [batch, num_sites, num_params], have received from the finished blocks; no biases.
      sums: the pre-activations so far of the block's units [units of the block, batch] and outputs
        [block, num_params, batch], by rank; with biases.
      kernels: the masked weights inside the block: from its values to its units of the first layer
        [block, num_features, units], from layer to layer [units, units], and from the last layer to
        its outputs [units, block, num_params].
      values: the features of the two newest values [2, num_features, batch]; see `read_once`.
    """

    totals: list[Array]
    sums: list[Array]
    kernels: list[Array]
    values: Array


def _outer(units, rows):
    """sum_u rows[u] units[u]: [units, batch] and [units, *above] to [*above, batch].

    One unit needs no matmul, and a product is faster.
    """
    if len(rows) == 1:
        return rows[0][..., None] * units[0].reshape(*[1] * (rows.ndim - 1), -1)
    return jnp.tensordot(rows, units, (0, 0))
