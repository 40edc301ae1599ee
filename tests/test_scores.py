"""Scores of examples in files: right values, a batch at a time, and what is refused."""

import conformance
import jax
import numpy as np
import pytest
from commands import argv
from PIL import Image

import sample
import sample.score_file as command
import zoo
from sample.media import examples
from train.data import Data
from train.kinds import kind_of, load
from zoo.formats.csv_cells import Reading
from zoo.formats.csv_files import column_names, stream_csv
from zoo.formats.vocabulary import BYTES

MADE = zoo.MADE((3, 4), hidden=(8,))


@pytest.fixture(scope="module")
def made():
    return MADE, conformance.variables_of(MADE)


@pytest.fixture
def run(made, tmp_path):
    zoo.save(tmp_path / "model.safetensors", *made)
    return tmp_path


def bits(num):
    return np.random.RandomState(0).randint(0, 2, (num, 3, 4)).astype(np.uint8)


def test_a_mapped_file_is_scored_batch_by_batch(made, run, capsys, monkeypatch):
    x = bits(50)
    np.save(run / "mine.npy", x)
    taken = []
    monkeypatch.setattr(
        zoo, "log_prob", lambda *args, real=zoo.log_prob: taken.append(len(args[2])) or real(*args)
    )
    command.main(argv(run, run / "mine.npy", batch_size=16, shown=3))
    assert taken == [16, 16, 16, 16]
    printed = capsys.readouterr().out
    lines = (run / "scores.csv").read_text().splitlines()
    assert lines[0] == "name,nats,bits_per_dim" and len(lines) == 51
    wanted = -np.asarray(zoo.log_prob(*made, x), np.float64)
    found = np.array([line.split(",")[1:] for line in lines[1:]], float)
    np.testing.assert_allclose(found[:, 0], wanted, rtol=1e-5)
    np.testing.assert_allclose(found[:, 1], wanted / (12 * np.log(2)), rtol=1e-5)
    assert f"{wanted.mean():.2f} +- " in printed and "50 examples" in printed
    best, worst = wanted.argsort()[:3], wanted.argsort()[::-1][:3]
    assert ", ".join(f"{i} ({wanted[i] / (12 * np.log(2)):.4f})" for i in best) in printed
    assert ", ".join(f"{i} ({wanted[i] / (12 * np.log(2)):.4f})" for i in worst) in printed
    for name in ("scores.png", "scores_most_likely.png", "scores_least_likely.png"):
        with Image.open(run / name) as picture:
            size = picture.size
    assert size == (2 * 16, 2 * 5)  # three images of 4x3 in a row


def test_pictures_with_names_and_python(made, tmp_path):
    x = bits(5)
    for i, each in enumerate(x):
        Image.fromarray(each * np.uint8(255)).save(tmp_path / f"p{i}.png")
    scores = sample.score(made, tmp_path, batch_size=2)
    (tmp_path / "greys").mkdir()
    assert scores.names == [f"p{i}.png" for i in range(5)] and scores.knows == "exact"
    for i, each in enumerate(x):
        Image.fromarray((90 + 80 * each).astype(np.uint8)).save(tmp_path / "greys" / f"p{i}.png")
    with pytest.raises(ValueError, match="2 levels from 90 to 170.*--binarise threshold"):
        sample.score(made, tmp_path / "greys")
    bits_of = sample.score(made, tmp_path / "greys", batch_size=2, binarise="threshold")
    np.testing.assert_array_equal(bits_of.nats, scores.nats)
    np.testing.assert_allclose(scores.nats, -np.asarray(zoo.log_prob(*made, x)), rtol=1e-5)
    np.savez(tmp_path / "x.npz", images=x)
    np.testing.assert_allclose(sample.score(made, tmp_path / "x.npz").nats, scores.nats, rtol=1e-5)


