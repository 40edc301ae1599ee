"""Conformance: does anybody's model keep the contract?

    import sample.testing
    sample.testing.check(CausalMixer((2, 3), features=4))

or `python -m sample.testing my_models.py:CausalMixer`. Each of `CHECKS` takes a `zoo.Entry` (a
tiny instance and its example) and raises AssertionError where the instance breaks the contract.
"""

from sample.testing.suite import CHECKS, ConformanceError, Result, check

__all__ = ["CHECKS", "ConformanceError", "Result", "check"]
