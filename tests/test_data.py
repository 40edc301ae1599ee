import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from refusals import assert_refused

from train.data import Batches, Data, DataError, Split, batches
from train.data.dataset import bernoulli, generator
from train.kinds import data_names, load


def test_mnist_1bit():
    dataset = load(Data())
    assert dataset.description == "MNIST, 1 bit a pixel (fixed seeded draw), test split of 10,000"
    assert (dataset.num_levels, dataset.num_classes, dataset.dynamic) == (2, 10, False)
    for split, n in ((dataset.train, 55000), (dataset.valid, 5000), (dataset.test, 10000)):
        assert split.x.shape == (n, 28, 28) and split.x.dtype == np.uint8 and split.x.max() == 1
        assert split.context.shape == (n,) and split.context.dtype == np.int32
    assert abs(dataset.train.x.mean() - 0.1307) < 1e-3  # the mean grey value of MNIST
    assert np.bincount(dataset.test.context).tolist() == [
        980,
        1135,
        1032,
        1010,
        982,
        892,
        958,
        1028,
        974,
        1009,
    ]
    assert dataset.train.context[:5].tolist() == [5, 0, 4, 1, 9]
    assert len(load(Data(valid=100)).train.x) == 59900


def test_digits():
    dataset = load(Data("digits"))
    assert dataset.description == "scikit-learn digits 8x8, 17 levels, test split of 250"
    assert [len(s.x) for s in (dataset.train, dataset.valid, dataset.test)] == [1297, 250, 250]
    assert (
        dataset.num_levels == 17
        and dataset.train.x.max() == 16
        and dataset.train.x.shape[1:] == (8, 8)
    )
    assert set(dataset.test.context) == set(range(10))


def test_nothing_heavy_is_imported():
    code = """
import sys, train.data
train.data.load(train.data.Data())
assert not {"tensorflow", "tensorflow_datasets", "sklearn", "PIL"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])


def test_names():
    assert data_names()[0] == Data().name
    assert_refused(Data("mnits"), "'mnits'", "did you mean mnist", "cifar10")
    assert_refused(Data("images"), "--data.path")
    assert_refused(Data(valid=60000), "--data.valid between 1 and 59999")


@pytest.mark.parametrize(
    "module, name", [("sklearn.datasets", "digits"), ("tensorflow_datasets", "mnist")]
)
def test_missing_extra(monkeypatch, tmp_path, module, name):
    monkeypatch.setitem(sys.modules, module, None)
    assert_refused(Data(name, data_dir=str(tmp_path)), "pip install 'autoregressive-zoo[data]'")


# Values


def test_levels():
    dataset = load(Data("digits", levels=4))
    np.testing.assert_array_equal(dataset.test.x, load(Data("digits")).test.x.astype(int) * 4 // 17)
    assert dataset.num_levels == 4 and "17 levels requantised to 4" in dataset.description
    assert_refused(Data("digits", levels=18), "2..17")
    assert_refused(Data("digits", levels=1), "2..17")
    assert_refused(Data(levels=4), "2 levels")


def test_binarise():
    grey = load(Data("digits"))
    threshold = load(Data("digits", binarise="threshold"))
    np.testing.assert_array_equal(threshold.train.x, grey.train.x >= 8)
    assert (
        threshold.num_levels == 2
        and not threshold.dynamic
        and "grey > 127" in threshold.description
    )
    dynamic = load(Data("digits", binarise="dynamic"))
    np.testing.assert_array_equal(dynamic.test.x, load(Data("digits", binarise="dynamic")).test.x)
    assert (
        dynamic.dynamic
        and dynamic.num_levels == 2
        and "dynamic binarisation" in dynamic.description
    )
    assert dynamic.train.x.max() == 255 and dynamic.valid.x.max() == dynamic.test.x.max() == 1
    assert abs(dynamic.test.x.mean() - grey.test.x.mean() / 16) < 0.01
    assert_refused(Data(binarise="dynamic"), "2 levels already")
    assert_refused(Data("digits", binarise="dynamic", levels=4), "exclude each other")


def test_bernoulli_is_exact_at_the_ends():
    grey = np.repeat(np.array([0, 51, 255], np.uint8), 20000).reshape(3, -1)
    assert np.abs(bernoulli(generator(0), grey).mean(1) - [0, 0.2, 1]).max() < 0.01
    assert bernoulli(generator(0), grey)[[0, 2]].tolist() == [[0] * 20000, [1] * 20000]


# Batches


def numbered(n=103):
    return Split(np.arange(n, dtype=np.uint8)[:, None, None], np.arange(n, dtype=np.int32))


def test_epochs_are_permutations():
    stream = Batches(numbered(), 10, seed=3)
    assert stream.steps_per_epoch == 10
    epochs = [np.concatenate([stream(10 * e + i)[1] for i in range(10)]) for e in range(3)]
    for epoch in epochs:
        assert len(set(epoch)) == 100
    assert not np.array_equal(epochs[0], epochs[1])
    assert not np.array_equal(stream(0)[1], Batches(numbered(), 10, seed=4)(0)[1])


@pytest.mark.parametrize("dynamic", [False, True])
def test_a_batch_is_a_function_of_the_step(dynamic):
    stream = Batches(numbered(), 10, 3, dynamic)
    in_order = [stream(step) for step in range(30)]
    for step in (29, 0, 13):  # a stream made anew, and one that went on
        for other in (stream, Batches(numbered(), 10, 3, dynamic)):
            np.testing.assert_array_equal(other(step)[0], in_order[step][0])
            np.testing.assert_array_equal(other(step)[1], in_order[step][1])


def test_dynamic_noise_differs_between_steps_and_seeds():
    grey = Split(np.full((8, 20, 20), 127, np.uint8), None)
    first, context = Batches(grey, 8, 0, dynamic=True)(0)
    assert context is None and first.max() == 1 and 0.4 < first.mean() < 0.6
    assert (first != Batches(grey, 8, 0, dynamic=True)(1)[0]).mean() > 0.4
    assert (first != Batches(grey, 8, 1, dynamic=True)(0)[0]).mean() > 0.4


def test_batch_too_big():
    with pytest.raises(DataError, match="a batch of 104 cannot be taken from 103"):
        Batches(numbered(), 104, 0)


def test_evaluation_batches():
    parts = list(batches(numbered(), 50))
    assert [len(part.x) for part in parts] == [50, 50, 3]
    np.testing.assert_array_equal(np.concatenate([part.context for part in parts]), np.arange(103))
    assert next(batches(Split(numbered().x, None), 2)).context is None