def test_pictures_of_another_size_or_colour_are_made_to_fit_when_asked(made, tmp_path):
    whole = np.zeros((6, 8, 3), np.uint8)
    whole[2:4, 2:4] = 255
    Image.fromarray(whole).save(tmp_path / "0.png")
    with pytest.raises(ValueError, match="6x8 colour: make them 3x4 grey, or add --fit"):
        sample.score(made, tmp_path)
    small = np.zeros((1, 3, 4), np.uint8)
    small[0, 1, 1] = 1
    fitted = sample.score(made, tmp_path, fit=True, binarise="threshold").nats
    np.testing.assert_allclose(fitted, sample.score(made, small).nats, rtol=1e-6)
    np.save(tmp_path / "x.npy", np.zeros((2, 6, 8), np.uint8))
    with pytest.raises(ValueError, match=r"has 6x8: make them 3x4\.$"):
        sample.score(made, tmp_path / "x.npy")
    with pytest.raises(ValueError, match="--fit is for pictures"):
        sample.score(made, tmp_path / "x.npy", fit=True)
    grey = Image.fromarray(np.full((3, 4), 128, np.uint8))
    grey.save(tmp_path / "0.png")
    four = zoo.NADE((3, 4), hidden=3, head=zoo.Categorical(4))
    (part,) = examples.images(four, tmp_path / "0.png", 8, fit=True)
    assert (part.x == 2).all()  # of 4 levels


def test_levels_or_brightnesses_are_decided_by_the_whole_file(tmp_path):
    model = zoo.NADE((1, 2), hidden=2, head=zoo.Categorical(3))
    x = np.array([[[0, 1]], [[0, 0]], [[255, 127]]])  # the first two could be levels
    np.save(tmp_path / "x.npy", np.where(x == 1, 127, x))
    parts = [each.x for each in examples.images(model, tmp_path / "x.npy", 1)]
    assert np.concatenate(parts).tolist() == [[[0, 1]], [[0, 0]], [[2, 1]]]


def test_a_bound_says_so(tmp_path, capsys):
    model = zoo.VAE((2, 3), latents=2, hidden=(4,))
    variables = zoo.init(model, jax.random.key(0), *model.example(1))
    zoo.save(tmp_path / "model.safetensors", model, variables)
    x, _ = model.example(5)
    np.save(tmp_path / "x.npy", x.astype(np.uint8))
    command.main(argv(tmp_path, tmp_path / "x.npy", draws=20, batch_size=2, seed=3))
    printed = capsys.readouterr().out
    assert "<= " in printed
    header, *rows = (tmp_path / "scores.csv").read_text().splitlines()
    assert header == "name,nats_upper_bound,bits_per_dim_upper_bound"
    wanted = zoo.evidence(model, variables, x, key=jax.random.key(3), num=20)
    np.testing.assert_allclose([float(row.split(",")[1]) for row in rows], -wanted, rtol=1e-4)


def test_windows_of_a_text(tmp_path):
    model = zoo.GRU((8,), features=4, layers=1, vocabulary=tuple("abc"), head=zoo.Categorical(3))
    variables = zoo.init(model, jax.random.key(0), *model.example(1))
    text = "abcabcca" * 2 + "bca"
    (tmp_path / "t.txt").write_text(text)
    scores = sample.score((model, variables), tmp_path / "t.txt")
    assert scores.names == ["t.txt, character 0", "t.txt, character 8", "t.txt, character 16"]
    tokens = np.array(["abc".index(each) for each in text])
    whole = -np.asarray(zoo.log_prob(model, variables, tokens[:16].reshape(2, 8)))
    short = model.clone(site_shape=(3,))
    rest = -np.asarray(zoo.log_prob(short, variables, tokens[None, 16:]))
    np.testing.assert_allclose(scores.nats, [*whole, *rest], rtol=1e-5)
    np.testing.assert_allclose(scores.bits_per_dim[2], rest[0] / (3 * np.log(2)), rtol=1e-5)
    (tmp_path / "u.txt").write_text("abx")
    with pytest.raises(ValueError, match=r"u.txt: .*no 'x'.*--data.unit byte"):
        sample.score((model, variables), tmp_path / "u.txt")
    (tmp_path / "e.txt").write_text("")
    with pytest.raises(ValueError, match=r"e.txt is empty"):
        sample.score((model, variables), tmp_path / "e.txt")


