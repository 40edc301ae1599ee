"""RNADE: NADE for real numbers."""

import math
from typing import Any, Literal

import flax.linen as nn
import jax
import numpy as np

from zoo.core.output_bias import fitted_bias
from zoo.dense.nade import NADE
from zoo.foundation.registry import register
from zoo.heads import Head, MixtureOfGaussians


@register
class RNADE(NADE):
    """Real-valued NADE: each conditional is a mixture, with parameters linear in the hidden units.

        h_t = relu(rho_t (c + sum_{r<t} W_r x_r)),
        p(x_t | x_<t) = sum_k pi_tk N(x_t; mu_tk, sigma_tk),   pi, mu, sigma from b_t + V_t h_t

    The sum grows with t, so that units saturate at late sites and hardly react at early ones; the
    learned factor rho_t of each site compensates for this.

    **Reference**: B. Uria, I. Murray, H. Larochelle, RNADE: the real-valued neural autoregressive
    density-estimator, NIPS 2013.

    Differs from the paper: sigma is a stated floor + softplus instead of an exponential; Adam
    replaces the paper's scaling of the gradients of the means by sigma. `MixtureOfLaplacians` gives
    the paper's RNADE-MoL. Densities are of the values as given: `Standardised` makes the paper's
    standardisation of the columns part of the model.

    Attributes:
      site_shape: shape of the array of sites, such as (columns,).
      hidden: H, the number of hidden units.
      head: the distribution of one site.
      ordering: the order in which the chain rule visits the sites.
      activation: the nonlinearity of the hidden units.
      recurring: values that recur exactly in the data start with a component of their own, and means
        move in units of their component's scale, so that they stay there. Such a density is as high
        as the head's `min_scale` lets it be.

    Example:
      >>> import jax, zoo
      >>> model = zoo.RNADE((3,), hidden=8, head=zoo.MixtureOfGaussians(2))
      >>> x, _ = zoo.example(model, 5)
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> zoo.log_prob(model, variables, x).shape
      (5,)
    """

    site_shape: tuple[int, ...] = (11,)
    hidden: int = 50
    head: Head = MixtureOfGaussians()
    activation: Literal["sigmoid", "relu"] = "relu"
    recurring: bool = False

    @classmethod
    def preferred_sizes(cls, num_examples):
        """As many hidden units as the root of the rows, 50 to 200."""
        return {"hidden": min(max(50, math.isqrt(num_examples)), 200)}

    def setup(self):
        if self.recurring and not hasattr(self.head, "units"):
            raise ValueError(
                f"recurring values need a mixture for a head; got {type(self.head).__name__}."
            )
        super().setup()
        self.rho = self.param("rho", nn.initializers.ones, (self.num_sites, 1))
        if self.recurring:
            head: Any = self.head
            units = jax.lax.stop_gradient(head.units(self.outward_bias))
            self.outward = self.outward * units[:, None, :].astype(self.outward.dtype)

    def fitted(self, variables, x):
        if not self.recurring:
            return super().fitted(variables, x)
        head: Any = self.head
        x = np.asarray(x)
        return fitted_bias(variables, "outward_bias", head, x, head.fitted_to_recurring)
