import numpy as np
import pytest
from PIL import Image
from refusals import assert_refused

from train.data import Data
from train.data.dataset import generator
from train.kinds import load


def some_images(n=20, *shape, high=256):
    return generator(0).integers(high, size=(n, *(shape or (6, 5))), dtype=np.uint8)


def test_npz_of_splits(tmp_path):
    file, labels = tmp_path / "own.npz", np.arange(30) % 3
    np.savez(
        file,
        train=some_images(30),
        test=some_images(4),
        train_labels=labels,
        test_labels=labels[:4],
    )
    dataset = load(Data(path=str(file)))
    assert (dataset.name, dataset.num_levels, dataset.num_classes) == ("own.npz", 256, 3)
    assert dataset.description == "own.npz (27 training images), 256 levels, test split of 4"
    np.testing.assert_array_equal(dataset.valid.x, some_images(30)[27:])
    np.testing.assert_array_equal(dataset.train.context, labels[:27])
    np.savez(file, train=some_images(30), valid=some_images(5), test=some_images(4))
    dataset = load(Data("images", path=str(file)))
    assert dataset.num_classes is None and len(dataset.valid.x) == 5
    np.savez(file, train=some_images(30), test=some_images(4), test_labels=labels[:4])
    assert_refused(Data(path=str(file)), "labels for some")
    np.savez(file, train=some_images(30), test=some_images(4, 5, 5))
    assert_refused(Data(path=str(file)), "different shapes", "(6, 5)", "(5, 5)")
    np.savez(file, train=some_images(30), test=some_images(4), train_lables=labels)
    assert_refused(Data(path=str(file)), "train_lables")


def test_one_array(tmp_path):
    file = tmp_path / "own.npy"
    np.save(file, some_images(40, 6, 5, 3))
    dataset = load(Data(path=str(file)))
    assert [len(s.x) for s in (dataset.train, dataset.valid, dataset.test)] == [32, 4, 4]
    assert dataset.train.x.shape[1:] == (6, 5, 3)
    np.testing.assert_array_equal(dataset.test.x, load(Data(path=str(file))).test.x)
    whole = np.concatenate([dataset.train.x, dataset.valid.x, dataset.test.x])
    assert {x.tobytes() for x in whole} == {x.tobytes() for x in some_images(40, 6, 5, 3)}
    np.savez(tmp_path / "own.npz", anything=some_images(40), labels=np.arange(40))
    assert load(Data(path=str(tmp_path / "own.npz"))).num_classes == 40


@pytest.mark.parametrize("array, levels, expected", [
    (some_images(high=2), 256, (2, 1)),
    (some_images(high=2) > 0, 256, (2, 1)),
    (some_images(high=16), 16, (16, 15)),
    (some_images(40), 16, (16, 15)),
    (some_images(high=16), 256, (256, 15)),
])  # fmt: skip
def test_levels_of_arrays(tmp_path, array, levels, expected):
    np.save(tmp_path / "own.npy", array)
    dataset = load(Data(path=str(tmp_path / "own.npy"), levels=levels))
    assert (dataset.num_levels, dataset.train.x.max()) == expected


@pytest.mark.parametrize("array, words", [
    (np.full((20, 6, 5), -0.5, np.float32), ("float32 from -0.5", "uint8", "round(255 x)")),
    (np.full((20, 6, 5), 1.5), ("up to 1.5", "round(255 x)")),
    (np.full((20, 6, 5), np.nan), ("from nan", "round(255 x)")),
    (np.full((20, 6, 5), 256), ("int64 from 256", "0..255")),
    (np.zeros(20, np.uint8), ("(20,)", "[N, H, W]", "[N, D]")),
    (np.zeros((20, 6, 5, 4), np.uint8), ("(20, 6, 5, 4)",)),
    (np.zeros((0, 6, 5), np.uint8), ("(0, 6, 5)",)),
    (np.zeros((9, 6, 5), np.uint8), ("9 images", "at least 10")),
    (np.array([{}, None]), ("pickled objects are never loaded",)),
])  # fmt: skip
def test_bad_arrays(tmp_path, array, words):
    np.save(tmp_path / "own.npy", array)
    assert_refused(Data(path=str(tmp_path / "own.npy")), "own.npy", *words)


