"""Files as values to compress and back, by the kind of the model; and the commands."""

import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

import sample
import zoo
from benchmarks.box.coding import peer, table
from sample.coding import container, pack, unpack
from sample.coding.benchmark import Measured, _forward, measure
from sample.coding.codec import coded
from sample.coding.forms import data_files
from sample.coding.forms.contents import Contents
from zoo.formats.vocabulary import BYTES, vocabulary

LETTERS = zoo.LSTM((8,), 4, 1, head=zoo.Categorical(3), vocabulary=("a", "b", "\n"))
OF_BYTES = zoo.LSTM((8,), 4, 1, head=zoo.Categorical(256), vocabulary=BYTES)
TEXTS = ("ab\nb", "b" * 5000, "a")
SOUND = zoo.CATALOGUE["wavenet_16bit"].tiny.clone(
    head=zoo.DiscretizedLogisticMixture(2, 2**16), companding="linear"
)


def returned(model, path, out, given=None, is_rounded=False):
    """The contents of a file, and where they are written again."""
    found = data_files.read(model, path, is_rounded)
    data_files.write(found.model, np.array(found.x), found.form, out, given)
    return found


def same(first, second):
    """Whether two files, or two folders of files, have the same names and bytes."""
    if first.is_file():
        return first.read_bytes() == second.read_bytes()
    names = [
        sorted(path.relative_to(each).as_posix() for path in each.rglob("*"))
        for each in (first, second)
    ]
    files = [name for name in names[0] if (first / name).is_file()]
    return names[0] == names[1] and all(same(first / name, second / name) for name in files)


@pytest.mark.parametrize("model", [LETTERS, OF_BYTES])
def test_texts(model, tmp_path):
    """A text comes back, and a folder of them."""
    folder = tmp_path / "texts"
    (folder / "below").mkdir(parents=True)
    for name, text in zip(("1.txt", "2.txt", "below/3.txt"), TEXTS, strict=True):
        (folder / name).write_text(text)
    found = returned(model, folder, tmp_path / "back")
    assert same(folder, tmp_path / "back")
    assert found.x.shape[0] == 4 and found.x.size - found.last < 5006
    returned(model, folder / "2.txt", tmp_path / "2.txt")
    assert same(folder / "2.txt", tmp_path / "2.txt")
    (folder / "4.txt").write_bytes(b"\xff\xfe")
    if model is OF_BYTES:
        returned(model, folder, tmp_path / "again")
        assert same(folder, tmp_path / "again")
    else:
        with pytest.raises(ValueError, match=r"4\.txt is not a text in UTF-8"):
            data_files.read(model, folder)


def test_sounds(tmp_path):
    """A sound comes back, and a folder of them; others only rounded."""
    pytest.importorskip("soundfile", reason="it writes and reads the .wav files")
    folder, random = tmp_path / "sounds", np.random.RandomState(0)
    folder.mkdir()
    model = SOUND.clone(rate=8000)
    for i in range(2):
        pcm = random.randint(-(2**15), 2**15, 2000 + i).astype(np.float32) / 2**15
        zoo.write_wav(folder / f"{i}.wav", pcm, 8000)
    returned(model, folder, tmp_path / "back")
    assert same(folder, tmp_path / "back")
    found = returned(model, folder / "1.wav", tmp_path / "1.wav")
    assert same(folder / "1.wav", tmp_path / "1.wav")
    for name, back in (("a.WAV", "a.WAV"), ("a.flac", "a.wav")):  # what is read may be a .flac
        assert unpack._name({"name": name}, found.form) == back
    coarse = zoo.CATALOGUE["wavenet"].tiny.clone(rate=8000)
    with pytest.raises(ValueError, match="Pass --quantised to compress the nearest sound"):
        data_files.read(coarse, folder)
    returned(coarse, folder, tmp_path / "coarse", is_rounded=True)
    assert returned(coarse, tmp_path / "coarse", tmp_path / "twice").form["lengths"] == [2000, 2001]
    assert same(tmp_path / "coarse", tmp_path / "twice")


