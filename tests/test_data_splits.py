"""What a model cannot tell apart is in one split; data without such are split as they always were."""

import unicodedata

import numpy as np
import pytest
import soundfile
from PIL import Image

from train.data import Data
from train.data.dataset import Split, generator, hold_out, split_off, thirds
from train.data.grouping import COPIES, frequent, groups
from train.data.in_memory import held_out
from train.data.sources.tables import FOLDS
from train.kinds import load

SPLITS = ("train", "valid", "test")


def keys_of(split, key):
    return set(map(key, split))


def apart(dataset, key):
    """The keys of the three splits, which must have none in common."""
    train, valid, test = (keys_of(getattr(dataset, name).x, key) for name in SPLITS)
    assert train and valid and test and not (train & valid or train & test or valid & test)
    return train | valid | test


def as_always(num):
    """80/10/10 of the numbers 0..num - 1 by the permutation of seed 0."""
    return np.split(generator(0).permutation(num), [num * 8 // 10, num * 9 // 10])


@pytest.mark.parametrize("num", [10, 11, 99, 1000])
def test_different_things_are_split_as_always(num):
    for part, expected in zip(
        thirds([f"{i}" for i in range(num)], "x"), as_always(num), strict=True
    ):
        np.testing.assert_array_equal(part, expected)
    rest, held = split_off(list(range(num)), 3)
    assert (rest == np.arange(num - 3)).all() and (held == np.arange(num - 3, num)).all()


@pytest.mark.parametrize("seed", range(5))
def test_equal_keys_stay_together(seed):
    random = np.random.RandomState(seed)
    keys = random.permutation(np.repeat(range(80), random.randint(1, 5, 80))).tolist()
    parts = thirds(keys, "x")
    sets = [{keys[i] for i in part} for part in parts]
    assert sorted(np.concatenate(parts)) == list(range(len(keys)))
    assert sum(map(len, sets)) == 80
    rest, held = split_off(keys, 20)
    assert not {keys[i] for i in rest} & {keys[i] for i in held} and 20 <= len(held) < 40
    assert sorted([*rest, *held]) == list(range(len(keys)))


@pytest.mark.parametrize("num", [3, 4, 9])
def test_a_few_different_ones_are_enough(num):
    parts = thirds([i % num for i in range(4 * num)], "x")
    assert all(map(len, parts)) and sum(len({i % num for i in part}) for part in parts) == num


WAYS = {
    "normal forms": (lambda text: text, lambda text: unicodedata.normalize("NFD", text)),
    "case": (str.lower, str.upper),
    "spaces": (lambda text: text, lambda text: text.replace(" ", "  ")),
    "space of another kind": (lambda text: text, lambda text: text.replace(" ", "\u3000")),
}


@pytest.mark.parametrize(
    ("unit", "way"),
    [("char", way) for way in WAYS if way != "case"] + [("word", way) for way in WAYS],
)
def test_a_source_in_two_spellings_is_in_one_split(unit, way, tmp_path):
    sources = [f"café no {i}" for i in range(200)]
    lines = [f"{spell(source)}\t{i}" for source in sources for i, spell in enumerate(WAYS[way])]
    (tmp_path / "p.tsv").write_text("\n".join(lines), "utf-8")
    dataset = load(Data("pairs", path=str(tmp_path / "p.tsv"), unit=unit, least=1))

    numbers = [source.split()[-1] for source, _ in dataset.pairs]
    assert sorted(numbers) == sorted(2 * list(set(numbers))), (
        "both spellings are here, so none is elsewhere"
    )
    assert [len(getattr(dataset, name).x) for name in SPLITS] == [320, 40, 40]


def test_pairs_without_equal_sources_are_split_as_always(tmp_path):
    (tmp_path / "p.tsv").write_text("".join(f"{i}\tnumber {i}\n" for i in range(50)))
    dataset = load(Data("pairs", path=str(tmp_path / "p.tsv")))
    assert [int(source) for source, _ in dataset.pairs] == sorted(as_always(50)[2])


def pictures(num, size=(6, 5)):
    return generator(3).integers(256, size=(num, *size), dtype=np.uint8)


def test_equal_images_are_in_one_split(tmp_path):
    x = pictures(100)
    np.savez(tmp_path / "a.npz", x=x[np.r_[:100, :100, 50:100]])
    dataset = load(Data("images", path=str(tmp_path / "a.npz")))
    assert len(apart(dataset, np.ndarray.tobytes)) == 100 and not dataset.notes
    for i, image in enumerate([*x[:40], *x[:40]]):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    (tmp_path / "a.npz").unlink()
    assert len(apart(load(Data("images", path=str(tmp_path))), np.ndarray.tobytes)) == 40


@pytest.mark.parametrize("data", [{"levels": 2}, {"levels": 4}, {"binarise": "threshold"}])
def test_images_that_become_equal_are_in_one_split(data, tmp_path):
    x = pictures(100)
    np.save(tmp_path / "a.npy", np.concatenate([x, x ^ 1]))
    dataset = load(Data("images", path=str(tmp_path / "a.npy"), **data))
    assert len(apart(dataset, np.ndarray.tobytes)) == 100 and not dataset.notes


def test_different_images_are_split_as_always(tmp_path):
    x = pictures(60)
    np.save(tmp_path / "a.npy", x)
    dataset = load(Data("images", path=str(tmp_path / "a.npy")))
    for name, index in zip(SPLITS, as_always(60), strict=True):
        np.testing.assert_array_equal(getattr(dataset, name).x, x[index])


def test_held_out_images_are_no_training_images(tmp_path):
    x = pictures(30)
    np.savez(tmp_path / "a.npz", train=x[np.r_[:20, 20, 21, 22, :10]], test=x[[25, 3]])
    dataset = load(Data("images", path=str(tmp_path / "a.npz")))
    assert not keys_of(dataset.train.x, np.ndarray.tobytes) & keys_of(
        dataset.valid.x, np.ndarray.tobytes
    )
    assert len(dataset.valid.x) == 3 and dataset.notes == (
        "1 of the 2 test images are in the training split too",
    )
    assert hold_out(dataset.train, 2)[1].x.tolist() == dataset.train.x[-2:].tolist()


def test_an_image_under_two_names_is_in_one_split(tmp_path):
    x, lines = pictures(40), []
    for i in range(40):
        for name in (f"{i}.png", f"Copy of {i}.PNG"):
            Image.fromarray(x[i]).save(tmp_path / name)
            lines.append(f"{name}\tno {i}")
    (tmp_path / "captions.tsv").write_text("\n".join(lines))
    dataset = load(Data("captions", path=str(tmp_path), least=1))
    sets = [{image.tobytes() for image in getattr(dataset, name).context} for name in SPLITS]
    assert [len(each) for each in sets] == [32, 4, 4] and len(set.union(*sets)) == 40
    parts = ["train" if i < 76 else "test" for i in range(80)]
    said = "\n".join(
        [
            "image\tcaption\tsplit",
            *(f"{line}\t{part}" for line, part in zip(lines, parts, strict=True)),
        ]
    )
    (tmp_path / "captions.tsv").write_text(said)
    dataset = load(Data("captions", path=str(tmp_path), least=1))
    train, valid = (
        {image.tobytes() for image in split.context} for split in (dataset.train, dataset.valid)
    )
    assert not train & valid and len(dataset.valid.x) == 8 and not dataset.notes


def test_an_image_in_two_splits_that_a_file_names_is_said(tmp_path):
    lines = ["image\tcaption\tsplit"]
    for i in range(12):
        Image.fromarray(pictures(12)[i % 11]).save(tmp_path / f"{i}.png")
        lines.append(f"{i}.png\tno {i}\t{'train' if i < 10 else 'test'}")
    (tmp_path / "captions.tsv").write_text("\n".join(lines))
    dataset = load(Data("captions", path=str(tmp_path), least=1))
    assert dataset.notes == ("1 of the 2 test images are in the training split too",)


def test_equal_rows_are_in_one_fold(tmp_path):
    rows = np.random.RandomState(0).randint(-15, 15, (400, 2)) / 3
    (tmp_path / "t.csv").write_text("a,b\n" + "".join(f"{a},{b}\n" for a, b in rows))
    (tmp_path / "u.csv").write_text("a,b\n" + "".join(f"{a:+.12e},{b + 1e-9}\n" for a, b in rows))
    folds = [
        load(Data("table", path=str(tmp_path / "t.csv"), fold=fold)).test.x for fold in range(FOLDS)
    ]
    sets = [{tuple(row) for row in fold} for fold in folds]
    assert sum(map(len, folds)) == 400 and sum(map(len, sets)) == len(set.union(*sets)) < 350
    for fold in range(FOLDS):
        apart(load(Data("table", path=str(tmp_path / "u.csv"), fold=fold)), tuple)


def test_zeros_of_both_signs_are_equal_rows(tmp_path):
    lines = [f"{sign}0,{i}" for i in range(60) for sign in ("", "-")]
    (tmp_path / "t.csv").write_text("\n".join(["a,b", "1,99", "2,98", "3,97", *lines]))
    apart(load(Data("table", path=str(tmp_path / "t.csv"))), tuple)


def test_different_rows_are_split_as_always(tmp_path):
    (tmp_path / "t.csv").write_text(
        "a,b\n" + "".join(f"{i % 7},{(i * i) % 1009}\n" for i in range(57))
    )
    order = generator(0).permutation(57)
    rows = np.array([(i % 7, (i * i) % 1009) for i in range(57)], np.float32)[order]
    dataset = load(Data("table", path=str(tmp_path / "t.csv"), fold=9))
    assert (dataset.test.x == rows[45:]).all() and (dataset.valid.x == rows[:5]).all()
    assert (dataset.train.x == rows[5:45]).all()


@pytest.mark.parametrize("seconds", [0.0, 0.01])
def test_equal_recordings_are_in_one_split(seconds, tmp_path):
    for i in range(60):
        wave = np.random.RandomState(i % 20).uniform(-0.5, 0.5, 100)
        tail = np.random.RandomState(i).uniform(-0.5, 0.5, 20 if seconds else 0)  # cut off
        soundfile.write(tmp_path / f"{i}.wav", np.concatenate([wave, tail]), 8000)
    assert (
        len(apart(load(Data("sounds", path=str(tmp_path), seconds=seconds)), np.ndarray.tobytes))
        == 20
    )


def agreeing(num):
    """Bits whose sites mostly agree, so that some images are frequent."""
    rng = np.random.default_rng(0)
    return (rng.integers(2, size=(num, 1, 1)) ^ (rng.random((num, 4, 4)) < 0.1)).astype(np.uint8)


def from_images(x, folder):
    np.save(folder / "a.npy", x)
    return load(Data("images", path=str(folder / "a.npy")))


def from_table(x, folder):
    np.savetxt(folder / "a.csv", x.reshape(len(x), -1), "%d", ",")
    return load(Data("table", path=str(folder / "a.csv")))


# Four standard errors of a share of 0.19 in a tenth of the rows.
@pytest.mark.parametrize(("num", "tolerance"), [(400, 0.25), (4000, 0.08)])
@pytest.mark.parametrize("read", [from_images, from_table])
def test_a_frequent_value_has_the_same_share_in_every_split(read, num, tolerance, tmp_path):
    x = agreeing(num)
    dataset = read(x, tmp_path)
    (note,) = [note for note in dataset.notes if "frequent" in note]
    assert note.endswith(
        f"of {num:,} {'images' if read is from_images else 'rows'}, and so in several splits"
    )
    shares = [mode_share(part.x) for part in (dataset.train, dataset.valid, dataset.test)]
    np.testing.assert_allclose(shares, mode_share(x), atol=tolerance)
    assert sum(len(part.x) for part in (dataset.train, dataset.valid, dataset.test)) == num


def mode_share(x):
    """The share of constant images."""
    return (np.ptp(x.reshape(len(x), -1), axis=1) == 0).mean()


@pytest.mark.parametrize("seed", range(3))
def test_a_frequent_value_is_in_both_parts_that_are_held_out(seed):
    x = agreeing(4000)
    parts = held_out(Split(x, None), 0.1, seed, x)
    np.testing.assert_allclose([mode_share(part.x) for part in parts], mode_share(x), atol=0.08)


def test_what_is_frequent():
    assert groups(list("abacab")).tolist() == [0, 1, 0, 2, 0, 1]
    assert groups(list("aaa")).tolist() == [0, 1, 2]  # nothing else can be kept apart
    copies = ["a"] * COPIES + ["b"] * 2
    assert frequent(copies) == {} and frequent([*copies, "a"]) == {"a": COPIES + 1}
    assert groups(["b", *"a" * (COPIES + 1), "b"]).tolist() == [*range(COPIES + 2), 0]
    many = [*range(2970), *[-1] * 30]  # 1 % of all
    assert frequent(many) == {} and frequent([*many, -1]) == {-1: 31}