def test_bad_files(tmp_path):
    assert_refused(Data(path=str(tmp_path / "absent.npz")), "nothing at", "absent.npz")
    (tmp_path / "own.txt").write_text("text")
    assert_refused(Data(path=str(tmp_path / "own.txt")), "neither")
    (tmp_path / "own.npz").write_bytes(b"PK\x03\x04 not a zip")
    assert_refused(Data(path=str(tmp_path / "own.npz")), "own.npz")
    (tmp_path / "own.npy").write_bytes(b"\x80\x03]q\x00K\x01a.")  # a pickled list
    assert_refused(Data(path=str(tmp_path / "own.npy")), "never loaded")
    np.savez(tmp_path / "two.npz", a=some_images(), b=some_images())
    assert_refused(Data(path=str(tmp_path / "two.npz")), "a, b")
    np.savez(tmp_path / "labels.npz", a=some_images(), labels=np.arange(3))
    assert_refused(Data(path=str(tmp_path / "labels.npz")), "expected 20 integers")


def save_images(folder, images, mode=None, suffix="png"):
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(images):
        picture = Image.fromarray(image)
        (picture.convert(mode) if mode else picture).save(folder / f"{i:03}.{suffix}")


def test_folder(tmp_path):
    save_images(tmp_path / "grey", some_images(20))
    dataset = load(Data(path=str(tmp_path / "grey")))
    assert (
        dataset.train.x.shape == (16, 6, 5)
        and dataset.num_levels == 256
        and dataset.train.context is None
    )
    assert {x.tobytes() for x in dataset.train.x} < {x.tobytes() for x in some_images(20)}
    save_images(tmp_path / "bits", some_images(20), "1", "bmp")
    assert load(Data(path=str(tmp_path / "bits"))).num_levels == 2
    save_images(tmp_path / "colour", some_images(20), "RGB", "jpg")
    assert load(Data(path=str(tmp_path / "colour"), levels=8)).train.x.shape == (16, 6, 5, 3)


def test_folder_of_classes(tmp_path):
    for name, value in (("b", 200), ("a", 100), ("c", 0)):
        save_images(tmp_path / name, np.full((8, 6, 5), value, np.uint8))
    (tmp_path / ".hidden").touch()
    dataset = load(Data(path=str(tmp_path)))
    assert dataset.num_classes == 3
    np.testing.assert_array_equal(
        dataset.train.x[:, 0, 0], np.array([100, 200, 0])[dataset.train.context]
    )
    (tmp_path / "stray.png").touch()
    assert_refused(Data(path=str(tmp_path)), "mixes", "stray.png")


def test_the_folder_in_which_one_stands_has_a_name(tmp_path, monkeypatch):
    save_images(tmp_path, some_images(20))
    monkeypatch.chdir(tmp_path)
    dataset = load(Data(path="."))
    assert dataset.name == tmp_path.name and dataset.description.startswith(
        f"{tmp_path.name} (16 training images)"
    )


def test_opaque_pictures_are_colours(tmp_path):
    for i in range(10):
        Image.new("RGBA", (5, 6), (i, 2, 3, 255)).save(tmp_path / f"{i}.png")
    assert load(Data(path=str(tmp_path))).train.x.shape[1:] == (6, 5, 3)


