"""`zoo.summary`, by hand; the version; what is public."""

import ast
import importlib.metadata
import re
import tomllib
from pathlib import Path

import jax
import pytest
from marks import slow_but

import sample
import train
import zoo
from zoo.foundation import version

ROOT = Path(__file__).parents[1]


def facts(model):
    """{first word: (numbers of the line)} of a summary."""
    lines = [line.split() for line in zoo.summary(model).splitlines() if line]
    return {words[0]: words[1:] for words in lines}


def test_a_masked_autoencoder_by_hand():
    model = zoo.MADE((4, 4), hidden=(20, 30), direct=False)
    found = facts(model)
    matrices = 16 * 20 + 20 * 30 + 30 * 16
    assert found["total"] == [str(f"{matrices + 20 + 30 + 16:,}")]
    assert found["likelihood"][0] == f"{2 * matrices:,}"
    assert found["kind"] == ["images"] and found["unit"] == ["example"]
    assert found["sites"] == ["4", "x", "4", "=", "16"]
    assert found["head"][0].startswith("Bernoulli(")


def test_a_recurrent_model_by_hand():
    """Gates of an LSTM: 4 (e + h) h weights and 4 h biases; h and c of 4 bytes are kept."""
    model = zoo.LSTM((10,), 8, 1, embedding=6, head=zoo.Categorical(5))
    found = facts(model)
    gates, tokens = 4 * (6 + 8) * 8 + 4 * 8, 6 * 6
    assert found["total"] == [f"{gates + tokens + 8 * 5 + 5:,}"]
    assert found["cache"][0] == str(2 * 8 * 4)
    assert found["kind"] == ["text"] and found["unit"] == ["char"]
    assert found["block"] == ["10", "ranks"]


def test_keys_and_values_are_counted():
    """Keys and values of 4 bytes for each layer, slot and feature."""
    model = zoo.Transformer((64,), 32, 3, heads=2, window=64, head=zoo.Categorical(7))
    assert facts(model)["cache"][0] == f"{2 * 3 * 64 * 32 * 4:,}"


SUMMED = {"made", "gru", "seq2seq_attention", "vae", "gan", "ram"}


@pytest.mark.parametrize("name", slow_but(SUMMED, sorted(zoo.CATALOGUE)))
def test_every_model_has_a_summary_without_a_computation(name):
    model = zoo.CATALOGUE[name].tiny
    total = int(facts(model)["total"][0].replace(",", ""))
    shapes = zoo.core.arrays.variable_shapes(model, zoo.example(model, 1)[1])
    assert total == sum(leaf.size for leaf in jax.tree.leaves(shapes))


@pytest.mark.slow
def test_the_largest_model_is_summed_up_at_once():
    """A made-up size of 2^24 units, far beyond any memory."""
    found = facts(zoo.MADE((2, 2), hidden=(2**24, 2**24), direct=False))
    assert int(found["total"][0].replace(",", "")) > 2**48


def test_layers_are_sorted_by_number():
    text = zoo.summary(zoo.WaveNet((4,), 2, 2, dilations=(1,) * 11, cycles=1))
    layers = re.findall(r"^layers_(\d+)/gates", text, re.M)
    assert layers == [str(number) for number in range(11)]


def test_a_summary_of_no_model_is_refused():
    with pytest.raises(ValueError, match="zoo.summary: model must be a model; got 3"):
        zoo.summary(3)


def test_the_changelog_and_the_citation_name_the_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    headings = re.findall(r"^## (\d\S*)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert headings[0] == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()


def test_the_version_is_stated_once(tmp_path, monkeypatch):
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert zoo.__version__ == stated

    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert version.installed_version() == stated
    assert version.stated_version(tmp_path / "pyproject.toml") == "unknown"
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "another"\nversion = "9"\n')
    assert version.stated_version(tmp_path / "pyproject.toml") == "unknown"


@pytest.mark.parametrize("package", [zoo, sample, train], ids=lambda each: each.__name__)
def test_what_is_public_exists_and_is_typed(package):
    assert (Path(package.__file__).parent / "py.typed").is_file()
    public = getattr(package, "__all__", [])
    missing = [name for name in public if not hasattr(package, name)]
    assert not missing and sorted(set(public)) == sorted(public)


@pytest.mark.parametrize("package", [zoo, sample], ids=lambda each: each.__name__)
def test_whatever_a_package_imports_for_its_users_is_public(package):
    tree = ast.parse(Path(package.__file__).read_text())
    imported = {
        alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert imported - {"installed_version"} == set(package.__all__)
