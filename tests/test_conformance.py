"""Every model of the catalogue keeps the contract."""

import conformance
import pytest

import zoo

# All checks of a model go to one worker, which then compiles its functions once.
# Those that share all but a cell, a head or an encoder with another are for `make test-slow`.
SLOW = dict.fromkeys(("wavenet_16bit", "captioner", "seq2seq", "rnn", "gru"), pytest.mark.slow)
NAMES = [
    pytest.param(name, marks=[pytest.mark.xdist_group(name), *([SLOW[name]] if name in SLOW else [])])
    for name in sorted(zoo.CATALOGUE)
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("check", conformance.CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_conformance(name, check):
    assert check(zoo.CATALOGUE[name]) is None


@pytest.mark.parametrize("name", NAMES)
def test_checkpoint(name, tmp_path):
    assert conformance.check_checkpoint(zoo.CATALOGUE[name], tmp_path) is None
