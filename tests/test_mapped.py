"""Images that stay in their files."""

import dataclasses
import io
import sys
import tracemalloc

import numpy as np
import pytest
from PIL import Image

import zoo
from train.data import Data, DataError
from train.data.batching import Batches
from train.data.in_files import in_files
from train.data.sources.records import Records
from train.engine.prepare import first_values, ready, shaped_inputs
from train.kinds import load
from train.recipe.presets import RECIPES
from train.recipe.recipe import Recipe

SIZES = {"train": 400, "valid": 30, "test": 20}


def write(folder, levels=200, labels=True, shape=(6, 5), sizes=SIZES):
    """(the folder with .npy arrays, an .npz with the same)."""
    random, arrays = np.random.RandomState(0), {}
    for name, size in sizes.items():
        arrays[name] = random.randint(0, levels, (size, *shape)).astype(np.uint8)
        if labels:
            arrays[f"{name}_labels"] = np.arange(size) % 3
    folder.mkdir()
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    np.savez(folder.parent / "all.npz", **arrays)
    return folder, folder.parent / "all.npz"


@pytest.mark.parametrize("levels", [2, 16, 200])
@pytest.mark.parametrize("binarise", ["none", "dynamic"])
def test_the_same_as_arrays_in_memory(tmp_path, levels, binarise):
    folder, file = write(tmp_path / "arrays", levels)
    if binarise == "dynamic" and levels == 2:
        return
    ways = Data("images", binarise=binarise)
    mapped, usual = (load(dataclasses.replace(ways, path=str(path))) for path in (folder, file))
    assert isinstance(mapped.train.x, np.memmap) and not isinstance(usual.train.x, np.memmap)
    assert mapped.digest == usual.digest
    for field in ("num_levels", "num_classes", "dynamic", "kind"):
        assert getattr(mapped, field) == getattr(usual, field)
    one, two = (Batches(each.train, 16, 3, each.dynamic) for each in (mapped, usual))
    for step in (0, 30):
        for ours, theirs in zip(one(step), two(step), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_what_is_held_out_stays_in_its_file(tmp_path):
    folder, _ = write(tmp_path / "arrays", sizes={"train": 400, "test": 20})
    dataset = load(Data("images", path=str(folder), valid=25))
    assert [len(split.x) for split in (dataset.train, dataset.valid, dataset.test)] == [375, 25, 20]
    whole = np.load(folder / "train.npy")
    np.testing.assert_array_equal(dataset.train.x, whole[:375])
    np.testing.assert_array_equal(dataset.valid.x, whole[375:])
    assert np.shares_memory(dataset.train.x, dataset.train.x.base)
    assert any("stay in their files" in note for note in dataset.notes)


def test_no_more_memory_than_batches_need(tmp_path):
    """80 MB of images are loaded, checked, hashed and batched in a third of that."""
    sizes = {"train": 80_000, "test": 100}
    folder, _ = write(tmp_path / "arrays", labels=False, shape=(40, 25), sizes=sizes)
    recipe = Recipe(zoo.NADE(hidden=2), Data("images", path=str(folder)), batch_size=64)
    tracemalloc.start()
    try:
        _, recipe, dataset = ready(recipe, {"recipe.batch_size"})
        dataset.digest
        batches = Batches(dataset.train, 64, 0)
        for step in range(3):
            batches(step)
        first_values(dataset)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert dataset.train.x.nbytes > 70e6 and peak < 40e6


@pytest.mark.parametrize("levels", [2, 200])
@pytest.mark.parametrize("ways", [{}, {"classes": (2, 0)}, {"train": 60}])
def test_classifiers_read_images_from_their_files(tmp_path, levels, ways):
    """As those in memory; and no more of them than a batch or a block at a time."""
    folder, file = write(tmp_path / "arrays", levels)
    recipe = RECIPES["cnn"]["cpu"]
    found = []
    for path in (folder, file):
        data = Data("images", path=str(path), **ways)
        found.append(shaped_inputs(dataclasses.replace(recipe, data=data), ())[1])
    mapped, usual = found
    assert in_files(mapped.train.context) and not in_files(usual.train.context)
    assert mapped.digest == usual.digest and mapped.num_classes == usual.num_classes
    for ours, theirs in zip(mapped.train, usual.train, strict=True):
        np.testing.assert_array_equal(np.asarray(ours), theirs)
        np.testing.assert_array_equal(ours[np.array([5, 3])], theirs[[5, 3]])


def test_no_command_decodes_all_records(tmp_path, monkeypatch):
    _, file = write(tmp_path / "arrays", sizes={"train": 120, "valid": 9, "test": 9})
    folder = write_records(tmp_path / "records", np.load(file))

    def whole(self, dtype=None, copy=None):
        if len(self) > 60:
            raise MemoryError("all images at once")
        return self._read(np.asarray(self._rows))

    monkeypatch.setattr(Records, "__array__", whole)
    monkeypatch.setattr("train.data.in_files.BLOCK", 1000)
    data = Data("images", path=str(folder))
    for name, changes in (("cnn", {"classes": (0, 2)}), ("fvsbn", {"mutate": 0.1})):
        recipe = dataclasses.replace(
            RECIPES[name]["cpu"], data=dataclasses.replace(data, **changes)
        )
        _, dataset = shaped_inputs(recipe, ())
        dataset.digest
        batch = Batches(dataset.train, 16, 3, redraw=dataset.redraw)(0)
        assert all(len(each) == 16 for each in batch if each is not None)


@pytest.mark.parametrize("levels", [2, 200])
def test_vectors_in_files(tmp_path, levels):
    folder, file = write(tmp_path / "arrays", levels, shape=(7,))
    mapped, usual = (load(Data("images", path=str(path))) for path in (folder, file))
    assert isinstance(mapped.train.x, np.memmap) and mapped.digest == usual.digest
    assert mapped.num_levels == usual.num_levels


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "test.npy").unlink(), "holds train.npy, but no test.npy"),
        (lambda folder: (folder / "more.npy").touch(), "holds more.npy beside train.npy"),
        (lambda folder: (folder / "valid_labels.npy").unlink(), "has labels for train only"),
        (
            lambda folder: np.save(folder / "test.npy", np.zeros((3, 2, 2), np.uint8)),
            "labels.npy is int64|images of different shapes",
        ),
        (
            lambda folder: np.save(folder / "train.npy", np.zeros((3, 2))),
            r"is float64 \[3, 2\], expected uint8 .* or vectors \[N, D\]: write it as",
        ),
        (lambda folder: (folder / "train.npy").write_bytes(b"no array"), "cannot be read"),
    ],
)
def test_strange_folders_are_refused_in_one_line(tmp_path, change, message):
    folder, _ = write(tmp_path / "arrays")
    change(folder)
    with pytest.raises(DataError, match=message) as caught:
        load(Data("images", path=str(folder)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ways", [{"levels": 8}, {"binarise": "threshold"}])
def test_values_in_files_are_not_changed(tmp_path, ways):
    folder, _ = write(tmp_path / "arrays")
    with pytest.raises(DataError, match="drop --data.levels"):
        load(Data("images", path=str(folder), **ways))


def write_records(folder, arrays, files=1):
    """The folder with the pictures of `arrays` as records, and their labels."""
    reason = "grain, which reads records, is not installed"
    records = pytest.importorskip("array_record.python.array_record_module", reason=reason)
    pytest.importorskip("grain", reason=reason)
    writer = records.ArrayRecordWriter
    folder.mkdir()
    for name, array in arrays.items():
        if name.endswith("_labels"):
            np.save(folder / f"{name}.npy", array)
            continue
        for i, part in enumerate(np.array_split(array, files)):
            number = f"-{i:05}-of-{files:05}" if files > 1 else ""
            records = writer(str(folder / f"{name}{number}.array_record"), "group_size:1")
            for image in part:
                packed = io.BytesIO()
                mode = Image.fromarray(image.astype(bool) if array.max() < 2 else image)
                mode.save(packed, "PNG")
                records.write(packed.getvalue())
            records.close()
    return folder


@pytest.mark.parametrize(
    ("levels", "shape", "files"), [(200, (6, 5), 1), (2, (6, 5), 3), (256, (4, 4, 3), 2)]
)
def test_records_are_the_same_as_arrays(tmp_path, levels, shape, files):
    plain, file = write(tmp_path / "arrays", levels, shape=shape)
    folder = write_records(tmp_path / "records", np.load(file), files)
    records, mapped = (load(Data("images", path=str(path))) for path in (folder, plain))
    assert isinstance(records.train.x, Records) and type(records.valid.x) is np.ndarray
    assert records.digest == mapped.digest
    assert (records.num_levels, records.num_classes) == (mapped.num_levels, mapped.num_classes)
    one, two = (Batches(each.train, 16, 3) for each in (records, mapped))
    for step in (0, 30):
        for ours, theirs in zip(one(step), two(step), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(first_values(records), first_values(mapped))


def test_records_that_are_held_out(tmp_path):
    _, file = write(tmp_path / "arrays", sizes={"train": 40, "test": 20})
    folder = write_records(tmp_path / "records", np.load(file))
    dataset = load(Data("images", path=str(folder), valid=4))
    np.testing.assert_array_equal(dataset.valid.x, np.load(file)["train"][-4:])
    np.testing.assert_array_equal(dataset.train.x, np.load(file)["train"][:-4])


def test_strange_records_are_refused_in_one_line(tmp_path, monkeypatch):
    _, file = write(tmp_path / "arrays", labels=False, sizes={"train": 9, "valid": 3, "test": 3})
    folder, arrays = tmp_path / "records", dict(np.load(file))
    write_records(folder, arrays, files=3)

    def refused(message):
        with pytest.raises(DataError, match=message) as caught:
            np.asarray(load(Data("images", path=str(folder))).train.x)
        assert "\n" not in str(caught.value)

    gone = folder / "train-00001-of-00003.array_record"
    kept = gone.read_bytes()
    gone.unlink()
    refused("holds 2 files of train, whose names do not number them")
    gone.write_bytes(b"no records")
    refused("is no readable array_record")
    write_records(tmp_path / "other", {"train": np.zeros((3, 2, 2), np.uint8) + 9})
    gone.write_bytes((tmp_path / "other" / "train.array_record").read_bytes())
    refused(r"record 3 of .* is \[2, 2\] L, the first is \[6, 5\] L; all must be alike")
    gone.write_bytes(kept)
    monkeypatch.setitem(sys.modules, "grain.sources", None)
    refused(r"is read by grain: pip install 'autoregressive-zoo\[grain\]'")
