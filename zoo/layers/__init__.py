"""Layers that several models share, each with its cached form."""

from zoo.layers.causal_linear import CausalLinear
from zoo.layers.masked_mlp import MaskedMLP
from zoo.layers.ranks import at_ranks, block_size, ordered_slice, place_in_block, value_before
