"""Outliers in your own files, as the model of a run reads them: every kind, few examples, other
sizes, rates and vocabularies.
"""

import json

import numpy as np
import pytest
from conformance import variables_of
from PIL import Image

import train.__main__ as training
import zoo
from train.anomalies.comparison import Trained, outliers
from train.cli import anomaly
from train.data import Data, DataError, Split
from train.kinds import kind_of
from zoo.formats.csv_cells import Reading
from zoo.formats.kept_reading import read_kept
from zoo.formats.vocabulary import BYTES, SPECIAL

GREY = zoo.NADE((2, 3), head=zoo.Categorical(256))
BITS = zoo.NADE((2, 3))
RNADE = zoo.RNADE((2,), hidden=3)


def read(model, path, binarise="none", reading=None, **data):
    """The outliers of a file, and what is said of them."""
    trained = Trained("run", model, {}, 10, None, Data())
    data = Data(kind_of(model).own, str(path), **data)
    found = outliers(trained, data, reading or Reading(flags="--"), binarise)
    return found.test, found.description


def test_arrays_of_images(tmp_path):
    np.save(tmp_path / "x.npy", np.array([[[0, 1, 1], [0, 0, 1]]], np.uint8))
    assert read(BITS, tmp_path / "x.npy")[0].x.tolist() == [[[0, 1, 1], [0, 0, 1]]]
    assert read(GREY, tmp_path / "x.npy")[0].x.tolist() == [[[0, 255, 255], [0, 0, 255]]]
    grey = np.arange(12, dtype=np.uint8).reshape(2, 2, 3) * 20
    np.savez(tmp_path / "g.npz", images=grey, labels=[0, 1])
    np.testing.assert_array_equal(read(GREY, tmp_path / "g.npz")[0].x, grey)
    four = zoo.NADE((2, 3), head=zoo.Categorical(4))
    split, said = read(four, tmp_path / "g.npz")
    np.testing.assert_array_equal(split.x, grey // 64)
    assert said == "g.npz, 2 images, 256 levels as 4" and split.context is None
    np.save(tmp_path / "levels.npy", grey // 64)  # levels of the model, as they are
    np.testing.assert_array_equal(read(four, tmp_path / "levels.npy")[0].x, grey // 64)
    with pytest.raises(DataError, match="256 levels, but NADE describes bits: add --binarise"):
        read(BITS, tmp_path / "g.npz")
    split, said = read(BITS, tmp_path / "g.npz", "threshold")
    np.testing.assert_array_equal(split.x, grey > 127)
    assert said.endswith("binarised (threshold)")
    with pytest.raises(DataError, match=r"vectors.npy has examples of shape \[6\], but NADE descr"):
        np.save(tmp_path / "vectors.npy", grey.reshape(2, 6))
        read(GREY, tmp_path / "vectors.npy")


def test_pictures_of_any_size_and_colour(tmp_path):
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    Image.fromarray(np.full((2, 3), 7, np.uint8)).save(folder / "a.png")
    Image.fromarray(np.full((8, 8, 3), 100, np.uint8)).save(folder / "b.png")
    Image.fromarray(np.ones((2, 3), bool)).save(folder / "more" / "c.png")
    x = read(GREY, folder)[0].x
    assert x.shape == (3, 2, 3) and x[:, 0, 0].tolist() == [7, 100, 255]
    assert read(GREY, folder / "b.png")[0].x.tolist() == [[[100] * 3] * 2]
    assert read(BITS, folder / "more" / "c.png", "threshold")[0].x.tolist() == [[[1] * 3] * 2]


def test_named_images_in_the_values_of_the_model():
    trained = Trained("run", zoo.NADE((28, 28), head=zoo.Categorical(256)), {}, 10, None, Data())
    found = outliers(trained, Data("mnist_1bit"), Reading(), "none")
    assert np.unique(found.test.x).tolist() == [0, 255]
    small = trained._replace(model=GREY)
    found = outliers(small, Data("digits"), Reading(), "none")  # 17 levels of 8x8 pixels
    assert found.test.x.shape == (250, 2, 3) and found.test.x.max() > 100


def test_a_table_is_read_as_the_run_read_its_own(tmp_path):
    (tmp_path / "columns.json").write_text(
        json.dumps(
            {
                "reading": {
                    "header": "auto",
                    "sep": "semicolon",
                    "decimal": "comma",
                    "drop": [],
                    "columns": ["colour=green", "colour=red", "size"],
                    "one_hot": {"colour": ["blue", "green", "red"]},
                    "flags": "--data.",
                }
            }
        )
    )
    model, reading = zoo.RNADE((3,), hidden=3), read_kept(tmp_path)
    (tmp_path / "o.csv").write_text("size;note;colour\n1,5;x;red\n2;y;red\n")  # one word, two rows
    found = read(model, tmp_path / "o.csv", reading=reading)[0]
    assert found.x.tolist() == [[0, 1, 1.5], [0, 1, 2]] and found.x.dtype == np.float32
    (tmp_path / "p.csv").write_text("size;colour\n1,5;pink\n")
    with pytest.raises(ValueError, match="'colour' is 'pink'; expected one of the words"):
        read(model, tmp_path / "p.csv", reading=reading)
    np.save(tmp_path / "o.npy", np.array([[0.0, 1, 4]]))
    assert read(model, tmp_path / "o.npy")[0].x.tolist() == [[0, 1, 4]]
    (tmp_path / "q.csv").write_text("a,b\n1,2\n")
    (tmp_path / "r.csv").write_text("a,b\n1,0.5\n")
    with pytest.raises(DataError, match=r"has examples of shape \[2\], but RNADE describes \[3\]"):
        read(model, tmp_path / "q.csv")
    levels = zoo.MADE((2,), head=zoo.Categorical(3))
    assert read(levels, tmp_path / "q.csv")[0].x.tolist() == [[1, 2]]
    with pytest.raises(DataError, match="has real numbers, but MADE describes levels"):
        read(levels, tmp_path / "r.csv")


def test_texts(tmp_path):
    model = zoo.GRU((4,), vocabulary=tuple("abc"), head=zoo.Categorical(3))
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "1.txt").write_text("abcab")  # one window, and a rest
    (folder / "2.txt").write_text("ccccbbbb")
    split, _ = read(model, folder)
    assert split.x.tolist() == [[0, 1, 2, 0], [2] * 4, [1] * 4]
    assert read(model, folder / "1.txt")[0].x.tolist() == [[0, 1, 2, 0]]
    (folder / "3.txt").write_text("ab")
    assert read(model, folder)[1].endswith("(1 of 3 files are shorter, and left out)")
    with pytest.raises(DataError, match="nothing as long as the examples of the model, 4 tokens"):
        read(model, folder / "3.txt")
    (folder / "4.txt").write_text("abxabcab")
    with pytest.raises(DataError, match="4.txt has 'x', which the model's vocabulary of 3 lacks"):
        read(model, folder)
    bytes_of = zoo.GRU((4,), vocabulary=BYTES, head=zoo.Categorical(256))
    (tmp_path / "ü.txt").write_text("über")
    assert read(bytes_of, tmp_path / "ü.txt", unit="byte")[0].x.tolist() == [[0xC3, 0xBC, 98, 101]]


def test_sounds_of_any_rate(tmp_path):
    model = zoo.WaveNet((10,), rate=4000, head=zoo.Categorical(256))
    zoo.write_wav(tmp_path / "a.wav", np.full(50, 0.25), rate=8000)
    zoo.write_wav(tmp_path / "b.wav", np.zeros(3), rate=8000)
    split, said = read(model, tmp_path)
    assert split.x.shape == (2, 10) and "1 of 2 files are shorter" in said
    level = int(zoo.quantise(np.array([0.25]))[0])
    assert abs(split.x[0, 5].item() - level) <= 2
    assert len(read(model, tmp_path / "a.wav")[0].x) == 2
    with pytest.raises(DataError, match="8,000 samples a second, 4,000 are expected"):
        outliers(Trained("run", model, {}, 1, None, Data()), Data("tones"), Reading(), "none")


def test_pairs_and_captions(tmp_path):
    words = (*SPECIAL, "a", "b")
    model = zoo.Seq2Seq(
        (4,), head=zoo.Categorical(5), vocabulary=words, end=1, pad=0,
        source_vocabulary=(*SPECIAL, "b", "x"), source_values=5,
    )  # fmt: skip
    (tmp_path / "p.tsv").write_text("bxz\tab\nb\ta\n")
    split, _ = read(model, tmp_path / "p.tsv")
    assert split.x.tolist() == [[3, 4, 1, 0], [3, 1, 0, 0]]
    assert split.context.tolist() == [[3, 4, 2], [3, 0, 0]]
    (tmp_path / "long.tsv").write_text("b\tabab\n")
    with pytest.raises(DataError, match="a target of 5 tokens with its end, but at most 4"):
        read(model, tmp_path / "long.tsv")
    Image.fromarray(np.full((8, 8), 9, np.uint8)).save(tmp_path / "0.png")
    (tmp_path / "captions.tsv").write_text("0.png\tb a\n0.png\ta\n")
    captioner = zoo.Captioner(
        (4,), image_shape=(16, 16), head=zoo.Categorical(5), vocabulary=words, unit="word", end=1,
        pad=0,
    )  # fmt: skip
    split, _ = read(captioner, tmp_path)
    assert split.x.tolist() == [[4, 3, 1, 0], [3, 1, 0, 0]]
    assert split.context.shape == (2, 16, 16) and (split.context == 9).all()


def test_labels(tmp_path):
    model = zoo.CNN((1,), image_shape=(8, 8), head=zoo.Categorical(3))
    images = np.full((2, 8, 8), 200, np.uint8)
    np.savez(tmp_path / "x.npz", images=images, labels=[2, 0])
    split, _ = read(model, tmp_path / "x.npz")
    assert split.x.tolist() == [[2], [0]] and (split.context == 200).all()


@pytest.mark.slow
def test_scores_of_labelled_and_streamed_models():
    """Labels are summed out, and a window of a text has no past."""
    model = zoo.CATALOGUE["gated_pixel_cnn"].tiny
    variables = variables_of(model)
    x, _ = model.example(3)
    each = [
        zoo.log_prob(model, variables, x, np.full(3, k, np.int32)) for k in range(model.num_classes)
    ]
    wanted = np.log(len(each)) - np.logaddexp.reduce(np.array(each))
    trained = Trained("run", model, variables, 2, None, Data())
    np.testing.assert_allclose(trained.nats(Split(x, np.zeros(3, np.int32))), wanted, rtol=1e-4)
    text = zoo.GRU((5,), features=4, layers=1, head=zoo.Categorical(3))
    variables = variables_of(text)
    x = np.random.RandomState(0).randint(0, 3, (20, 5)).astype(np.int32)
    found = Trained("run", text, variables, 4, None, Data()).nats(Split(x, None))
    np.testing.assert_allclose(found, -zoo.log_prob(text, variables, x), rtol=1e-5)


@pytest.mark.slow
def test_the_command_reads_one_hot_columns(tmp_path, capsys):
    """A run of a table with words tells rows with another dependence, in a file of few rows."""
    rows = [f"{'red' if i % 2 else 'green'};{i % 2 * 9 + i % 7 / 10}" for i in range(200)]
    (tmp_path / "t.csv").write_text("\n".join(["colour;size", *rows]))
    run = tmp_path / "run"
    words = ["rnade", "--data.name", "table", "--data.path", tmp_path / "t.csv"]
    words += ["--data.one-hot", "colour", "--steps", "200", "--samples", "0", "--run-dir", run]
    assert training.main([*map(str, words)]) == 0
    (tmp_path / "o.csv").write_text("colour;size\nred;0,1\nred;0,3\n")
    flags = ["--against", str(tmp_path / "o.csv"), "--decimal", "comma"]
    assert anomaly.main([str(run), *flags]) == 0
    found = json.loads((run / "anomaly" / "o.csv" / "anomaly.json").read_text())
    assert found["examples"]["outliers"] == 2 and found["measures"]["raw"]["auroc"] == 1
    capsys.readouterr()
