"""What `make test` leaves to `make test-slow`."""

from collections.abc import Container, Iterable
from typing import Any

import pytest


def slow_but(fast: Container[Any], cases: Iterable[Any]) -> list:
    """The cases as parameters, all but the fast ones marked as slow."""
    return [pytest.param(case, marks=() if case in fast else pytest.mark.slow) for case in cases]