def test_tables(tmp_path):
    model = zoo.MADE((3,), hidden=(4,), head=zoo.Categorical(5))
    path = tmp_path / "levels.csv"
    kind = type(model).kind
    for text in ("a,b,c\n1,2,3\n4,0,1\n", "1;2;3\r\n4;0;1\r\n", "1,2,3\n4,0,1"):
        path.write_bytes(text.encode())
        out = tmp_path / f"{len(text)}.csv"
        try:
            type(model).kind = "table"
            found = returned(model, path, out)
            assert same(path, out) and found.x.tolist() == [[1, 2, 3], [4, 0, 1]]
            path.write_bytes(b"1,2,3\n4, 0,1\n")
            with pytest.raises(ValueError, match="would not come back byte for byte"):
                data_files.read(model, path)
            path.write_bytes(b"1,2,9\n")
            with pytest.raises(ValueError, match="outside the model's support"):
                data_files.read(model, path)
        finally:
            type(model).kind = kind


def seq2seq():
    names = vocabulary([list("abc")])
    return zoo.CATALOGUE["seq2seq"].tiny.clone(
        site_shape=(5,), vocabulary=names, source_vocabulary=names, head=zoo.Categorical(len(names))
    )


def test_translations(tmp_path):
    """Targets come back given the sources, which are in a .tsv or alone."""
    model, path = seq2seq(), tmp_path / "pairs.tsv"
    sources = tmp_path / "sources.txt"
    sources.write_text("abc\nb\n")
    for i, text in enumerate(("abc\tcab\nb\ta\n", "source\ttarget\nabc\tcab\nb\ta\n")):
        path.write_text(text)
        found = returned(model, path, tmp_path / f"{i}.tsv", sources)
        assert same(path, tmp_path / f"{i}.tsv")
        for given in (sources, path):
            context = pack.context_of(model, 2, None, given, found.form)
            assert np.array_equal(context, found.context)
    path.write_text("abc\tcax\n")
    with pytest.raises(ValueError, match="line 1, .*cax', would be .* Pass --quantised"):
        data_files.read(model, path)
    with pytest.raises(ValueError, match="sources are not stored"):
        returned(model, path, tmp_path / "none.tsv", is_rounded=True)
    assert not (tmp_path / "none.tsv").exists()


def test_captions(tmp_path):
    """Captions come back given the folder of their images."""
    model, folder = zoo.CATALOGUE["captioner"].tiny, tmp_path / "images"
    names = vocabulary([list("abc")])
    model = model.clone(site_shape=(5,), vocabulary=names, head=zoo.Categorical(len(names)))
    folder.mkdir()
    shape = model.example(1)[1].shape[1:]
    for i in range(2):
        pixels = np.random.RandomState(i).randint(0, 256, shape).astype(np.uint8)
        sample.save_png(folder / f"{i}.png", pixels, 1)
    for i, text in enumerate(
        ("0.png\tab\n1.png\tc\n", "split\timage\tcaption\ntest\t1.png\tab\ntest\t0.png\tc\n")
    ):
        (folder / "captions.tsv").write_text(text)
        found = returned(model, folder, tmp_path / f"{i}.tsv", folder)
        assert (tmp_path / f"{i}.tsv").read_text() == text
        context = pack.context_of(model, 2, None, folder, found.form)
        assert np.array_equal(context, found.context)


