"""EoNADE: one network for all orderings."""

import math
from typing import ClassVar, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from zoo.dense.nade import NADE, contract
from zoo.foundation.registry import register
from zoo.layers import at_ranks


@register
class EoNADE(NADE):
    """Order-agnostic NADE: p(x_i | x_known) for every site i and every set of known sites.

        h = relu(c + sum_{r known} (W_r x_r + M_r)),   further layers,   params_i = b_i + V_i h

    M tells the network which values are known. With d of the D sites known, the first d of an
    ordering s, one pass gives

        D / (D - d) sum_{t >= d} -log p(x[s_t] | x[s_<d]),

    and the mean of that over d and s is the mean over s of -log p_s(x): see `training_loss`. Every
    ordering gives a valid model. `members` are `num_orderings` of them, and
    `zoo.ensemble_log_prob` is the likelihood of their mixture. Any set of known sites can be
    completed, by an ordering that visits them first.

    With one hidden layer a likelihood costs what NADE's costs, O(D H). With more layers, a new value
    changes every unit, so a likelihood or a draw needs D passes of the upper layers, each of 2 H^2
    multiplications and additions per layer.

    **Reference**: B. Uria, I. Murray, H. Larochelle, A deep and tractable density estimator, ICML
    2014.

    Differs from the paper: Adam instead of momentum, no layer-wise pretraining, and training draws
    the number of known sites by importance, see `unknown_fraction`.

    Attributes:
      site_shape: shape of the array of sites.
      hidden: H, the units of every hidden layer.
      head: the distribution of one site.
      ordering: the order in which the chain rule visits the sites (that of member 0).
      activation: the nonlinearity of the hidden units.
      layers: the number of hidden layers.
      num_orderings: how many orderings `members` has; the first is `ordering`, the others are
        random, all different.

    Example:
      >>> import jax, zoo
      >>> model = zoo.EoNADE((2, 3), hidden=8, num_orderings=4)
      >>> x, _ = zoo.example(model, 5)
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> zoo.ensemble_log_prob(model, variables, x).shape
      (5,)
    """

    # From fitted biases it trains more slowly: see docs/experiments.md.
    output_bias: ClassVar[str | None] = None
    activation: Literal["sigmoid", "relu"] = "relu"
    layers: int = 2
    num_orderings: int = 1

    def setup(self):
        super().setup()
        init, zeros = nn.initializers.he_normal(), nn.initializers.zeros
        above, shape = range(1, self.layers), (self.hidden, self.hidden)
        self.kernels = [self.param(f"kernel_{i}", init, shape) for i in above]
        self.biases = [self.param(f"bias_{i}", zeros, (self.hidden,)) for i in above]

    def training_loss(self, x, memory=None):
        """An unbiased estimate of the mean over orderings of -log p_s(x), nats [batch].

        Each example draws one split. Each site is unknown with probability r. If r is uniform, the
        number d of known sites is uniform on 0..D and every set of d sites is as likely as another,
        without any sorting. d = D counts as zero, hence the factor (D + 1) / D.
        """
        fraction_key, site_key = jax.random.split(self.make_rng("train"))
        # Stratified over the batch: example i draws from the i-th part of (0, 1), which reduces the
        # variance.
        noise = jax.random.uniform(fraction_key, (len(x),))
        u = (jnp.arange(len(x), dtype=jnp.float32) + noise) / len(x)
        fraction, weight = unknown_fraction(u, self.num_sites)
        unknown = jax.random.uniform(site_key, (len(x), self.num_sites)) < fraction[:, None]
        weight = weight * (self.num_sites + 1) / self.num_sites
        return weight * self.split_loss(x, unknown)

    def split_loss(self, x, unknown):
        """D / (D - d) times the nats of the `unknown` sites (bool [batch, D]) given the d others.

        0 if no site is unknown.
        """
        params = self.params_given(x, ~unknown)
        values = x.reshape(len(x), self.num_sites, *self.head.event_shape)
        nats = -self.head.log_prob(params, values)
        num_unknown = jnp.maximum(unknown.astype(jnp.float32).sum(-1), 1)
        return jnp.where(unknown, nats, 0).sum(-1) * self.num_sites / num_unknown

    def params_given(self, x, known):
        """Params [batch, D, num_params] of every site given the `known` ones alone (bool [batch, D]),
        in one pass.
        """
        inputs = self._inputs(self.head.features(x).reshape(len(x), self.num_sites, -1))
        inputs = inputs.astype(self.inward.dtype)
        inputs = jnp.where(known[..., None], inputs, 0).reshape(len(x), -1)
        h = self._units(inputs @ self.inward.reshape(-1, self.hidden) + self.inward_bias[None])
        return jnp.einsum("bh,ihp->bip", h, self.outward) + self.outward_bias[None]

    def enter(self, x, t, memory=None):
        """Transposes the kernels of the upper layers, which every `step` multiplies from the left."""
        self.put_variable("cache", "transposed", [kernel.T for kernel in self.kernels])

    def step(self, x, t, memory=None):
        if self.layers == 1:
            return super().step(x, t)
        # With matmuls to follow, units first is faster: all arrays are [hidden, batch].
        value, inward = self._newest(x, t)
        share = contract(inward.T, value.T)
        before = self.get_variable("cache", "before", jnp.zeros_like(share)) + share
        self.put_variable("cache", "before", before)
        h = super()._units(before + self.inward_bias[:, None])
        kernels: list[Array] = self.get_variable("cache", "transposed")
        for kernel, bias in zip(kernels, self.biases, strict=True):
            h = super()._units(kernel @ h + bias[:, None])
        outward = at_ranks(self.outward, t, 1, self.sites, 0)[0]  # [hidden, num_params]
        return (outward.T @ h).T + at_ranks(self.outward_bias, t, 1, self.sites, 0)

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

    def _inputs(self, features):
        """The features and a 1: the last row of W_r is M_r, so a known site adds W_r x_r + M_r."""
        ones = jnp.ones((*features.shape[:-1], 1), features.dtype)
        return jnp.concatenate([features, ones], axis=-1)

    def _units(self, pre):
        """The units of the last layer."""
        h = super()._units(pre)
        for kernel, bias in zip(self.kernels, self.biases, strict=True):
            bias = jnp.broadcast_to(bias, (*[1] * (h.ndim - 1), self.hidden))
            h = super()._units(h @ kernel + bias)
        return h


