"""Checkpoints: one file, whole or refused in one line; nothing in it is executed."""

import json
import os
from pathlib import Path

import conformance
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

import sample
import zoo
from zoo.core.model_files import find_run

SAVED = Path(__file__).parent / "checkpoints"
MODEL = zoo.CATALOGUE["made"].tiny


@pytest.fixture
def path(tmp_path):
    zoo.save(tmp_path / "model.safetensors", MODEL, conformance.variables_of(MODEL))
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: b"", "is empty"),
        (lambda data: data[:-9], "truncated"),
        (lambda data: data[: len(data) // 2], "truncated"),
        (lambda data: data[:4], "truncated"),
        (lambda data: b"PK\x03\x04" + data, "no safetensors file"),
        (lambda data: bytes(200), "safetensors"),
    ],
)
def test_damaged_files_are_refused(path, change, message):
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(zoo.CheckpointError, match=message) as caught:
        zoo.load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_missing_and_foreign(tmp_path):
    with pytest.raises(zoo.CheckpointError, match="no such checkpoint"):
        zoo.load(tmp_path / "nothing")
    safetensors.numpy.save_file(
        {"weight": np.zeros(3, np.float32)}, tmp_path / "other.safetensors", {"format": "pt"}
    )
    with pytest.raises(zoo.CheckpointError, match="not of this zoo .format 'pt'"):
        zoo.load(tmp_path / "other.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class": "os.system"}, "the class 'os.system' is not registered; on the command line"),
        ({"class": "NADE"}, "NADE has no field 'direct'"),
        ({"hidden": [12, 10]}, "array 'params/bias_1' has shape .9,.; its model has .10,."),
        ({"hidden": [12]}, "array .* its model"),
        (
            {"ordering": {"class": "Ordering", "scan": "raster", "colour": 3}},
            "Ordering has no field 'colour'",
        ),
    ],
)
def test_headers_that_do_not_fit(path, change, message):
    config = zoo.to_config(MODEL) | change
    arrays = safetensors.numpy.load_file(path)
    header = {"format": "autoregressive-zoo/1", "model": json.dumps(config)}
    safetensors.numpy.save_file(arrays, path, header)
    with pytest.raises(zoo.CheckpointError, match=message):
        zoo.load(path)


def test_every_flipped_bit_is_noticed(path):
    """In the header, in names and in arrays: a file that loads is the file that was written."""
    whole, expected = path.read_bytes(), zoo.load(path)
    header, rng, noticed = 8 + int.from_bytes(whole[:8], "little"), np.random.RandomState(0), 0
    places = [
        *rng.randint(8 * header, size=150),
        *rng.randint(8 * header, 8 * len(whole), size=100),
    ]
    for place in places:
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            model, variables = zoo.load(path)
        except zoo.CheckpointError as error:
            noticed += 1
            assert str(path) in str(error) and "\n" not in str(error)
        else:
            assert model == expected[0]
            jax.tree.map(np.testing.assert_array_equal, variables, expected[1])
    assert noticed == len(places)


@pytest.mark.parametrize("allowed", [False, True])
def test_files_of_before_there_was_a_digest(path, allowed):
    expected = zoo.load(path)[1]
    old = {"format": "autoregressive-zoo/1", "model": json.dumps(zoo.to_config(MODEL))}
    safetensors.numpy.save_file(safetensors.numpy.load_file(path), path, old)
    model, variables = zoo.load(path, allow_non_finite=allowed)
    assert model == MODEL
    jax.tree.map(np.testing.assert_array_equal, variables, expected)