def test_pieces_of_a_text_do_not_matter(tmp_path, monkeypatch):
    model = zoo.GRU((5,), vocabulary=BYTES, head=zoo.Categorical(256))
    (tmp_path / "t.txt").write_bytes(bytes(range(64)))
    monkeypatch.setattr(examples, "PIECE", 7)
    parts = list(examples.texts(model, tmp_path / "t.txt", 4))
    rows = np.concatenate([part.x for part in parts])
    assert rows.ravel()[:64].tolist() == list(range(64)) and max(len(part.x) for part in parts) == 4
    assert parts[-1].sites.tolist() == [4]


def test_rows_of_a_table(tmp_path):
    model = zoo.RNADE((2,), hidden=3)
    variables = zoo.init(model, jax.random.key(0), *model.example(1))
    (tmp_path / "t.csv").write_text("a,b,c\n1.5,2,9\n3,4.25,9\n")
    scores = sample.score((model, variables), tmp_path / "t.csv", drop=("c",))
    x = np.array([[1.5, 2], [3, 4.25]], np.float32)
    np.testing.assert_allclose(
        scores.nats, -np.asarray(zoo.log_prob(model, variables, x)), rtol=1e-5
    )
    with pytest.raises(ValueError, match="has 3 columns, but this RNADE describes 2"):
        sample.score((model, variables), tmp_path / "t.csv")
    (tmp_path / "n.csv").write_text("a,b\n1,nan\n")
    with pytest.raises(ValueError, match="line 2: 'b' is missing"):
        sample.score((model, variables), tmp_path / "n.csv")
    np.save(tmp_path / "n.npy", np.array([[1.0, np.nan]]))
    with pytest.raises(ValueError, match="outside the model's support"):
        sample.score((model, variables), tmp_path / "n.npy")


def test_a_table_is_read_as_the_run_read_it(tmp_path):
    """Decimal commas, words and the choice of columns are those of training, whatever else a file
    holds; flags win.
    """
    lines = [f"{i * i % 17},5;{['red', 'green', 'blue'][i % 3]};{i * 7 % 23}" for i in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["size;colour;n", *lines]))
    data = Data(
        "table",
        path=str(tmp_path / "t.csv"),
        decimal="comma",
        one_hot=("colour",),
        columns=("n", "colour", "size"),
    )
    dataset = load(data)
    model = kind_of(zoo.RNADE((4,), hidden=3)).with_data(zoo.RNADE((4,), hidden=3), dataset)
    variables = zoo.init(model, jax.random.key(0), *model.example(1))
    run = tmp_path / "run"
    run.mkdir()
    zoo.save(run / "model.safetensors", model, variables)
    kind_of(model).keep(dataset, run)

    def nats(*rows):  # of (n, green, red, size)
        return -np.asarray(zoo.log_prob(model, variables, np.array(rows, np.float32)))

    (tmp_path / "other.csv").write_text("id;colour;size;n\nA1;red;1,5;3\nB2;blue;2;4\n")
    scores = sample.score(run, tmp_path / "other.csv", batch_size=2)
    expected = nats((3, 0, 1, 1.5), (4, 0, 0, 2))
    np.testing.assert_allclose(scores.nats, expected, rtol=1e-5)
    (tmp_path / "bare.csv").write_text("3;red;1,5\n4;blue;2\n")  # the order of the model
    np.testing.assert_allclose(sample.score(run, tmp_path / "bare.csv").nats, expected, rtol=1e-5)
    (tmp_path / "point.csv").write_text("n|colour|size\n3|red|1.5\n4|blue|2\n")
    flags = {"sep": "bar", "decimal": "point"}
    again = sample.score(run, tmp_path / "point.csv", batch_size=2, **flags)
    np.testing.assert_allclose(again.nats, expected, rtol=1e-5)
    (tmp_path / "samples.csv").write_text("n,colour=green,colour=red,size\n3,0,1,1.5\n")
    drawn = sample.score(run, tmp_path / "samples.csv", sep="comma", decimal="point")
    np.testing.assert_allclose(drawn.nats, expected[:1], rtol=1e-5)
    for text, message in (
        (
            "n;colour;size\n3;purple;1\n",
            "'colour' is 'purple'; expected one of .*'blue', 'green', 'r",
        ),
        ("n;colour\n3;red\n", "no column 'size' to keep; its columns are 'n', 'colour'"),
        (
            "n;colour;size\n3;red;1.5\n",
            "write a comma for the decimal point, or pass --decimal point",
        ),
    ):
        (tmp_path / "bad.csv").write_text(text)
        with pytest.raises(ValueError, match=message):
            sample.score(run, tmp_path / "bad.csv")
    with pytest.raises(ValueError, match="colour says nothing about how a .csv is read"):
        sample.score(run, tmp_path / "other.csv", colour="red")


