"""Every model of the catalogue keeps the contract."""

import conformance
import pytest

import zoo


@pytest.mark.parametrize("name", sorted(zoo.CATALOGUE))
@pytest.mark.parametrize("check", conformance.CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_conformance(name, check):
    assert check(zoo.CATALOGUE[name]) is None


@pytest.mark.parametrize("name", sorted(zoo.CATALOGUE))
def test_checkpoint(name, tmp_path):
    assert conformance.check_checkpoint(zoo.CATALOGUE[name], tmp_path) is None