def test_bad_folders(tmp_path):
    (tmp_path / "empty" / "class").mkdir(parents=True)
    assert_refused(Data(path=str(tmp_path / "empty")), "class is empty")
    assert_refused(Data(path=str(tmp_path / "empty" / "class")), "is empty")
    folder = tmp_path / "mixed"
    save_images(folder, some_images(12))
    Image.fromarray(some_images(1, 7, 9)[0]).save(folder / "z.png")
    assert_refused(Data(path=str(folder)), "000.png is 5x6 L", "z.png is 9x7 L")
    Image.new("RGBA", (5, 6), (1, 2, 3, 4)).save(folder / "z.png")
    assert_refused(Data(path=str(folder)), "z.png", "RGBA")
    (folder / "z.png").write_text("not an image")
    assert_refused(Data(path=str(folder)), "z.png is not a readable picture")
    (folder / "z.png").write_bytes((folder / "000.png").read_bytes()[:60])
    assert_refused(Data(path=str(folder)), "z.png")
    save_images(tmp_path / "splits" / "train", some_images(2))
    assert_refused(Data(path=str(tmp_path / "splits")), "sub-folders are classes")


def greys(*shape):
    return generator(1).integers(2, 250, size=shape, dtype=np.uint8)


@pytest.mark.parametrize("array, expected", [
    (some_images() / 255, some_images()),  # real numbers in 0..1
    (some_images().astype(np.float32) / 255, some_images()),
    (some_images().astype(np.int64), some_images()),  # whole numbers
    (some_images().astype(np.float64), some_images()),
    (some_images(high=2).astype(np.float32), some_images(high=2)),  # bits
    (some_images()[:, None], some_images()),  # one channel, first or last
    (some_images()[..., None], some_images()),
    (np.moveaxis(some_images(20, 6, 5, 3), 3, 1), some_images(20, 6, 5, 3)),
    (some_images(20, 30, high=2), some_images(20, 30, high=2)),  # vectors
])  # fmt: skip
def test_numbers_and_axes_of_arrays(tmp_path, array, expected):
    np.save(tmp_path / "own.npy", array)
    dataset = load(Data(path=str(tmp_path / "own.npy")))
    whole = np.concatenate([dataset.train.x, dataset.valid.x, dataset.test.x])
    assert whole.dtype == np.uint8 and sorted(x.tobytes() for x in whole) == sorted(
        x.tobytes() for x in expected
    )
    assert dataset.num_levels == (2 if expected.max() == 1 else 256)
    scaled = array.dtype.kind == "f" and array.max() <= 1 < expected.max()
    assert any("round(255 x)" in note for note in dataset.notes) == scaled


def test_one_rule_for_all_splits(tmp_path):
    """Whole numbers in one split, fractions in the other: both are in 0..1."""
    np.savez(tmp_path / "own.npz", train=some_images(30) / 255, test=some_images(4, high=2) * 1.0)
    assert load(Data(path=str(tmp_path / "own.npz"))).test.x.max() == 255


def test_arrays_of_other_names(tmp_path):
    file, labels = tmp_path / "mnist.npz", (np.arange(30) % 3)[:, None]
    meta = np.array([{"author": "somebody"}])
    np.savez(
        file, x_train=some_images(30), y_train=labels, x_test=greys(4, 6, 5), y_test=labels[:4],
        meta=meta,
    )  # fmt: skip
    assert_refused(Data(path=str(file)), "x_train, y_train, x_test, y_test", "--data.arrays")
    chosen = Data(path=str(file), arrays=("x_train", "x_test"), label_arrays=("y_train", "y_test"))
    dataset = load(chosen)
    np.testing.assert_array_equal(dataset.test.x, greys(4, 6, 5))
    assert dataset.num_classes == 3 and dataset.test.context.tolist() == [0, 1, 2, 0]
    dataset = load(Data(path=str(file), arrays=("x_train", "x_test", "x_test")[:1]))
    assert [len(s.x) for s in (dataset.train, dataset.valid, dataset.test)] == [24, 3, 3]
    for fields, words in [
        ({"arrays": ("x_tran",)}, ("no array 'x_tran'", "x_train")),
        ({"arrays": ("x_train", "x_train")}, ("twice",)),
        ({"arrays": ("x_train", "x_test"), "label_arrays": ("y_train",)}, ("as many",)),
        ({"label_arrays": ("y_train",)}, ("pass both",)),
        ({"arrays": ("meta",)}, ("objects", "never loaded")),
        ({"class_level": 2}, ("for folders",)),
    ]:
        assert_refused(Data(path=str(file), **fields), *words)


