"""Heads: the distribution of one site given the network's parameters for it."""

from zoo.heads.affine import Affine
from zoo.heads.base import (
    Head,
    checked_log_prob,
    expected_value,
    score,
    value_probabilities,
    values_at,
    why_outside,
)
from zoo.heads.discrete import Bernoulli, Categorical
from zoo.heads.logistics import DiscretizedLogisticMixture
from zoo.heads.mixtures import MixtureOfGaussians, MixtureOfLaplacians
