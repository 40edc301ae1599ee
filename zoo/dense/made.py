"""MADE: a multi-layer perceptron whose masks make it autoregressive."""

import itertools
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from zoo.core.model import Autoregressive
from zoo.core.orderings import Ordering
from zoo.foundation.arguments import checked
from zoo.foundation.registry import register
from zoo.heads import Bernoulli, Head
from zoo.layers import (
    CausalLinear,
    at_ranks,
    block_size,
    ordered_slice,
    place_in_block,
    value_before,
)


@register
class MADE(Autoregressive):
    """Masked autoencoder for distribution estimation.

    Every hidden unit has a degree m: it sees inputs of rank <= m, and hidden units of degree <= m
      below it; the output
    at rank t sees units of degree < t. So one pass of the network gives all conditionals.

    Degrees are spread evenly over the ranks. With `num_masks` = K > 1 there are K ways to deal them
    to the units, and training draws one for every batch, and with it one of `num_orderings`
    orderings of the sites. With `resample_order` it draws the ordering among all there are, for
    every batch or, by `orders_per_batch`, for parts of it: then every ordering is a model, and any
    set of sites can be known in a completion, by an ordering that visits them first.
    `masks_as_input` tells each unit what it sees, h = relu(b + (W * M) h_below + (U * M) 1). The K
    `members` are models of their own, each with a mask and its ordering; `zoo.ensemble_log_prob` is
    the likelihood of their mixture.

    Sampling computes every hidden unit once. Ranks go in blocks: the units of a finished block
      (those whose degree lies
    in it) add their share to the sums of all units after them by one matmul a layer; inside a block
    only its own units, a small triangle, are evaluated rank by rank. (U * M) 1 is a bias, computed
    once for all ranks by `encode`.

    **Reference**: M. Germain, K. Gregor, I. Murray, H. Larochelle, MADE: masked autoencoder for
      distribution
    estimation, ICML 2015.

    Differs from the paper: degrees are dealt evenly instead of drawn independently; any head.

    Attributes:
      site_shape: shape of the array of sites.
      hidden: units of each hidden layer.
      head: the law of one site.
      ordering: the order in which the chain rule visits the sites (that of member 0).
      direct: whether inputs also connect to outputs directly, as in an FVSBN.
      num_masks: K, the number of masks that training resamples, and of members.
      num_orderings: N, how many of `ordering.variants`, mirror images first, go with the masks,
        mask k with variant k mod N.
      resample_order: whether training draws the ordering among all there are; every member has then
        one of its own.
      mask: which of the K masks this model evaluates and samples with; see `member`.
      masks_as_input: whether units are told their masks.
      orders_per_batch: how many orderings a training batch is split among, one after the other (its
        size: each its own).
    """

    site_shape: tuple[int, ...] = (28, 28)
    hidden: tuple[int, ...] = (500,)
    head: Head = Bernoulli()
    ordering: Ordering = Ordering()
    direct: bool = True
    num_masks: int = 1
    num_orderings: int = 1
    resample_order: bool = False
    mask: int = 0
    masks_as_input: bool = False
    orders_per_batch: int = 1

    @checked()
    def member(self, k: int) -> "MADE":
        """The model that evaluates and samples with mask k. All members share the variables of the
        one that trained.
        """
        if self.mask != 0 or not 0 <= k < self.num_masks:
            raise ValueError(
                f"member(k) needs k in 0..{self.num_masks - 1} and the model that was trained "
                "(mask=0); "
                f"got k={k} of mask={self.mask}."
            )
        return self.clone(mask=k, ordering=self._orderings[k])

    def members(self):
        return tuple(self.member(k) for k in range(self.num_masks)) if self.mask == 0 else (self,)

    def with_known_first(self, known):
        if not self.resample_order:
            return self
        num_masks = self.num_masks if self.mask else 1  # it has no other members
        return self.clone(ordering=self.ordering.known_first(known), num_masks=num_masks)

    def setup(self):
        if not self.hidden or not 0 <= self.mask < self.num_masks:
            raise ValueError(
                f"MADE needs at least one hidden layer, mask < num_masks; got {self.hidden}, "
                f"{self.mask}."
            )
        most = (
            1 if self.resample_order or (self.mask and self.is_initializing()) else self.num_masks
        )
        if not 1 <= self.num_orderings <= most:
            raise ValueError(
                f"num_orderings={self.num_orderings} needs as many masks, mask=0 and no "
                "resample_order."
            )
        if self.orders_per_batch < 1 or (self.orders_per_batch > 1 and not self.resample_order):
            raise ValueError(
                f"MADE with orders_per_batch={self.orders_per_batch} needs resample_order=True, "
                "or 1."
            )
        shape: tuple[int, ...] = (self.num_sites, self.head.num_features)
        kernels, biases = [], []
        for i, units in enumerate(self.hidden):
            init = nn.initializers.variance_scaling(
                2.0, "fan_in", "truncated_normal", tuple(range(len(shape))), -1
            )
            kernels.append(self.param(f"kernel_{i}", init, (*shape, units)))
            biases.append(self.param(f"bias_{i}", nn.initializers.zeros, (units,)))
            shape = (units,)
        self.kernels, self.biases = kernels, biases
        outputs = (self.num_sites, self.head.num_params)
        init = nn.initializers.variance_scaling(0.1, "fan_in", "truncated_normal", 0, (1, 2))
        self.kernel_out = self.param("kernel_out", init, (*shape, *outputs))
        self.bias_out = self.param("bias_out", nn.initializers.zeros, outputs)
        if self.masks_as_input:
            shapes = [*itertools.pairwise((self.num_sites, *self.hidden)), self.kernel_out.shape]
            self.told = [
                self.param(f"told_{i}", nn.initializers.zeros, shape)
                for i, shape in enumerate(shapes)
            ]  # U
        if self.direct:
            self.linear = CausalLinear(self.site_shape, self.head, self.ordering, use_bias=False)

    def encode(self, context):
        return self._biases(self._masks(*self._degrees_and_ranks))

    def __call__(self, x, memory=None, *, train=False):
        features = (
            self.head.features(x).reshape(len(x), self.num_sites, -1).astype(self.bias_out.dtype)
        )
        resampled = train and (self.num_masks > 1 or self.resample_order)
        params = (
            self._resampled(features)
            if resampled
            else self._params(features, *self._degrees_and_ranks)
        )
        return params.reshape(len(x), *self.site_shape, -1)

    def _params(self, features, degrees, ranks):
        """Params [batch, num_sites, num_params], given the degrees of each layer's units and the
        ranks of the sites.
        """
        masks = self._masks(degrees, ranks)
        units, biases = features.reshape(len(features), -1), self._biases(masks)
        for kernel, mask, bias in zip(self.kernels, masks, biases[:-1], strict=False):
            mask = jnp.repeat(mask, kernel.size // mask.size, axis=0)  # over the features of a site
            units = nn.relu(units @ jnp.where(mask, kernel.reshape(mask.shape), 0) + bias[None])
        params = (
            jnp.tensordot(units, jnp.where(masks[-1], self.kernel_out, 0), 1) + biases[-1][None]
        )
        return params + self.linear(features, ranks) if self.direct else params

    def _resampled(self, features):
        """The same with one of the K masks, and orderings drawn anew for each part of the batch."""
        mask_key, order_key = jax.random.split(self.make_rng("train"))
        k = jax.random.randint(mask_key, (), 0, self.num_masks)
        every = (
            [self._degrees(i, mask) for mask in range(self.num_masks)]
            for i in range(len(self.hidden))
        )
        degrees = [jnp.asarray(np.stack(each))[k] for each in every]
        if not self.resample_order:
            ranks = np.stack([ordering.ranks(self.site_shape) for ordering in self._orderings])
            return self._params(features, degrees, jnp.asarray(ranks)[k])
        batch, parts = len(features), min(self.orders_per_batch, len(features))
        drawn = jnp.argsort(jax.random.uniform(order_key, (parts, self.num_sites)), axis=-1)
        features = jnp.pad(features, [(0, -batch % parts), (0, 0), (0, 0)])
        features = features.reshape(parts, -1, *features.shape[1:])
        # One part after the other, each with masked weights of its own: 5 times as fast on a CPU as
        # all at once.
        params = jax.lax.map(
            jax.checkpoint(lambda part: self._params(part[0], degrees, part[1])), (features, drawn)
        )
        return params.reshape(-1, *params.shape[2:])[:batch]

    def _masks(self, degrees, ranks):
        """What sees what: [below, units] of each hidden layer, then [units, num_sites, 1] of the
        outputs.
        """
        hidden = [
            below[:, None] <= above[None] for below, above in itertools.pairwise([ranks, *degrees])
        ]
        return [*hidden, (degrees[-1][:, None] < ranks[None])[..., None]]

    def _biases(self, masks):
        """Of each hidden layer [units], then of the outputs [num_sites, num_params]; with (U * M) 1
        if there is one.
        """
        biases = [*self.biases, self.bias_out]
        if not self.masks_as_input:
            return biases
        return [
            b + jnp.where(mask, told, 0).sum(0)
            for b, mask, told in zip(biases, masks, self.told, strict=True)
        ]

    @property
    def block(self):
        return block_size(self.num_sites)

    def enter(self, x, t, memory=None):
        shapes = [(units,) for units in self.hidden] + [self.bias_out.shape]
        zeros = [jnp.zeros((*shape, len(x)), self.bias_out.dtype) for shape in shapes]
        sums = [self.get_variable("cache", f"sums_{i}", zero) for i, zero in enumerate(zeros)]
        if self.has_variable("cache", "block_0"):
            sums = self._finish(sums, x, t)
        for i, total in enumerate(sums):
            self.put_variable("cache", f"sums_{i}", total)
        self._begin(sums, t, memory)
        if self.direct:
            self.linear.enter(x, t)

    def step(self, x, t, memory=None):
        place = place_in_block(t, self.block)
        inside = jnp.where(
            place > 0, t - 1, -1
        )  # the rank that became known, if it is this block's
        sums = self._advance(
            jnp.where(place > 0, value_before(x, t, self.sites, self.head), 0), inside
        )
        params = jax.lax.dynamic_index_in_dim(sums[-1], place, 0, keepdims=False).T
        return params + self.linear.step(x, t) if self.direct else params

    def _begin(self, sums, t, biases):
        """Lays out the block at rank t: what its units and outputs have received so far, and the
        weights among them.
        """
        slabs = [self._slab(i, t) for i in range(len(self.hidden))]
        ranks = jnp.arange(self.block) + t
        kernel = at_ranks(self.kernels[0], t, self.block, self.sites, 0)
        seen = ranks[:, None] <= slabs[0].degree[None]
        self.put_variable(
            "cache", "inward_0", jnp.where(seen[:, None], self._cut(kernel, slabs[0], 2), 0)
        )
        for i, (lower, upper) in enumerate(itertools.pairwise(slabs), 1):
            kernel = self._cut(self._cut(self.kernels[i], lower, 0), upper, 1)
            self.put_variable(
                "cache",
                f"inward_{i}",
                jnp.where(lower.degree[:, None] <= upper.degree[None], kernel, 0),
            )
        self.put_variable(
            "cache",
            "outward",
            self._cut(at_ranks(self.kernel_out, t, self.block, self.sites, 1), slabs[-1], 0),
        )
        for i, (bias, slab) in enumerate(zip(biases[:-1], slabs, strict=True)):
            self.put_variable(
                "cache",
                f"block_{i}",
                self._cut(sums[i], slab, 0) + self._cut(bias, slab, 0)[:, None],
            )
        bias = at_ranks(biases[-1], t, self.block, self.sites, 0)
        self.put_variable(
            "cache", "block_out", at_ranks(sums[-1], t, self.block, self.sites, 0) + bias[..., None]
        )

    def _advance(self, value, rank):
        """Takes in the value at `rank` of the block: the units it completes add their share to
        those
          above them.

        Returns the block's sums: of each layer's units [units, batch], then of its outputs [block,
        num_params, batch].
        """
        names = [*(f"block_{i}" for i in range(len(self.hidden))), "block_out"]
        weights = [*(f"inward_{i}" for i in range(len(self.hidden))), "outward"]
        first = rank - place_in_block(jnp.maximum(rank, 0), self.block)
        row = jax.lax.dynamic_index_in_dim(
            self.get_variable("cache", weights[0]), rank - first, 0, keepdims=False
        )
        share, sums = _spread(value.T.astype(row.dtype), row), []
        for i, name in enumerate(names):
            sums.append(self.get_variable("cache", name) + share)
            self.put_variable("cache", name, sums[-1])
            if i < len(self.hidden):
                start, degree = self._completed(i, rank, first)
                units = jax.lax.dynamic_slice_in_dim(sums[-1], start, len(degree))
                units = jnp.where((degree == rank)[:, None], nn.relu(units), 0)
                rows = jax.lax.dynamic_slice_in_dim(
                    self.get_variable("cache", weights[i + 1]), start, len(degree)
                )
                share = _spread(units, rows)
        return sums

    def _finish(self, sums, x, t):
        """Adds what the block before rank t holds, values and units, to the sums of everything
        after it.

        Sums go to each hidden layer, then to the outputs, [units, batch]; at rank 0 there is
        nothing to add.
        """
        block_sums = self._advance(value_before(x, t, self.sites, self.head), t - 1)
        first = jnp.maximum(t - self.block, 0)
        values = x.reshape(len(x), self.num_sites, *self.head.event_shape)
        values = self.head.features(at_ranks(values, first, self.block, self.sites, 1))
        values = jnp.where(t > 0, values, 0).astype(sums[0].dtype)
        shares = [
            jnp.einsum(
                "bif,ifh->hb", values, at_ranks(self.kernels[0], first, self.block, self.sites, 0)
            )
        ]
        for i, kernel in enumerate([*self.kernels[1:], self.kernel_out]):
            slab = self._slab(i, t - self.block)
            units = jnp.where(slab.inside[:, None], nn.relu(block_sums[i]), 0)
            shares.append(jnp.tensordot(self._cut(kernel, slab, 0), units, (0, 0)))
        return [total + share for total, share in zip(sums, shares, strict=True)]

    def _slab(self, i, t):
        """The units of layer i whose degrees lie in the block at rank t."""
        degrees, order = self._sorted_degrees(i)
        firsts = np.searchsorted(degrees, np.arange(0, self.num_sites + self.block, self.block))
        size = max(1, int(np.diff(firsts).max()))
        starts = jnp.asarray(np.minimum(firsts, len(order) - size).astype(np.int32))
        start = starts[jax.lax.div(jnp.maximum(t, 0), jnp.int32(self.block))]
        degree = jax.lax.dynamic_slice_in_dim(jnp.asarray(degrees), start, size)
        return _Slab(start, size, order, degree, (degree >= t) & (degree < t + self.block))

    def _completed(self, i, rank, first):
        """Where in the slab of the block at `first` the units of degree `rank` begin, and degrees
        from there on.
        """
        degrees, _ = self._sorted_degrees(i)
        slab = self._slab(i, first)
        begin = np.searchsorted(degrees, np.arange(self.num_sites + 1)).astype(np.int32)
        start = jnp.clip(
            jnp.asarray(begin)[rank] - slab.start, 0, slab.size - int(np.diff(begin).max())
        )
        return start, jax.lax.dynamic_slice_in_dim(slab.degree, start, int(np.diff(begin).max()))

    def _cut(self, values, slab, axis):
        return ordered_slice(values, slab.start, slab.size, slab.order, axis)

    def _sorted_degrees(self, i):
        degrees = self._degrees(i, self.mask)
        order = np.argsort(degrees, kind="stable").astype(np.int32)
        return degrees[order], order

    def _degrees(self, i, mask):
        """Degrees of the units of hidden layer i, int32; sorted for mask 0, dealt out at random for
        the others.
        """
        degrees = (np.arange(self.hidden[i]) * max(1, self.num_sites - 1) // self.hidden[i]).astype(
            np.int32
        )
        return degrees if mask == 0 else np.random.RandomState([mask, i]).permutation(degrees)

    @property
    def _degrees_and_ranks(self):
        """Of the mask and the ordering that this model evaluates with."""
        degrees = [self._degrees(i, self.mask) for i in range(len(self.hidden))]
        return [jnp.asarray(degree) for degree in degrees], jnp.asarray(
            self.ordering.ranks(self.site_shape)
        )

    @property
    def _orderings(self):
        """The orderings of the K members."""
        num = self.num_masks if self.resample_order else self.num_orderings
        variants = self.ordering.variants(num, self.site_shape, mirrors=not self.resample_order)
        return [variants[k % len(variants)] for k in range(self.num_masks)]


class _Slab(NamedTuple):
    """Units order[start : start + size], of degrees `degree` [size] in their order; `inside`
    [size]: of the block.
    """

    start: Array
    size: int
    order: np.ndarray
    degree: Array
    inside: Array


def _spread(units, rows):
    """sum_u rows[u] units[u]: [units, batch], [units, *above] -> [*above, batch]; one unit needs no
    matmul.
    """
    if len(rows) == 1:
        return rows[0][..., None] * units[0].reshape(*[1] * (rows.ndim - 1), -1)
    return jnp.tensordot(rows, units, (0, 0))
