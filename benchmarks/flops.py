"""The counter of `zoo.summary`, by the name that benchmarks use."""

from zoo.foundation.flop_counter import flops

__all__ = ["flops"]
