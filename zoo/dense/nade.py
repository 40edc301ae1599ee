"""NADE: one hidden layer per conditional, all of them sharing their weights."""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo.core.model import Autoregressive
from zoo.core.orderings import Ordering
from zoo.foundation.registry import register
from zoo.heads import Bernoulli, Head
from zoo.layers import at_ranks, value_before

# ranks whose hidden units are evaluated by one matmul, and recomputed together in the backward pass
_BLOCK = 16


@register
class NADE(Autoregressive):
    """Neural autoregressive distribution estimator: h_t = sigmoid(c + sum_{r<t} W_r x_r), params_t
    =
      b_t + V_t h_t.

    The pre-activation is a running sum, so the likelihood and one draw both cost O(num_sites *
    hidden).

    **Reference**: H. Larochelle, I. Murray, The neural autoregressive distribution estimator,
      AISTATS 2011.

    Differs from the paper: any head; with a categorical one, x_r is one-hot and W_r x_r a column of
      W_r.

    Attributes:
      site_shape: shape of the array of sites.
      hidden: H, the number of hidden units.
      head: the law of one site.
      ordering: the order in which the chain rule visits the sites.
      activation: what makes the units of the pre-activation.
    """

    site_shape: tuple[int, ...] = (28, 28)
    hidden: int = 500
    head: Head = Bernoulli()
    ordering: Ordering = Ordering()
    activation: Literal["sigmoid", "relu"] = "sigmoid"

    # whether the pre-activation at each site is multiplied by a factor of its own, 1 at first
    _rescaled = False

    def setup(self):
        init = nn.initializers.normal(0.05)
        self.inward = self.param("inward", init, (self.num_sites, self._num_seen, self.hidden))  # W
        self.inward_bias = self.param("inward_bias", nn.initializers.zeros, (self.hidden,))  # c
        self.outward = self.param(
            "outward", init, (self.num_sites, self.hidden, self.head.num_params)
        )  # V
        self.outward_bias = self.param(
            "outward_bias", nn.initializers.zeros, (self.num_sites, self.head.num_params)
        )  # b
        self.rho = (
            self.param("rho", nn.initializers.ones, (self.num_sites, 1)) if self._rescaled else None
        )

    def __call__(self, x, memory=None, *, train=False):
        seen = self._seen(self.head.features(x).reshape(len(x), self.num_sites, -1)).astype(
            self.inward.dtype
        )
        by_rank = (seen.swapaxes(0, 1), self.inward, self.outward, self.outward_bias, self.rho)
        blocks = jax.tree.map(
            lambda leaf: _blocks(at_ranks(leaf, 0, self.num_sites, self.sites, 0)), by_rank
        )
        before = jnp.broadcast_to(self.inward_bias, (len(x), self.hidden))
        params = jax.lax.scan(self._params_of_block, before, blocks)[1].reshape(
            -1, len(x), self.head.num_params
        )
        params = params[self.ordering.ranks(self.site_shape)].swapaxes(0, 1)
        return params.reshape(len(x), *self.site_shape, -1)

    def step(self, x, t, memory=None):
        value = self._seen(value_before(x, t, self.sites, self.head)).astype(self.inward.dtype)
        weights = at_ranks(self.inward, jnp.maximum(t - 1, 0), 1, self.sites, 0)[0]
        value = jnp.where(t > 0, value, 0)
        share = _contract(weights.T, value.T) if self._units_first else _contract(value, weights)
        before = self.get_variable("cache", "before", jnp.zeros_like(share)) + share
        self.put_variable("cache", "before", before)
        pre = before + (self.inward_bias[:, None] if self._units_first else self.inward_bias[None])
        if self.rho is not None:
            pre = pre * at_ranks(self.rho, t, 1, self.sites, 0)
        units, outward = self._units_of_step(pre), at_ranks(self.outward, t, 1, self.sites, 0)[0]
        params = (outward.T @ units).T if self._units_first else units @ outward
        return params + at_ranks(self.outward_bias, t, 1, self.sites, 0)

    def _params_of_block(self, before, block):
        """Params of a block of ranks, given the pre-activation before it; returns the one after it
        as well.
        """

        # the [batch, ranks, hidden] activations are cheaper to recompute than to keep
        @jax.checkpoint
        def run(before, block):
            seen, inward, outward, bias, rho = block
            earlier = jnp.tril(jnp.ones((len(bias), len(bias)), seen.dtype), -1)
            known = jnp.einsum(
                "ts,sbf->btsf", earlier, seen
            )  # batch first: 4x faster gradients on CPU
            pre = before[:, None] + jnp.tensordot(known, inward, 2)
            units = self._units(pre if rho is None else pre * rho[None])
            params = jnp.einsum("bth,thp->tbp", units, outward) + bias[:, None, :]
            return before + jnp.einsum("sbf,sfh->bh", seen, inward), params

        return run(before, block)

    def _units(self, pre):
        """The hidden units that the pre-activation [..., hidden] amounts to."""
        return getattr(nn, self.activation)(pre)

    def _units_of_step(self, pre):
        """The same in a step, where what `enter` has prepared is at hand."""
        return self._units(pre)

    def _seen(self, features):
        """What is summed up of a known value, given its features [..., num_features]: [...,
        num_seen].
        """
        return features

    @property
    def _num_seen(self):
        return self.head.num_features

    @property
    def _units_first(self):
        """Whether a step has its units as [hidden, batch]: faster if a matmul follows, slower if
        none does.
        """
        return False


def _blocks(by_rank):
    """[ranks, ...] -> [blocks, _BLOCK, ...], the last block filled up with zeros."""
    fill = -len(by_rank) % _BLOCK
    by_rank = jnp.pad(by_rank, [(0, fill)] + [(0, 0)] * (by_rank.ndim - 1))
    return by_rank.reshape(-1, _BLOCK, *by_rank.shape[1:])


def _contract(value, weights):
    """[rows, features] @ [features, columns]; a feature or two need no matmul."""
    return (value[..., None] * weights[None]).sum(1) if len(weights) <= 2 else value @ weights
