"""FVSBN: a fully visible sigmoid belief network, logistic autoregression."""

from typing import ClassVar

from zoo.core.model import Autoregressive
from zoo.core.orderings import Ordering
from zoo.foundation.registry import register
from zoo.heads import Bernoulli, Head
from zoo.layers import CausalLinear, block_size


@register
class FVSBN(Autoregressive):
    """Fully visible sigmoid belief network: each conditional is a logistic regression.

        p(x_t = 1 | x_<t) = sigmoid(b_t + sum_{r<t} W[r, t] x_r)

    **Reference**: R. Neal, Connectionist learning of belief networks (1992); B. Frey, Graphical
    models for machine learning and digital communication (1998).

    Differs from the paper: any head may replace the sigmoid.

    Attributes:
      site_shape: shape of the array of sites.
      head: the distribution of one site.
      ordering: the order in which the chain rule visits the sites.

    Example:
      >>> import jax, zoo
      >>> model = zoo.FVSBN((2, 3))
      >>> x, _ = zoo.example(model, 5)
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> zoo.log_prob(model, variables, x).shape
      (5,)
    """

    site_shape: tuple[int, ...] = (28, 28)
    head: Head = Bernoulli()
    ordering: Ordering = Ordering()

    output_bias: ClassVar[str | None] = "linear/bias"

    def setup(self):
        self.linear = CausalLinear(self.site_shape, self.head, self.ordering)

    def __call__(self, x, memory=None, *, train=False):
        features = self.head.features(x).reshape(len(x), self.num_sites, -1)
        params = self.linear(features, self.ordering.ranks(self.site_shape))  # [batch, sites, p]
        return params.reshape(len(x), *self.site_shape, -1)

    def enter(self, x, t, memory=None):
        self.linear.enter(x, t)

    def step(self, x, t, memory=None):
        return self.linear.step(x, t)

    @property
    def block(self):
        return block_size(self.num_sites)
