"""Sounds: companding, .wav files, the data sets, and training on them."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

import train.__main__ as cli
import zoo
from train.cli.evaluate import main as evaluate_main
from train.data import Data, DataError, Split, Windows, ragged
from train.engine.evaluation import evaluate
from train.engine.prepare import fitted, inputs
from train.kinds import load
from train.kinds.sound import entropy
from train.recipe.presets import RECIPES
from train.recipe.recipe import Recipe
from zoo.formats.waveform import read_wav

SMALL = zoo.WaveNet((50,), 4, 4, dilations=(1, 2), cycles=1)


def test_mu_law_has_the_standard_values():
    wave = np.array([-1, -0.5, -0.01, 0, 0.01, 0.5, 1, 7])
    mu = 255
    curve = np.sign(wave) * np.log(1 + mu * np.abs(wave.clip(-1, 1))) / np.log(1 + mu)
    np.testing.assert_array_equal(zoo.quantise(wave), np.floor((curve + 1) / 2 * mu + 0.5))
    np.testing.assert_array_equal(zoo.quantise(wave), [0, 16, 98, 128, 157, 239, 255, 255])


@pytest.mark.parametrize(
    ("companding", "levels"), [("mu_law", 256), ("mu_law", 32), ("linear", 2**16), ("linear", 256)]
)
def test_levels_are_waveforms_and_back(companding, levels):
    every = np.arange(levels)
    wave = zoo.dequantise(every, levels, companding)
    np.testing.assert_array_equal(zoo.quantise(wave, levels, companding), every)
    assert (
        (np.diff(wave) > 0).all()
        and wave[0] == -1
        and zoo.quantise(np.zeros(1), levels, companding) == levels // 2
    )
    np.testing.assert_allclose(
        zoo.dequantise(np.array([levels // 2]), levels, companding), 0, atol=2.5 / levels**1.5
    )


def test_sixteen_bits_are_those_of_the_file(tmp_path):
    pcm = np.array([-(2**15), -1, 0, 1, 2**15 - 1, 123], np.int16)
    soundfile.write(tmp_path / "a.wav", pcm, 8000)
    wave = zoo.read_wav(tmp_path / "a.wav", 8000)
    np.testing.assert_array_equal(zoo.quantise(wave, 2**16, "linear"), pcm.astype(int) + 2**15)
    zoo.write_wav(tmp_path / "b.wav", wave, 8000)
    np.testing.assert_array_equal(soundfile.read(tmp_path / "b.wav", dtype="int16")[0], pcm)


def test_channels_and_rates_are_converted(tmp_path):
    time = np.arange(22050) / 22050
    tone = 0.5 * np.sin(2 * np.pi * 440 * time)
    soundfile.write(tmp_path / "a.wav", np.stack([tone, 0.5 * tone], 1), 22050)
    wave = zoo.read_wav(tmp_path / "a.wav", 8000)
    assert wave.shape == (8000,)
    wanted = 0.375 * np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)
    np.testing.assert_allclose(wave[200:-200], wanted[200:-200], atol=2e-3)


def test_sounds_that_are_no_numbers_are_refused(tmp_path):
    soundfile.write(tmp_path / "nan.wav", np.array([0.0, np.nan]), 8000, subtype="FLOAT")
    with pytest.raises(ValueError, match="no finite numbers"):
        zoo.read_wav(tmp_path / "nan.wav", 8000)


def test_tones_are_the_same_every_time():
    first, again = load(Data("tones")), load(Data("tones"))
    assert all((a == b).all() for a, b in zip(first.train.x, again.train.x, strict=True))
    assert [len(split.x) for split in (first.train, first.valid, first.test)] == [800, 100, 100]
    assert first.rate == 8000 and first.num_classes == 4 and first.train.x[0].dtype == np.int16
    assert (
        len(
            {line.tobytes() for split in (first.train, first.valid, first.test) for line in split.x}
        )
        == 1000
    )
    assert all(2**12 < np.abs(line.astype(int)).max() < 2**15 for line in first.train.x)
    assert {len(line) for line in load(Data("tones", seconds=0.25)).test.x} == {2000}


def write(folder, count, size=400, rate=8000, seed=0):
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.RandomState(seed)
    for i in range(count):
        soundfile.write(folder / f"{i:02}.wav", random.uniform(-0.5, 0.5, size + i), rate)
    return Data("sounds", path=str(folder))


def test_a_folder_is_split_and_its_subfolders_are_classes(tmp_path):
    flat = load(write(tmp_path / "flat", 20))
    assert [len(split.x) for split in (flat.train, flat.valid, flat.test)] == [
        16,
        2,
        2,
    ] and flat.num_classes is None
    assert sorted(
        len(line) for split in (flat.train, flat.valid, flat.test) for line in split.x
    ) == list(range(400, 420))
    for i, name in enumerate(("dog", "cat")):
        write(tmp_path / "both" / name, 10, 100 + 100 * i)
    both = load(Data("tones", path=str(tmp_path / "both"), rate=4000, seconds=0.05))
    assert (both.name, both.num_classes, both.rate) == ("both", 2, 4000)
    assert {len(line) for line in both.train.x} == {200}
    labels = np.concatenate([split.context for split in (both.train, both.valid, both.test)])
    filled = [
        not line[-50:].any() for split in (both.train, both.valid, both.test) for line in split.x
    ]
    assert sorted(labels) == [0] * 10 + [1] * 10 and (np.array(filled)).all()


def test_a_few_long_recordings(tmp_path):
    """Whole recordings in each split from three on, else the parts of each in turn."""
    data = write(tmp_path / "five", 5, 8000)
    splits = load(data)
    sizes = [[len(line) for line in s.x] for s in (splits.train, splits.valid, splits.test)]
    assert [len(each) for each in sizes] == [3, 1, 1]
    assert sorted(size for each in sizes for size in each) == list(range(8000, 8005))
    assert "5 recordings: one is for validation and one for the test" in splits.notes[0]
    pieces = load(dataclasses.replace(data, piece=0.1))
    for whole, cut in zip(
        (splits.train, splits.valid, splits.test), (pieces.train, pieces.valid, pieces.test),
        strict=True,
    ):  # fmt: skip
        assert len(cut.x) == 10 * len(whole.x) and {len(line) for line in cut.x} == {800}
        assert (np.concatenate(list(cut.x[:10])) == whole.x[0][:8000]).all()
    assert "five in pieces of 0.1 s" in pieces.description
    one = load(write(tmp_path / "one", 1, 8000))
    parts = [split.x[0] for split in (one.train, one.valid, one.test)]
    assert [len(part) for part in parts] == [6400, 800, 800]
    assert (np.concatenate(parts) == load_wave(tmp_path / "one" / "00.wav")).all()
    for name in ("dog", "cat"):
        write(tmp_path / "both" / name, 2, 1000)
    both = load(Data("sounds", path=str(tmp_path / "both"), piece=0.01))
    for split in (both.train, both.valid, both.test):
        assert set(split.context) == {0, 1} and len(split.context) == len(split.x)


def load_wave(path):
    return np.round(read_wav(path, 8000) * 2**15).astype(np.int16)


def test_windows_come_from_any_place_of_any_recording():
    lines = ragged([np.arange(10), np.arange(100, 105), np.arange(200, 204)])
    windows = Windows(Split(lines, np.arange(3, dtype=np.int32)), 4, 64, 0)
    assert windows.steps_per_epoch == 1
    x, labels = (np.concatenate(each) for each in zip(*map(windows, range(10)), strict=True))
    assert (np.diff(x) == 1).all() and (labels == x[:, 0] // 100).all()
    counts = np.unique(x[:, 0], return_counts=True)
    assert set(counts[0]) == {*range(7), 100, 101, 200} and (abs(counts[1] - 64) < 40).all()


def test_splits_are_cut_into_windows_from_where_recordings_begin(tmp_path):
    data = write(tmp_path / "a", 20, 110)
    dataset = inputs(Recipe(SMALL, data))
    assert (
        dataset.test.x.shape == (4, 50)
        and dataset.test.x.dtype == np.uint8
        and dataset.num_levels == 256
    )
    whole = load(data).test.x[0] / 2.0**15
    np.testing.assert_array_equal(dataset.test.x[0], zoo.quantise(whole[:50]))
    head = zoo.DiscretizedLogisticMixture(2, 2**16, 1)
    sixteen = inputs(Recipe(SMALL.clone(companding="linear", head=head), data))
    np.testing.assert_array_equal(
        sixteen.test.x[1], load(data).test.x[0][50:100].astype(int) + 2**15
    )
    assert "65,536 linear levels" in sixteen.description
    assert fitted(Recipe(SMALL), load(Data("tones", seconds=0.1))).model.rate == 8000


def test_marginal_entropy_is_that_of_the_histogram():
    assert (
        entropy(np.array([[0, 1], [2, 3]])) == pytest.approx(2) and entropy(np.zeros(5, int)) == 0
    )
    assert entropy(np.array([0, 0, 0, 1])) == pytest.approx(0.25 * 2 + 0.75 * np.log2(4 / 3))


def fails(capsys, *argv):
    assert cli.main(list(argv)) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1
    return err


def test_bad_input_is_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    write(tmp_path / "few", 3)
    write(tmp_path / "good", 12, 60)
    write(tmp_path / "bad", 12)
    (tmp_path / "bad" / "03.wav").write_text("no sound")
    write(tmp_path / "mixed" / "a", 10)
    write(tmp_path / "mixed", 10)
    write(tmp_path / "hollow", 12)
    (tmp_path / "hollow" / "00.wav").write_bytes(b"")

    def said(path, *flags):
        return fails(capsys, "wavenet", "--data.path", path, "--model.site-shape", "50", *flags)

    assert "there is no folder absent; --data.path needs a folder of .wav files" in said("absent")
    assert "empty holds no .wav files" in said("empty")
    assert "few: no recording of the split" in said("few", "--data.piece", "9")
    assert "exclude each other" in said("few", "--data.piece", "9", "--data.seconds", "1")
    assert "--data.piece must be 0, or" in said("few", "--data.piece", "-1")
    assert "03.wav is not a readable sound" in said("bad")
    assert "00.wav is empty; expected a .wav" in said("hollow")
    assert "mixes sub-folders and files (00.wav)" in said("mixed")
    assert "--data.rate must be in 1000..192000" in said("good", "--data.rate", "5")
    assert "--data.seconds must be 0, or at least one sample" in said(
        "good", "--data.seconds", "-1"
    )
    assert "--data.levels is not supported by WaveNet (sound): drop it" in said(
        "good", "--data.levels", "16"
    )
    short = said("good", "--model.site-shape", "100")
    assert (
        "samples, fewer than one window of 100: take it out" in short
        and "or --data.seconds of at least 0.02" in short
    )
    assert "a MixtureOfGaussians head has none: pass" in said(
        "good", "--model.head", "mixtureofgaussians"
    )
    assert "good has no labels" in said("good", "--conditional", "--model.num-classes", "2")
    assert "labels 0..2" in fails(capsys, "wavenet", "--conditional", "--model.num-classes", "3")
    assert "needs your own data" in fails(capsys, "wavenet", "--data.name", "sounds")
    assert "python_docs holds text, but WaveNet" in fails(
        capsys, "wavenet", "--data.name", "python_docs"
    )
    assert "holds images, but WaveNet describes sounds: pass --data.name, such as tones" in fails(
        capsys, "wavenet", "--data.name", "digits"
    )
    assert (
        "tones holds sounds, but MADE describes images: pass --data.name, such as mnist_1bit"
        in fails(capsys, "made", "--data.name", "tones")
    )
    assert not (tmp_path / "runs").exists()


def test_one_command_trains_and_says_bits_per_sample(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("os.execv", lambda program, argv: None)
    data, folder = write(tmp_path / "a", 12, 60), tmp_path / "run"
    argv = [
        "wavenet",
        "--data.path",
        data.path,
        "--steps",
        "4",
        "--model.site-shape",
        "50",
        "--model.features",
        "4",
    ]
    argv += [
        "--model.dilations",
        "1",
        "2",
        "--model.skip",
        "4",
        "--eval-every",
        "2",
        "--run-dir",
        str(folder),
    ]
    assert cli.main(argv) == 0
    out, err = capsys.readouterr()
    assert "receptive field: 5 samples, 0.6 ms" in err
    results = json.loads((folder / "results.json").read_text())
    assert results["unit"] == "sample" and 6 < results["bits_per_dim"] < 10
    line = f"{results['bits_per_dim']:.4f} +- "
    assert (
        f"test: {line}" in out
        and f"(marginal entropy {results['marginal_entropy_bits']:.4f} bits)" in out
    )
    model, variables = zoo.load(folder)
    again = evaluate(model, variables, inputs(Recipe(model, data)).test, 4)
    assert again.nats == pytest.approx(results["nats"]) and again.num == 2 * 50
    assert again.bits_per_dim == pytest.approx(again.nats / np.log(2))
    assert evaluate_main([str(folder)]) == 0
    assert f"test: {line}" in capsys.readouterr().out


def test_spoken_digits(standard_data, tmp_path):
    folder = standard_data / "spoken_digit"
    dataset = load(Data("spoken_digit", data_dir=str(tmp_path), manual_dir=str(folder)))
    assert [len(split.x) for split in (dataset.train, dataset.valid, dataset.test)] == [
        2000,
        250,
        250,
    ]
    assert np.bincount(dataset.test.context).tolist() == [25] * 10 and dataset.num_classes == 10
    assert {len(line) for line in dataset.valid.x} == {4000} and dataset.rate == 8000
    whole = load(Data("spoken_digit", data_dir=str(tmp_path), manual_dir=str(folder), seconds=3.0))
    assert (whole.test.x[7][:4000] == dataset.test.x[7]).all()
    recipe = RECIPES["wavenet"]["paper"]
    data = dataclasses.replace(recipe.data, data_dir=str(tmp_path), manual_dir=str(folder))
    assert inputs(dataclasses.replace(recipe, data=data)).test.x.shape == (250, 4000)


def test_spoken_digits_without_a_network_say_what_to_do(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(
        DataError, match=r"neither free-spoken-digit-dataset-1.0.9.tar.gz nor .*\.xz in"
    ):
        load(Data("spoken_digit", data_dir=str(tmp_path), manual_dir=str(empty)))
    assert Path(empty).is_dir()