def test_pictures_of_other_sizes_and_colours(tmp_path):
    """The middle of each picture, resampled; grey by luminance."""
    folder = tmp_path / "photos"
    wide = np.zeros((20, 40, 3), np.uint8)
    wide[:, 10:30] = (255, 0, 0)  # a red square in the middle
    save_images(folder, [wide] + [greys(30, 20, 3) + i for i in range(10)])
    save_images(folder / "more", some_images(1, 9, 9), suffix="jpg")
    assert_refused(Data(path=str(folder)), "mixes", "--data.class-level 0")
    fitting = Data(path=str(folder), size=(8,), grey=True, class_level=0)
    dataset = load(fitting)
    assert dataset.train.x.shape[1:] == (8, 8) and dataset.num_levels == 256
    splits = np.concatenate([dataset.train.x, dataset.valid.x, dataset.test.x])
    assert (splits == 76).all((1, 2)).sum() == 1  # round(0.299 * 255), and no black edge
    assert_refused(
        Data(path=str(folder), class_level=0),
        "000.png is 40x20 RGB but", "001.png is 20x30 RGB", "--data.size 20",
    )  # fmt: skip
    assert_refused(Data(path=str(folder), class_level=0, size=(8,)), "--data.grey")
    bits = load(Data(path=str(folder), size=(8, 6), grey=True, class_level=0, binarise="threshold"))
    assert bits.num_levels == 2 and bits.train.x.shape[1:] == (8, 6)
    assert_refused(Data(path=str(folder), size=(0,), class_level=0), "1..4096")
    assert_refused(Data(path=str(folder), size=(1, 2, 3), class_level=0), "1..4096")


def test_images_equal_after_resizing_stay_together(tmp_path):
    """Splits look at what the model reads."""
    blocks = np.repeat(np.repeat(some_images(12, 4, 4), 2, 1), 2, 2)
    large = np.repeat(np.repeat(blocks, 2, 1), 2, 2)
    folder = tmp_path / "both"
    save_images(folder / "a", blocks[:, 2:6, 2:6])
    save_images(folder / "b", np.pad(blocks[:, 2:6, 2:6], ((0, 0), (0, 0), (3, 3))))
    dataset = load(Data(path=str(folder), size=(4,)))
    train, test = ({x.tobytes() for x in s.x} for s in (dataset.train, dataset.test))
    assert not train & test and len(train) + len(test) < 12 and large.shape[1] == 16


def test_standard_sets_in_another_size():
    dataset = load(Data("digits", size=(4,)))
    assert dataset.train.x.shape == (1297, 4, 4) and dataset.num_levels == 256
    assert (
        dataset.description
        == "scikit-learn digits 8x8, resized to 4x4, 256 levels, test split of 250"
    )
    assert load(Data("digits", size=(8,))).num_levels == 17
    assert load(Data("digits", size=(4,), binarise="threshold")).num_levels == 2


def test_which_level_of_folders_is_the_class(tmp_path):
    folder = tmp_path / "omniglot"
    for alphabet in ("Greek", "Latin"):
        for letter in ("alpha", "beta", "gamma"):
            save_images(folder / alphabet / letter, greys(4, 6, 5) + len(alphabet + letter))
    outer, inner, none = (load(Data(path=str(folder), class_level=k)) for k in (1, 2, 0))
    assert (outer.num_classes, outer.class_names) == (2, ("Greek", "Latin"))
    assert inner.class_names[:2] == ("Greek/alpha", "Greek/beta") and inner.num_classes == 6
    assert none.num_classes is None and none.class_names == ()
    assert_refused(Data(path=str(folder), class_level=3), "level 3", "--data.class-level")
    assert_refused(Data(path=str(folder), class_level=-1), "from 0")
    assert_refused(Data("mnist_1bit", class_level=2), "your own data")


def test_flags_of_other_data_are_refused():
    assert_refused(Data("wine", size=(8,)), "--data.size is not for wine")
    assert_refused(Data("python_docs", grey=True), "--data.grey is not for python_docs")