def test_damaged_forms(tmp_path):
    """A header that describes no file ends in one line, and nothing is written."""
    x = np.zeros((1, 8), np.int32)
    forms = [
        {"is": "text", "names": ["../out.txt"], "lengths": [3]},
        {"is": "text", "names": ["/out.txt"], "lengths": [3]},
        {"is": "text", "names": [], "lengths": "abc"},
        {"is": "text"},
        {"is": "array", "shape": [9], "dtype": "<i4", "bright": False},
        {"is": ["text"]},
        {},
    ]
    for form in forms:
        with pytest.raises(ValueError):
            data_files.write(LETTERS, x, form, tmp_path / "back")
        assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A checkpoint of digits, and a file of them."""
    folder = tmp_path_factory.mktemp("run")
    model = zoo.NADE((3, 4), hidden=5)
    x = np.random.RandomState(0).randint(0, 2, (20, 3, 4)).astype(np.uint8)
    zoo.save(folder / "model.safetensors", model, zoo.init(model, jax.random.key(0), x))
    np.save(folder / "x.npy", x)
    np.save(folder / "none.npy", x[:0])
    (folder / "z.txt").write_text("no picture")
    return folder


def packed(run, **flags):
    pack.run(pack.Options(str(run), run / "x.npy", **flags))


def test_commands(run, tmp_path, capsys, monkeypatch):
    """A file goes there and back, and what cannot be done is said before the work."""
    packed(run, out=tmp_path / "x.arz")
    assert f"{run} {tmp_path / 'x.arz'}" in capsys.readouterr().out
    unpack.run(unpack.Options(str(run), tmp_path / "x.arz"))
    assert same(run / "x.npy", tmp_path / "x.npy")
    other = unpack.Options(str(run), tmp_path / "x.arz", out=tmp_path / "y.npy", label=3)
    foreign = unpack.Options(str(run), tmp_path / "x.arz", out=tmp_path / "y.png")
    cases = [
        (lambda: packed(run, out=tmp_path / "x.arz"), "exists already and is not overwritten"),
        (lambda: packed(run, out=tmp_path / "no" / "x.arz"), "there is no folder"),
        (lambda: packed(run, batch_size=0), "--batch-size must be at least 1"),
        (lambda: packed(run, label=3, out=tmp_path / "y.arz"), "NADE"),
        (lambda: pack.run(pack.Options(str(run), tmp_path / "z")), "there is no file"),
        (lambda: pack.run(pack.Options(str(run), tmp_path)), "no picture"),
        (lambda: pack.run(pack.Options(str(run), run / "z.txt")), r"\(its format is unknown\)"),
        (lambda: pack.run(pack.Options(str(run), run / "none.npy")), "is empty"),
        (lambda: unpack.run(unpack.Options(str(run), tmp_path / "x.arz")), "exists already"),
        (lambda: unpack.run(unpack.Options(str(run), tmp_path / "z")), "there is no file"),
        (lambda: unpack.run(other), "NADE"),
        (lambda: unpack.run(foreign), r"come back as a \.npy; got --out .*y\.png"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message) as caught:
            call()
        assert len(str(caught.value).splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.arz", "x.npy"]
    for command, file in ((pack, run / "x.npy"), (unpack, tmp_path / "x.arz")):
        monkeypatch.setattr(sys, "argv", ["command", str(run), str(file), "--out", "z.npy"])
        monkeypatch.setattr(data_files.os, "access", lambda *_: False)  # a place to read only
        with pytest.raises(SystemExit) as stop:
            command.main()
        assert stop.value.code == (
            "error: z.npy may not be written here: choose another place by --out FILE."
        )


def test_a_folder_below_home(run, tmp_path, capsys, monkeypatch):
    """~ is the user's folder, `.` has the name of its folder, other files are counted, and the
    command that is printed for the way back works as it is.
    """
    home = tmp_path / "my home"
    pictures = home / "pictures"
    pictures.mkdir(parents=True)
    for i, image in enumerate(np.load(run / "x.npy")):
        sample.save_png(pictures / f"{i}.png", 255 * image, 1)
    (pictures / "notes.txt").write_text("not a picture")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(pictures)
    pack.run(pack.Options(str(run), Path(), out=Path("~/here.arz")))
    assert "not compressed: 1 other files of" in capsys.readouterr().out
    pack.run(pack.Options(str(run), Path("~/pictures")))
    words = shlex.split(capsys.readouterr().out.partition("; back: ")[2])
    (pictures / "notes.txt").unlink()
    unpack.run(unpack.Options(words[-2], Path(words[-1]), out=Path("~/back")))
    assert same(pictures, home / "back")
    assert (home / "here.arz").read_bytes() == Path(words[-1]).read_bytes()


def test_certain_values_take_space():
    """A file grows with the number of values, however certain they are: a header cannot ask for
    more memory than the file has bytes for.
    """
    header = {"num": 2**10, "site_shape": [2**10]}
    data = container.wrapped(header, b"12345")
    assert container.unwrapped(data)[1] == b"12345"
    assert len(data) - len(container.wrapped({**header, "num": 1}, b"12345")) >= 2**20 / 2**14 - 5


@pytest.mark.parametrize("model", [SOUND, zoo.WaveNet((50,))])
def test_the_sound_that_is_measured_is_that_of_the_test_split(model):
    """Levels of the test split are those that are compressed, for every companding."""
    pytest.importorskip("soundfile", reason="it writes and reads the .wav file")
    x = np.random.RandomState(0).randint(0, model.head.num_values, (40, 50)).astype(np.int32)
    dataset = SimpleNamespace(test=SimpleNamespace(x=x, context=None))
    found = table.contents_of(model, dataset, table.Options((), characters=1700))
    assert found.x.size == found.last == 1700
    assert np.array_equal(found.x.reshape(-1), x.reshape(-1)[:1700])


def test_tables_of_rates():
    """A column for each codec that some row has; empty cells for those that it lacks."""
    seconds = {"draw": 1.0, "write": 2.0, "read": 4.0, "network": 1.0, "constriction write": 6.0}
    ratios = {"write": 2.0, "read": 4.0}
    sizes = ({"MADE": 1000, "bz2": 2000}, {"LSTM": 3000, "xz": 4000})
    rows = [
        ("data", name, "1 s", Measured(4, 8000, True, size, nats, seconds, ratios), "BB-ANS 1.41")
        for size, nats in zip(sizes, (8000 * np.log(2), None), strict=True)
        for name in list(size)[:1]
    ]
    head, _, first, second = table.rates(rows).splitlines()
    assert head == "| data | model | training | file | -log2 p | bz2 | xz | published |"
    assert first == "| data | MADE | 1 s | **1.0000** | 1.0000 | 2.0000 |  | BB-ANS 1.41 |"
    assert second == "| data | LSTM | 1 s | **3.0000** |  |  | 4.0000 | BB-ANS 1.41 |"
    *_, first, _ = table.speeds(rows).splitlines()
    assert first == "| data | MADE | 0.004 | 0.002 | 2.00 | 4.00 | 50 % | 3.0 |  |"


@pytest.mark.slow
@pytest.mark.parametrize("head", [zoo.Bernoulli(), zoo.Categorical(20)])
def test_the_usual_way(head):
    """A step and a call of a coder for each site: the same values, and about the same bits."""
    pytest.importorskip("constriction", reason="the coder that it calls")
    model = zoo.NADE((4, 5), hidden=4, head=head)
    x = np.random.RandomState(0).randint(0, head.num_values, (70, 4, 5)).astype(np.int32)
    variables = zoo.init(model, jax.random.key(0), x)
    words = peer.write(model, variables, x, batch=32)
    assert np.array_equal(peer.read(model, variables, words, 70, batch=32), x)
    found = measure(variables, Contents(model, x, 20, {}), batch_size=32, rounds=1)
    assert found.is_same and found.dims == 1400 and len(found.sizes) > 2
    header, _ = coded(model, variables, x, batch_size=32)
    assert jax.tree.leaves(_forward(model, variables, x, None, header))  # which timing waits for
    ideal = found.nats / np.log(2)
    assert abs(32 * len(words) - ideal) < 64 + 0.001 * ideal
