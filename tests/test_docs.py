"""The example of docs/adding_a_model.md is run as it stands, and keeps the contract."""

import re
from pathlib import Path

import conformance
import pytest

import zoo

PAGE = Path(__file__).parents[1] / "docs" / "adding_a_model.md"


@pytest.fixture(params=["default step", "own step"])
def example(request, monkeypatch):
    monkeypatch.setattr(zoo.catalogue, "CATALOGUE", dict(zoo.CATALOGUE))
    monkeypatch.setattr(zoo, "CATALOGUE", zoo.catalogue.CATALOGUE)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 2
    scope = {"__name__": "example"}
    for block in blocks[: 1 + (request.param == "own step")]:
        exec(compile(block, str(PAGE), "exec"), scope)
    conformance.variables_of.cache_clear()
    return zoo.CATALOGUE["leaky_memory"]


@pytest.mark.parametrize(
    "check", conformance.CHECKS, ids=lambda check: check.__name__.removeprefix("check_")
)
def test_example_conforms(example, check):
    assert check(example) is None


def test_example_is_saved_and_loaded(example, tmp_path):
    assert conformance.check_checkpoint(example, tmp_path) is None
