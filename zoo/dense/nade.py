"""NADE: one hidden layer per conditional, all of them sharing their weights."""

from typing import ClassVar, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo.core.model import Autoregressive
from zoo.core.orderings import Ordering
from zoo.foundation.registry import register
from zoo.heads import Bernoulli, Head
from zoo.layers import at_ranks, value_before

# Ranks whose hidden units are evaluated by one matmul, and recomputed together in the backward pass.
_BLOCK = 16


@register
class NADE(Autoregressive):
    """Neural autoregressive distribution estimator: a small network for each site, weights shared.

        h_t = sigmoid(c + sum_{r<t} W_r x_r),   params_t = b_t + V_t h_t

    The pre-activation is a running sum, so a likelihood and a draw both cost O(num_sites * hidden).

    **Reference**: H. Larochelle, I. Murray, The neural autoregressive distribution estimator,
    AISTATS 2011.

    Differs from the paper: any head; with a categorical one, x_r is one-hot and W_r x_r is a column
    of W_r.

    Attributes:
      site_shape: shape of the array of sites.
      hidden: H, the number of hidden units.
      head: the distribution of one site.
      ordering: the order in which the chain rule visits the sites.
      activation: the nonlinearity of the hidden units.

    Example:
      >>> import jax, zoo
      >>> model = zoo.NADE((2, 3), hidden=8)
      >>> x, _ = zoo.example(model, 5)
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> zoo.log_prob(model, variables, x).shape
      (5,)
    """

    site_shape: tuple[int, ...] = (28, 28)
    hidden: int = 500
    head: Head = Bernoulli()
    ordering: Ordering = Ordering()
    activation: Literal["sigmoid", "relu"] = "sigmoid"

    output_bias: ClassVar[str | None] = "outward_bias"

    def setup(self):
        num_sites, num_params = self.num_sites, self.head.num_params
        num_inputs = self._inputs(jnp.zeros(self.head.num_features)).shape[-1]
        init, zeros = nn.initializers.normal(0.05), nn.initializers.zeros
        self.inward = self.param("inward", init, (num_sites, num_inputs, self.hidden))  # W
        self.inward_bias = self.param("inward_bias", zeros, (self.hidden,))  # c
        self.outward = self.param("outward", init, (num_sites, self.hidden, num_params))  # V
        self.outward_bias = self.param("outward_bias", zeros, (num_sites, num_params))  # b
        self.rho = None  # a factor of each site's pre-activation: see RNADE

    def __call__(self, x, memory=None, *, train=False):
        inputs = self._inputs(self.head.features(x).reshape(len(x), self.num_sites, -1))
        inputs = inputs.astype(self.inward.dtype).swapaxes(0, 1)  # [sites, batch, num_inputs]
        by_site = (inputs, self.inward, self.outward, self.outward_bias, self.rho)

        def blocks(leaf):  # [sites, ...] -> [blocks, _BLOCK, ...], by rank
            return _blocks(at_ranks(leaf, 0, self.num_sites, self.sites, 0))

        before = jnp.broadcast_to(self.inward_bias, (len(x), self.hidden))
        _, params = jax.lax.scan(self._params_of_block, before, jax.tree.map(blocks, by_site))
        params = params.reshape(-1, len(x), self.head.num_params)  # [ranks, batch, num_params]
        params = params[self.ordering.ranks(self.site_shape)].swapaxes(0, 1)  # by site
        return params.reshape(len(x), *self.site_shape, -1)

    def _params_of_block(self, before, block):
        """Params [_BLOCK, batch, num_params] of a block of ranks, and the sum after the block.

        `before` [batch, hidden] is c and the sum over all earlier ranks.
        """

        # The activations [batch, ranks, hidden] are cheaper to recompute than to keep.
        @jax.checkpoint
        def run(before, block):
            inputs, inward, outward, bias, rho = block
            earlier = jnp.tril(jnp.ones((len(bias), len(bias)), inputs.dtype), -1)
            # [batch, t, s, inputs]: the inputs of the ranks s < t. Batch first: 4x faster gradients
            # on a CPU.
            known = jnp.einsum("ts,sbf->btsf", earlier, inputs)
            pre = before[:, None] + jnp.tensordot(known, inward, 2)  # [batch, ranks, hidden]
            h = self._units(pre if rho is None else pre * rho[None])
            params = jnp.einsum("bth,thp->tbp", h, outward) + bias[:, None, :]
            return before + jnp.einsum("sbf,sfh->bh", inputs, inward), params

        return run(before, block)

    def step(self, x, t, memory=None):
        value, inward = self._newest(x, t)
        share = contract(value, inward)  # [batch, hidden]
        # The cache holds sum_{r<t} W_r x_r.
        before = self.get_variable("cache", "before", jnp.zeros_like(share)) + share
        self.put_variable("cache", "before", before)
        pre = before + self.inward_bias[None]
        if self.rho is not None:
            pre = pre * at_ranks(self.rho, t, 1, self.sites, 0)
        outward = at_ranks(self.outward, t, 1, self.sites, 0)[0]
        return self._units(pre) @ outward + at_ranks(self.outward_bias, t, 1, self.sites, 0)

    def _newest(self, x, t):
        """The input at rank t - 1 [batch, num_inputs] and its weights [num_inputs, hidden].

        At rank 0, zeros and any weights.
        """
        value = self._inputs(value_before(x, t, self.sites, self.head)).astype(self.inward.dtype)
        inward = at_ranks(self.inward, jnp.maximum(t - 1, 0), 1, self.sites, 0)[0]
        return jnp.where(t > 0, value, 0), inward

    # A subclass may change these two.

    def _inputs(self, features):
        """x_r as W_r reads it: [..., num_inputs], given its features [..., num_features]."""
        return features

    def _units(self, pre):
        """The units that the output reads, given the pre-activations: both [..., hidden]."""
        return getattr(nn, self.activation)(pre)


def _blocks(by_rank):
    """[ranks, ...] -> [blocks, _BLOCK, ...]; zeros fill the last block."""
    fill = -len(by_rank) % _BLOCK
    by_rank = jnp.pad(by_rank, [(0, fill)] + [(0, 0)] * (by_rank.ndim - 1))
    return by_rank.reshape(-1, _BLOCK, *by_rank.shape[1:])


def contract(value, weights):
    """[rows, inputs] @ [inputs, columns]; for one or two inputs, products are faster."""
    if len(weights) > 2:
        return value @ weights
    first, *second = (a[:, None] * b[None] for a, b in zip(value.T, weights, strict=True))
    return sum(second, first)
