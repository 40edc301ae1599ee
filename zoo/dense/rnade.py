"""RNADE: NADE for real numbers."""

from typing import Literal

from zoo.dense.nade import NADE
from zoo.foundation.registry import register
from zoo.heads import Head, MixtureOfGaussians


@register
class RNADE(NADE):
    """Real-valued NADE: p(x_t | x_<t) = sum_k pi_tk N(x_t; mu_tk, sigma_tk), all of them linear in
    h_t.

    h_t = relu(rho_t (c + sum_{r<t} W_r x_r)). The sum grows with t, so that units saturate at late
    sites and hardly react at early ones; the factor rho_t, learnt for each site, undoes this.

    **Reference**: B. Uria, I. Murray, H. Larochelle, RNADE: the real-valued neural autoregressive
      density-estimator,
    NIPS 2013.

    Differs from the paper: sigma is a stated floor + softplus instead of an exponential; Adam does
      what the paper does
    by scaling the gradients of the means by sigma. With `MixtureOfLaplacians` this is the paper's
    RNADE-MoL. Densities are of the values as given: `Standardised` puts the paper's standardisation
    of the columns into the model.

    Attributes:
      site_shape: shape of the array of sites, such as (columns,).
      hidden: H, the number of hidden units.
      head: the law of one site.
      ordering: the order in which the chain rule visits the sites.
      activation: what makes the units of the pre-activation.
    """

    site_shape: tuple[int, ...] = (11,)
    hidden: int = 50
    head: Head = MixtureOfGaussians()
    activation: Literal["sigmoid", "relu"] = "relu"

    _rescaled = True