@pytest.mark.parametrize("name", ["made", "nade", "rnade", "eonade", "fvsbn"])
def test_files_written_earlier_mean_the_same(name):
    """The arrays keep their names and meaning: the last member scores and draws as it did."""
    expected = json.loads((SAVED / "expected.json").read_text())[name]
    model, variables = zoo.load(SAVED / f"{name}.safetensors")
    member, x = model.members()[-1], np.asarray(expected["x"], model.head.dtype)
    scored = zoo.log_prob(member, variables, x)
    np.testing.assert_allclose(scored, expected["log_prob"], rtol=1e-5)
    drawn = sample.draw(member, variables, jax.random.key(3), len(x))
    np.testing.assert_allclose(drawn.x, x, rtol=1e-4)
    np.testing.assert_allclose(drawn.log_prob, expected["log_prob"], rtol=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_weights_that_are_no_numbers_are_refused(tmp_path, value, dtype):
    variables = jax.tree.map(lambda leaf: leaf.astype(dtype), conformance.variables_of(MODEL))
    bias = variables["params"]["bias_out"]
    variables["params"]["bias_out"] = bias.at[(0,) * bias.ndim].set(value)
    zoo.save(tmp_path / "m", MODEL, variables)
    with pytest.raises(
        zoo.CheckpointError,
        match=r"1 of the 10 numbers of array 'params/bias_out' are infinite or nan",
    ):
        zoo.load(tmp_path / "m")
    got = zoo.load(tmp_path / "m", allow_non_finite=True)[1]
    jax.tree.map(
        lambda a, b: np.testing.assert_array_equal(a.astype("f4"), b.astype("f4")), got, variables
    )


def test_header_without_json(path):
    arrays = safetensors.numpy.load_file(path)
    safetensors.numpy.save_file(
        arrays, path, {"format": "autoregressive-zoo/1", "model": "{nonsense"}
    )
    with pytest.raises(zoo.CheckpointError, match="describes no model"):
        zoo.load(path)


def test_failed_save_leaves_the_old_file(path, monkeypatch):
    before = path.read_bytes()
    monkeypatch.setattr("pathlib.Path.replace", _full)
    with pytest.raises(OSError, match="No space"):
        zoo.save(path, MODEL, conformance.variables_of(MODEL, seed=3))
    assert path.read_bytes() == before and [file.name for file in path.parent.iterdir()] == [
        path.name
    ]


def _full(self, target):
    raise OSError(28, "No space left on device")


class Stranger(zoo.FVSBN):
    """A model that nobody registered."""


def test_only_registered_classes_are_saved_and_loaded(tmp_path, monkeypatch):
    model, file = Stranger((2, 2)), tmp_path / "m"
    variables = conformance.variables_of(model)
    with pytest.raises(
        ValueError, match="the class 'Stranger' is not registered.*put @zoo.register above"
    ):
        zoo.save(file, model, variables)
    assert not list(tmp_path.iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(
            zoo.foundation.registry, "_CLASSES", dict(zoo.foundation.registry.registered())
        )
        assert zoo.register(Stranger) is Stranger
        zoo.save(file, model, variables)
        assert zoo.load(file)[0] == model
    with pytest.raises(zoo.CheckpointError, match="m: the class 'Stranger' is not registered"):
        zoo.load(file)
    assert zoo.load(file, classes=[Stranger])[0] == model


def test_a_name_is_registered_once():
    made = type("MADE", (zoo.FVSBN,), {"__module__": "mine"})
    with pytest.raises(
        ValueError,
        match=r"the name MADE is taken by zoo\.[a-z.]*made\.MADE: give mine\.MADE another name",
    ):
        zoo.register(made)
    assert zoo.foundation.registry.registered()["MADE"] is zoo.MADE
    assert zoo.register(zoo.MADE) is zoo.MADE  # the same class again
    with pytest.raises(TypeError, match="takes a class of models"):
        zoo.register(int)


def test_bfloat16_survives(tmp_path):
    variables = conformance.variables_of(MODEL)
    half = {"params": dict(variables["params"])}
    half["params"]["bias_out"] = half["params"]["bias_out"].astype(jnp.bfloat16)
    zoo.save(tmp_path / "m", MODEL, half)
    assert zoo.load(tmp_path / "m")[1]["params"]["bias_out"].dtype == jnp.bfloat16


@pytest.mark.parametrize("name", sorted(zoo.CATALOGUE))
@pytest.mark.parametrize("size", ["tiny", "paper"])
def test_config_is_json_and_back(name, size):
    model = getattr(zoo.CATALOGUE[name], size)
    again = zoo.from_config(json.loads(json.dumps(zoo.to_config(model))))
    assert again == model and hash(again) == hash(model)


def test_find(tmp_path, path):
    runs = tmp_path / "runs"
    for i, name in enumerate(["made", "made-2", "made-extra", "nade"]):
        (runs / name).mkdir(parents=True)
        (runs / name / "model.safetensors").write_bytes(path.read_bytes())
        os.utime(runs / name / "model.safetensors", (i, i))
    assert zoo.find("made", runs) == runs / "made-2" / "model.safetensors"
    assert zoo.find(runs / "nade", runs) == runs / "nade" / "model.safetensors"
    assert zoo.find(path, runs) == path
    with pytest.raises(zoo.CheckpointError, match="none named 'lstm'.* train one first"):
        zoo.find("lstm", runs)


def test_a_series_is_found_by_its_name(tmp_path, path, monkeypatch, capsys):
    """The newest of its seeds; commands say which one that is."""
    monkeypatch.chdir(tmp_path)
    names = ["made", "made-series/seed-0", "made-series/seed-1", "made-extra-series/seed-0"]
    for i, name in enumerate(names):
        file = Path("runs", name, "model.safetensors")
        file.parent.mkdir(parents=True)
        file.write_bytes(path.read_bytes())
        os.utime(file, (i, i))
    seed = Path("runs/made-series/seed-1/model.safetensors")
    for word in ("made", "runs/made-series"):
        assert zoo.find(word) == find_run(word) == seed
        said = f"{word}: seed-1 of runs/made-series, the newest of 2 runs\n"
        assert capsys.readouterr().err == said
    assert find_run("runs/made-series/seed-1") == seed and not capsys.readouterr().err
    os.utime("runs/made/model.safetensors", (9, 9))
    assert find_run("made") == Path("runs/made/model.safetensors")
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    "header",
    [
        *("[1, 2]", '"x"', "3", "null", '{"class": "Bernoulli"}'),
        *({"hidden": "abc"}, {"hidden": [9.0]}, {"mask": "a"}, {"head": None}, {"head": "b"}),
        *({"hidden": []}, {"site_shape": [-3, 5]}, {"num_masks": 0}, {"hidden": [0]}),
    ],
)
def test_any_header_ends_in_one_line(path, header):
    text = header if isinstance(header, str) else json.dumps(zoo.to_config(MODEL) | header)
    arrays = safetensors.numpy.load_file(path)
    safetensors.numpy.save_file(arrays, path, {"format": "autoregressive-zoo/1", "model": text})
    with pytest.raises(zoo.CheckpointError) as caught:
        zoo.load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_integer_weights_are_refused(path):
    arrays = {
        name: array.astype(np.int8) for name, array in safetensors.numpy.load_file(path).items()
    }
    header = {"format": "autoregressive-zoo/1", "model": json.dumps(zoo.to_config(MODEL))}
    safetensors.numpy.save_file(arrays, path, header)
    with pytest.raises(zoo.CheckpointError, match="is int8; its model has float32"):
        zoo.load(path)


def test_what_could_not_be_loaded_is_not_saved(tmp_path):
    class Odd(zoo.Bernoulli):
        pass

    model = zoo.FVSBN((2, 2), Odd())
    with pytest.raises(ValueError, match="the class 'Odd' is not registered"):
        zoo.save(tmp_path / "m", model, conformance.variables_of(model))
    with pytest.raises(ValueError, match="not the variables of this MADE"):
        zoo.save(tmp_path / "m", MODEL, conformance.variables_of(zoo.CATALOGUE["fvsbn"].tiny))
    assert not list(tmp_path.iterdir())


def test_paths_that_are_no_runs(tmp_path):
    for run in (tmp_path / "absent", "made[", "*", "a(b"):
        with pytest.raises(zoo.CheckpointError, match="train one first"):
            zoo.find(run, tmp_path)
