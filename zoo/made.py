"""MADE: a multi-layer perceptron whose masks make it autoregressive."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from zoo.autoregressive import Autoregressive
from zoo.heads import Bernoulli, Head
from zoo.layers import CausalLinear, at_ranks, block_size, ordered_slice, value_before
from zoo.orderings import Ordering


class MADE(Autoregressive):
    """Masked autoencoder for distribution estimation.

    Every hidden unit has a degree m: it sees inputs of rank <= m, and hidden units of degree <= m below it; the output
    at rank t sees units of degree < t. So one pass of the network gives all conditionals.

    Degrees are spread evenly over the ranks. With `num_masks` = K > 1 there are K ways to deal them to the units (and,
    with `resample_order`, K orderings of the sites): training draws one of them anew for every batch. Each is a model
    in its own right, `member(k)`, and `zoo.ensemble_log_prob` is the likelihood of their mixture.

    Sampling computes every hidden unit once. Ranks go in blocks: the units of a finished block (those whose degree lies
    in it) add their share to the sums of all units after them by one matmul a layer, and inside a block only its own
    units, a small triangle, are evaluated rank by rank.

    **Reference**: M. Germain, K. Gregor, I. Murray, H. Larochelle, MADE: masked autoencoder for distribution
    estimation, ICML 2015.

    Differs from the paper: degrees are dealt evenly instead of drawn independently; any head.

    Attributes:
      site_shape: shape of the array of sites.
      hidden: units of each hidden layer.
      head: the law of one site.
      ordering: the order in which the chain rule visits the sites (that of member 0).
      direct: whether inputs also connect to outputs directly, as in an FVSBN.
      num_masks: K, the number of masks that training resamples.
      resample_order: whether each of the K masks has an ordering of its own.
      mask: which of the K masks this model evaluates and samples with; see `member`.
    """

    site_shape: tuple[int, ...] = (28, 28)
    hidden: tuple[int, ...] = (500,)
    head: Head = Bernoulli()
    ordering: Ordering = Ordering()
    direct: bool = True
    num_masks: int = 1
    resample_order: bool = False
    mask: int = 0

    def member(self, k: int) -> "MADE":
        """The model that evaluates and samples with mask k. All members share the variables of the one that trained."""
        if self.mask != 0 or not 0 <= k < self.num_masks:
            raise ValueError(
                f"member(k) needs k in 0..{self.num_masks - 1} and the model that was trained (mask=0); "
                f"got k={k} of mask={self.mask}."
            )
        return self.clone(mask=k, ordering=self._orderings[k])

    def setup(self):
        if not self.hidden:
            raise ValueError("MADE needs at least one hidden layer; without any it is an FVSBN.")
        shape, kernels, biases = (self.num_sites, self.head.num_features), [], []
        for i, units in enumerate(self.hidden):
            init = nn.initializers.variance_scaling(2.0, "fan_in", "truncated_normal", tuple(range(len(shape))), -1)
            kernels.append(self.param(f"kernel_{i}", init, (*shape, units)))
            biases.append(self.param(f"bias_{i}", nn.initializers.zeros, (units,)))
            shape = (units,)
        self.kernels, self.biases = kernels, biases
        outputs = (self.num_sites, self.head.num_params)
        init = nn.initializers.variance_scaling(0.1, "fan_in", "truncated_normal", 0, (1, 2))
        self.kernel_out = self.param("kernel_out", init, (*shape, *outputs))
        self.bias_out = self.param("bias_out", nn.initializers.zeros, outputs)
        if self.direct:
            self.linear = CausalLinear(self.site_shape, self.head, self.ordering, use_bias=False)

    def __call__(self, x, memory=None, *, train=False):
        if train and self.num_masks > 1:
            k = jax.random.randint(self.make_rng("train"), (), 0, self.num_masks)
            layers, masks = range(len(self.hidden)), range(self.num_masks)
            degrees = [jnp.asarray(np.stack([self._degrees(i, mask) for mask in masks]))[k] for i in layers]
            ranks = jnp.asarray(np.stack([ordering.ranks(self.site_shape) for ordering in self._orderings]))[k]
        else:
            degrees = [self._degrees(i, self.mask) for i in range(len(self.hidden))]
            ranks = self.ordering.ranks(self.site_shape)
        features = self.head.features(x).reshape(len(x), self.num_sites, -1).astype(self.bias_out.dtype)
        units, below = features.reshape(len(x), -1), ranks.repeat(features.shape[2])
        for kernel, bias, degree in zip(self.kernels, self.biases, degrees, strict=True):
            mask = below[:, None] <= degree[None, :]
            units = nn.relu(units @ jnp.where(mask, kernel.reshape(mask.shape), 0) + bias)
            below = degree
        mask = (below[:, None] < ranks[None, :])[..., None]
        params = jnp.tensordot(units, jnp.where(mask, self.kernel_out, 0), 1) + self.bias_out
        if self.direct:
            params = params + self.linear(features, ranks)
        return params.reshape(len(x), *self.site_shape, -1)

    @property
    def block(self):
        return block_size(self.num_sites)

    def enter(self, x, t, memory=None):
        shapes = [(units,) for units in self.hidden] + [self.bias_out.shape]
        zeros = [jnp.zeros((*shape, len(x)), self.bias_out.dtype) for shape in shapes]
        sums = [self.get_variable("cache", f"sums_{i}", zero) for i, zero in enumerate(zeros)]
        if self.has_variable("cache", "base_0"):
            sums = self._finish(sums, x, t)
        for i, total in enumerate(sums):
            self.put_variable("cache", f"sums_{i}", total)
        self._begin(sums, t)
        if self.direct:
            self.linear.enter(x, t)

    def step(self, x, t, memory=None):
        place = t % self.block
        value = jnp.where(place > 0, value_before(x, t, self.sites, self.head), 0)
        units = self._advance(value, jnp.maximum(place - 1, 0))[-1]
        outward = jax.lax.dynamic_index_in_dim(self.get_variable("cache", "outward"), place, 0, keepdims=False)
        base = jax.lax.dynamic_index_in_dim(self.get_variable("cache", "base_out"), place, 0, keepdims=False)
        params = (base + outward @ units).T
        return params + self.linear.step(x, t) if self.direct else params

    def _begin(self, sums, t):
        """Lays out the block at rank t: its units' sums so far, and the weights among them."""
        below = jnp.arange(self.block) + t  # ranks of the block's sites, the degrees of the inputs
        kernel = at_ranks(self.kernels[0], t, self.block, self.sites, 0)
        for i, bias in enumerate(self.biases):
            start, order, degree, inside = self._slab(i, t)
            if i > 0:
                lower, lower_order, _, lower_inside = self._slab(i - 1, t)
                kernel = ordered_slice(self.kernels[i], lower, len(below), lower_order, 0)
                below = jnp.where(lower_inside, below, self.num_sites)
            kernel = ordered_slice(kernel, start, len(degree), order, kernel.ndim - 1)
            seen = (below[:, None] <= degree).reshape(len(below), *[1] * (kernel.ndim - 2), len(degree))
            self.put_variable("cache", f"inward_{i}", jnp.where(seen, kernel, 0).swapaxes(-1, -2))
            base = ordered_slice(sums[i], start, len(degree), order, 0)
            base = base + ordered_slice(bias, start, len(degree), order, 0)[:, None]
            self.put_variable("cache", f"base_{i}", base)
            below = degree
        outward = at_ranks(self.kernel_out, t, self.block, self.sites, 1)
        outward = ordered_slice(outward, start, len(degree), order, 0)
        seen = (jnp.where(inside, degree, self.num_sites) < t + jnp.arange(self.block)[:, None])[:, None, :]
        self.put_variable("cache", "outward", jnp.where(seen, outward.transpose(1, 2, 0), 0))
        base = at_ranks(sums[-1], t, self.block, self.sites, 0)
        self.put_variable("cache", "base_out", base + at_ranks(self.bias_out, t, self.block, self.sites, 0)[..., None])

    def _advance(self, value, place):
        """Takes in the value at `place` of the block; returns the block's units, layer by layer, [units, batch] each.

        Units that wait for later values are not final yet; the masks of what they feed leave them out.
        """
        inward = jax.lax.dynamic_index_in_dim(self.get_variable("cache", "inward_0"), place, 0, keepdims=False)
        base = self.get_variable("cache", "base_0")
        value = value.T.astype(base.dtype)
        base = base + (inward * value if len(value) == 1 else inward @ value)
        self.put_variable("cache", "base_0", base)
        units = [nn.relu(base)]
        for i in range(1, len(self.hidden)):
            inward, base = self.get_variable("cache", f"inward_{i}"), self.get_variable("cache", f"base_{i}")
            units.append(nn.relu(base + inward @ units[-1]))
        return units

    def _finish(self, sums, x, t):
        """Adds what the block before rank t holds, values and units, to the sums of everything after it.

        Sums go to each hidden layer, then to the outputs, [units, batch]; at rank 0 there is nothing to add.
        """
        place = jnp.asarray(self.block - 1)
        units = self._advance(value_before(x, t, self.sites, self.head), place)
        values = x.reshape(len(x), self.num_sites, *self.head.event_shape)
        values = self.head.features(at_ranks(values, jnp.maximum(t - self.block, 0), self.block, self.sites, 1))
        values = jnp.where(t > 0, values, 0).astype(sums[0].dtype)
        kernel = at_ranks(self.kernels[0], jnp.maximum(t - self.block, 0), self.block, self.sites, 0)
        shares = [jnp.einsum("bif,ifh->hb", values, kernel)]
        for i, kernel in enumerate([*self.kernels[1:], self.kernel_out]):
            start, order, degree, inside = self._slab(i, t - self.block)
            finished = jnp.where(inside[:, None], units[i], 0)
            shares.append(jnp.tensordot(ordered_slice(kernel, start, len(degree), order, 0), finished, (0, 0)))
        return [total + share for total, share in zip(sums, shares, strict=True)]

    def _slab(self, i, t):
        """The units of layer i whose degrees lie in the block at rank t.

        Returns:
          start, order: they are units order[start : start + size] for one static size that holds any block's.
          degree: degree of each, [size].
          inside: which of them really belong to the block, [size].
        """
        degrees = self._degrees(i, self.mask)
        order = np.argsort(degrees, kind="stable").astype(np.int32)
        firsts = np.searchsorted(degrees[order], np.arange(0, self.num_sites + self.block, self.block))
        size = max(1, int(np.diff(firsts).max()))
        start = jnp.asarray(np.minimum(firsts, len(order) - size).astype(np.int32))[jnp.maximum(t // self.block, 0)]
        degree = jax.lax.dynamic_slice_in_dim(jnp.asarray(degrees[order]), start, size)
        return start, order, degree, (degree >= t) & (degree < t + self.block)

    def _degrees(self, i, mask):
        """Degrees of the units of hidden layer i, int32; sorted for mask 0, dealt out at random for the others."""
        degrees = (np.arange(self.hidden[i]) * max(1, self.num_sites - 1) // self.hidden[i]).astype(np.int32)
        return degrees if mask == 0 else np.random.RandomState([mask, i]).permutation(degrees)

    @property
    def _orderings(self):
        """The orderings of the K members: this model's own, then random ones if they are resampled."""
        others = [Ordering("random", seed=k) if self.resample_order else self.ordering for k in range(1, self.num_masks)]
        return [self.ordering, *others]
