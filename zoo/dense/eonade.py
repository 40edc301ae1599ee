"""EoNADE: one network for all orderings."""

import math
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo.dense.nade import NADE
from zoo.foundation.registry import register


@register
class EoNADE(NADE):
    """Order-agnostic NADE: p(x_i | x_known) for every site i and every set of known sites, by one
    network.

    h = relu(c + sum_{r known} (W_r x_r + M_r)), then further layers, then params_i = b_i + V_i h; M
    says which values are known. With d of 0..D-1 known sites, the first of an ordering s, the mean
    over d and s of

        D / (D - d) sum_{t >= d} -log p(x[s_t] | x[s_<d]),

    one pass of the network, is the mean over s of -log p_s(x). Training draws one split for each
    example, those with few unknown sites more often and with less weight, as their gradient varies
    most. Then every ordering is a model, and `members` are `num_orderings` of them:
    `zoo.ensemble_log_prob` is the likelihood of their mixture. Any set of sites can be known in a
    completion, by an ordering that visits them first.

    With one hidden layer this costs what NADE costs, O(D H). Deeper, a new value changes every unit
    of every layer, so D passes of the upper layers, 2 D H^2 multiplications and additions each, are
    needed for a likelihood; a draw needs just as many.

    **Reference**: B. Uria, I. Murray, H. Larochelle, A deep and tractable density estimator, ICML
      2014.

    Differs from the paper: Adam instead of momentum, and no layer-wise pretraining.

    Attributes:
      site_shape: shape of the array of sites.
      hidden: H, the units of every hidden layer.
      head: the law of one site.
      ordering: the order in which the chain rule visits the sites (that of member 0).
      activation: what makes the units of the pre-activations.
      layers: the number of hidden layers.
      num_orderings: how many orderings `members` has; the first is `ordering`, the others are
        random, all different.
    """

    activation: Literal["sigmoid", "relu"] = "relu"
    layers: int = 2
    num_orderings: int = 1

    def setup(self):
        super().setup()
        init, shape = nn.initializers.he_normal(), (self.hidden, self.hidden)
        self.kernels = [self.param(f"kernel_{i}", init, shape) for i in range(1, self.layers)]
        self.biases = [
            self.param(f"bias_{i}", nn.initializers.zeros, (self.hidden,))
            for i in range(1, self.layers)
        ]

    def training_loss(self, x, memory=None):
        # Each site is unknown with a probability r that is even on (0, 1): then d is even on 0..D,
        # and every set of d sites is as likely as another, which takes no sorting; d = D is empty.
        # A gradient is about as large as 1 / sqrt(r) and varies least if r is drawn in that
        # proportion and weighted against it: r + 1/D = s^2, s even, weight 1 / density; 1/D as
        # fewer than one site is none. The batch shares out what s can be, which makes it vary less
        # again.
        share_key, site_key = jax.random.split(self.make_rng("train"))
        even = (
            jnp.arange(len(x), dtype=jnp.float32) + jax.random.uniform(share_key, (len(x),))
        ) / len(x)
        least, most = math.sqrt(1 / self.num_sites), math.sqrt(1 + 1 / self.num_sites)
        root = least + (most - least) * even
        unknown = (
            jax.random.uniform(site_key, (len(x), self.num_sites)) < root[:, None] ** 2 - least**2
        )
        weight = 2 * root * (most - least) * (self.num_sites + 1) / self.num_sites
        return weight * self.split_loss(x, unknown)

    def split_loss(self, x, unknown):
        """D / (D - d) times the nats of the D - d `unknown` sites [batch, D], given the other d at
        once; 0 if d = D.
        """
        seen = self._seen(self.head.features(x).reshape(len(x), self.num_sites, -1)).astype(
            self.inward.dtype
        )
        seen = jnp.where(unknown[..., None], 0, seen).reshape(len(x), -1)
        units = self._units(seen @ self.inward.reshape(-1, self.hidden) + self.inward_bias[None])
        params = jnp.einsum("bh,ihp->bip", units, self.outward) + self.outward_bias[None]
        nats = -self.head.log_prob(
            params, x.reshape(len(x), self.num_sites, *self.head.event_shape)
        )
        left = jnp.maximum(unknown.astype(jnp.float32).sum(-1), 1)
        return jnp.where(unknown, nats, 0).sum(-1) * self.num_sites / left

    def enter(self, x, t, memory=None):
        for i, kernel in enumerate(self.kernels):
            self.put_variable("cache", f"kernel_{i}", kernel.T)

    def members(self):
        if self.num_orderings > math.factorial(self.num_sites):
            raise ValueError(
                f"num_orderings must be at most {math.factorial(self.num_sites)}, as many as "
                f"{self.num_sites} sites have; "
                f"got {self.num_orderings}."
            )
        variants = self.ordering.variants(self.num_orderings, self.site_shape)
        return tuple(self.clone(ordering=each, num_orderings=1) for each in variants)

    def with_orderings(self, count):
        return self.clone(num_orderings=count)

    def with_known_first(self, known):
        return self.clone(ordering=self.ordering.known_first(known), num_orderings=1)

    def _units(self, pre):
        units = super()._units(pre)
        for kernel, bias in zip(self.kernels, self.biases, strict=True):
            units = super()._units(
                units @ kernel + jnp.broadcast_to(bias, (*[1] * (units.ndim - 1), self.hidden))
            )
        return units

    def _units_of_step(self, pre):
        units = super()._units(pre)
        for i, bias in enumerate(self.biases):
            units = super()._units(
                self.get_variable("cache", f"kernel_{i}") @ units + bias[:, None]
            )
        return units

    @property
    def _units_first(self):
        return self.layers > 1

    def _seen(self, features):
        return jnp.concatenate(
            [features, jnp.ones((*features.shape[:-1], 1), features.dtype)], axis=-1
        )

    @property
    def _num_seen(self):
        return self.head.num_features + 1
