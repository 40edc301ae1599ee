"""MADE: a multi-layer perceptron whose masks make it autoregressive."""

import itertools
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from zoo.core.model import Autoregressive
from zoo.core.orderings import Ordering
from zoo.foundation.arguments import checked
from zoo.foundation.registry import register
from zoo.heads import Bernoulli, Head
from zoo.layers import CausalLinear, MaskedMLP, block_size


@register
class MADE(Autoregressive):
    """Masked autoencoder for distribution estimation: one pass gives all conditionals.

        h_l = relu(b_l + (W_l * M_l) h_{l-1}),   params = b + (V * M) h_L + (A * M_A) x

    Every hidden unit has a degree m. It sees the inputs of rank <= m and the hidden units of degree
    <= m below it; the output at rank t sees the units of degree < t. That is what the masks say:

        M_1[r, k] = 1[rank(r) <= m(k)],   M_l[j, k] = 1[m(j) <= m(k)],   M[k, t] = 1[m(k) < rank(t)]

    Degrees are spread evenly over the ranks. With `num_masks` = K > 1 there are K assignments of
    degrees to units, and every training batch draws one, and with it one of `num_orderings`
    orderings of the sites. With `resample_order` every batch draws any ordering instead, or several,
    one for each of `orders_per_batch` parts. Such a model is order-agnostic: each ordering gives a
    valid model, and any set of known sites can be completed, by an ordering that visits them first.
    With `masks_as_input` each unit also receives its mask, h = relu(b + (W * M) h_below + (U * M)
    1). The K `members` are models that share the weights, each with its mask and its ordering;
    `zoo.ensemble_log_prob` is the likelihood of their mixture.

    A draw evaluates each hidden unit once: see `MaskedMLP`.

    **Reference**: M. Germain, K. Gregor, I. Murray, H. Larochelle, MADE: masked autoencoder for
    distribution estimation, ICML 2015.

    Differs from the paper: degrees are spread evenly instead of drawn independently; any head.

    Attributes:
      site_shape: shape of the array of sites.
      hidden: units of each hidden layer.
      head: the distribution of one site.
      ordering: the order in which the chain rule visits the sites (that of member 0).
      direct: whether inputs also connect to outputs directly (A), as in an FVSBN.
      num_masks: K, the number of masks that training draws from, and of members.
      num_orderings: N, how many of `ordering.variants`, mirror images first, go with the masks:
        mask k has variant k mod N.
      resample_order: whether training draws from all orderings; then each member has a different
        one.
      mask: which of the K masks this model evaluates and samples with; see `member`.
      masks_as_input: feed the masks to the units as extra inputs.
      orders_per_batch: how many orderings a training batch is split among, one part after the
        other; set it to the batch size for one ordering per example.

    Example:
      >>> import jax, zoo
      >>> model = zoo.MADE((2, 3), hidden=(8,), num_masks=4)
      >>> x, _ = zoo.example(model, 5)
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> zoo.log_prob(model.member(3), variables, x).shape
      (5,)
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

    output_bias: ClassVar[str | None] = "bias_out"

    def setup(self):
        self._check_fields()
        degrees = tuple(self._degrees(self.mask))
        self.network = MaskedMLP(
            self.site_shape, self.head, self.ordering, degrees, self.masks_as_input
        )
        nn.share_scope(self, self.network)  # checkpoints hold its arrays without its name
        if self.direct:
            self.linear = CausalLinear(self.site_shape, self.head, self.ordering, use_bias=False)

    def encode(self, context):
        ranks = self.ordering.ranks(self.site_shape)
        return self.network.biases_with(self._masks(self._degrees(self.mask), ranks))

    def __call__(self, x, memory=None, *, train=False):
        features = self.head.features(x).reshape(len(x), self.num_sites, -1)
        if train and (self.num_masks > 1 or self.resample_order):
            params = self._resampled(features)
        else:
            ranks = self.ordering.ranks(self.site_shape)
            params = self._params(features, self._degrees(self.mask), ranks)
        return params.reshape(len(x), *self.site_shape, -1)

    def hidden_features(self, x, memory=None):
        """The units of the last hidden layer, [batch, units]."""
        features = self.head.features(x).reshape(len(x), self.num_sites, -1)
        ranks = self.ordering.ranks(self.site_shape)
        return self.network.hidden(features, self._masks(self._degrees(self.mask), ranks))

    @property
    def block(self):
        return block_size(self.num_sites)

    def enter(self, x, t, memory=None):
        self.network.enter(x, t, memory)
        if self.direct:
            self.linear.enter(x, t)

    def step(self, x, t, memory=None):
        params = self.network.step(x, t)
        return params + self.linear.step(x, t) if self.direct else params

    def _degrees(self, mask):
        """The degrees m of the units of each hidden layer, int32, even over 0 .. num_sites - 2.

        They ascend for mask 0; for each other mask a fixed permutation assigns them to the units.
        """
        last = max(1, self.num_sites - 1)
        even = [(np.arange(units) * last // units).astype(np.int32) for units in self.hidden]
        if mask == 0:
            return even
        return [np.random.RandomState([mask, i]).permutation(each) for i, each in enumerate(even)]

    def _masks(self, degrees, ranks):
        """[below, units] of each hidden layer, then [units, num_sites, 1] of the outputs."""
        ranks, *degrees = (jnp.asarray(each) for each in [ranks, *degrees])
        layers = itertools.pairwise([ranks, *degrees])
        hidden = [below[:, None] <= above[None] for below, above in layers]
        outputs = degrees[-1][:, None] < ranks[None]
        return [*hidden, outputs[..., None]]

    def _params(self, features, degrees, ranks):
        """Params [batch, num_sites, num_params] of features [batch, num_sites, num_features]."""
        params = self.network(features, self._masks(degrees, ranks))
        return params + self.linear(features, jnp.asarray(ranks)) if self.direct else params

    def _resampled(self, features):
        """The same with one mask drawn for the batch, and an ordering for each part of it."""
        mask_key, order_key = jax.random.split(self.make_rng("train"))
        k = jax.random.randint(mask_key, (), 0, self.num_masks)
        of_masks = [self._degrees(mask) for mask in range(self.num_masks)]
        degrees = [jnp.asarray(np.stack(layer))[k] for layer in zip(*of_masks, strict=True)]
        if not self.resample_order:
            ranks = np.stack([ordering.ranks(self.site_shape) for ordering in self._orderings])
            return self._params(features, degrees, jnp.asarray(ranks)[k])

        batch, parts = len(features), min(self.orders_per_batch, len(features))
        # A random permutation is a uniform ordering, whether it is read as sites or as ranks.
        drawn = jnp.argsort(jax.random.uniform(order_key, (parts, self.num_sites)), axis=-1)
        features = jnp.pad(features, [(0, -batch % parts), (0, 0), (0, 0)])
        features = features.reshape(parts, -1, *features.shape[1:])  # [parts, batch / parts, ...]

        # One part after the other, each with its masked weights: 5 times as fast on a CPU as all at
        # once. The gradient recomputes them, instead of keeping the masked weights of every part.
        @jax.checkpoint
        def params_of_part(part):
            return self._params(part[0], degrees, part[1])

        params = jax.lax.map(params_of_part, (features, drawn))
        return params.reshape(-1, *params.shape[2:])[:batch]

    @checked()
    def member(self, k: int) -> "MADE":
        """The model that evaluates and samples with mask k; all members share their variables.

        Raises:
          ValueError: there is no mask k, or this model is a member itself.
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
        num_masks = self.num_masks if self.mask else 1  # without the other members
        return self.clone(ordering=self.ordering.known_first(known), num_masks=num_masks)

    @property
    def _orderings(self):
        """The orderings of the K members."""
        num = self.num_masks if self.resample_order else self.num_orderings
        variants = self.ordering.variants(num, self.site_shape, mirrors=not self.resample_order)
        return [variants[k % len(variants)] for k in range(self.num_masks)]

    def _check_fields(self):
        if not self.hidden or not 0 <= self.mask < self.num_masks:
            raise ValueError(
                f"MADE needs at least one hidden layer, mask < num_masks; got {self.hidden}, "
                f"{self.mask}."
            )
        # Members keep num_orderings, so they are checked for it only where they are initialised.
        initialised_member = self.mask != 0 and self.is_initializing()
        most = 1 if self.resample_order or initialised_member else self.num_masks
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