def unknown_fraction(u: Array | np.ndarray, num_sites: int) -> tuple[Array | np.ndarray, ...]:
    """The fraction r of unknown sites, drawn by importance, and its weight 1 / q(r).

    The loss averages over r uniform on (0, 1). Its gradient has a size of about 1 / sqrt(r), so the
    estimate varies least if r has a density in that proportion. With D sites, r counts as at least
    1 / D, for no split has less than one unknown site:

        q(r) = 1 / (2 (b - a) sqrt(r + 1 / D)),   a = sqrt(1 / D),   b = sqrt(1 + 1 / D)

    Its distribution function has the inverse r = s^2 - 1 / D with s = a + (b - a) u, and the
    weight is 2 s (b - a).

    Args:
      u: uniform numbers in (0, 1), any shape.
      num_sites: D.

    Returns:
      r and the weight, each of the shape of `u`; the mean of weight * f(r) over u is the integral
      of f over (0, 1).

    Example:
      >>> import jax.numpy as jnp
      >>> r, weight = unknown_fraction(jnp.array([0.5, 1.0]), num_sites=3)
      >>> [round(float(each), 2) for each in (*r, *weight)]
      [0.42, 1.0, 1.0, 1.33]
    """
    least, most = math.sqrt(1 / num_sites), math.sqrt(1 + 1 / num_sites)
    root = least + (most - least) * u
    return root**2 - least**2, 2 * root * (most - least)
