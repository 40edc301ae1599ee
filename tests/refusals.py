"""How data that cannot be are refused."""

import pytest

from train.data import DataError
from train.kinds import load


def assert_refused(data, *words):
    """Loading ends in one line that holds all the words."""
    with pytest.raises(DataError) as caught:
        load(data)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