def test_columns_without_names_are_found_by_their_places(tmp_path):
    reading = Reading(columns=("column 1", "column 3=b"), one_hot={"column 3": ("a", "b")})
    for text in ("1,9,b\n4,9,a\n", "x,y,z\n1,9,b\n4,9,a\n", "x,z\n1,b\n4,a\n", "1,b\n4,a\n"):
        (tmp_path / "t.csv").write_text(text)
        found = reading.for_file(column_names(tmp_path / "t.csv", reading))
        assert list(stream_csv(tmp_path / "t.csv", found)[1]) == [[1, 1], [4, 0]], text


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 5, 4), np.uint8), "describes 3x4 images.*has 5x4"),
        (np.full((2, 3, 4), 7, np.uint8), "has 1 levels from 7 to 7"),
        (np.zeros((0, 3, 4), np.uint8), "is empty: its shape"),
        (np.full((2, 3, 4), -1.0), "holds float64 from -1 to -1"),
        (np.full((2, 3, 4), 0.5), "has 1 levels from 128 to 128"),
        (None, "there is nothing at"),
    ],
)
def test_refusals_leave_no_file(run, capsys, array, message):
    if array is not None:
        np.save(run / "x.npy", array)
    before = sorted(run.iterdir())
    with pytest.raises(SystemExit) as caught:
        command.main(argv(run, run / "x.npy"))
    (line,) = str(caught.value).splitlines()
    assert line.startswith("error: ")
    with pytest.raises(ValueError, match=message):
        sample.score(run, run / "x.npy")
    assert sorted(run.iterdir()) == before


def test_what_knows_nothing_is_refused(tmp_path):
    model = zoo.Autoencoder((2, 3), latents=2, hidden=(4,))
    variables = zoo.init(model, jax.random.key(0), *model.example(1))
    with pytest.raises(ValueError, match="Autoencoder knows nothing of log p"):
        sample.score((model, variables), model.example(1)[0])


def test_labels_of_a_conditional_model(tmp_path):
    model = zoo.CATALOGUE["gated_pixel_cnn"].tiny
    variables = conformance.variables_of(model)
    x, context = model.example(3)
    wanted = -np.asarray(zoo.log_prob(model, variables, x, context))
    np.testing.assert_allclose(sample.score((model, variables), x, context).nats, wanted, rtol=1e-4)
    np.savez(tmp_path / "x.npz", images=x, labels=context)
    found = sample.score((model, variables), tmp_path / "x.npz")
    np.testing.assert_allclose(found.nats, wanted, rtol=1e-4)
    with pytest.raises(ValueError, match="say by --label"):
        sample.score((model, variables), x)
