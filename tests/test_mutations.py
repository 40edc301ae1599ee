"""Training data of a background model: a share of the values is replaced at random."""

import numpy as np
import pytest
from refusals import assert_refused

from train.data import Data
from train.data.batching import Batches
from train.kinds import load


@pytest.mark.parametrize(
    ("name", "rate", "share"),
    [("digits", 0.4, 0.4 * 16 / 17), ("mnist_1bit", 0.2, 0.1), ("wine", 0.3, 0.3)],
)
def test_a_share_of_the_values_is_replaced(name, rate, share):
    plain, mutated = load(Data(name)), load(Data(name, mutate=rate))
    found = (plain.valid.x != mutated.valid.x).mean()
    error = 4 * np.sqrt(share * (1 - share) / plain.valid.x.size) + 0.02  # equal values of a table
    assert abs(found - share) < error
    np.testing.assert_array_equal(plain.test.x, mutated.test.x)
    assert mutated.train.x.dtype == plain.train.x.dtype and "mutated" in mutated.description
    first, again, other = (
        Batches(mutated.train, 20, 0, redraw=mutated.redraw)(i)[0] for i in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)  # a function of the step
    assert (first[:, None] != other[None]).reshape(20, 20, -1).any(-1).all()


def test_values_of_a_table_stay_in_their_column():
    plain, mutated = load(Data("wine")), load(Data("wine", mutate=1.0))
    for column, values in zip(plain.train.x.T, mutated.valid.x.T, strict=True):
        assert np.isin(values, column).all()


def test_lines_are_mutated_once():
    plain, mutated = load(Data("tones")), load(Data("tones", mutate=0.5))
    assert mutated.redraw is None
    share = np.mean([(a != b).mean() for a, b in zip(plain.train.x, mutated.train.x, strict=True)])
    assert 0.45 < share <= 0.5
    text, noisy = load(Data("python_docs")), load(Data("python_docs", mutate=0.1))
    assert abs((text.train.x != noisy.train.x).mean() - 0.1) < 0.005
    assert noisy.vocabulary == text.vocabulary and (text.test.x == noisy.test.x).all()


def test_refusals():
    assert_refused(Data("digits", mutate=1.5), "--data.mutate", "0..1", "1.5")
    assert_refused(Data("digits", mutate=-0.1), "--data.mutate", "-0.1")
    assert_refused(Data("dates", mutate=0.1), "--data.mutate is not for dates")


def test_one_class_of_a_table():
    whole, one = load(Data("breast_cancer")), load(Data("breast_cancer", classes=(1,)))
    other = load(Data("breast_cancer", classes=(0,)))
    counts = [len(split.x) for split in (one.train, other.train, whole.train)]
    assert counts[0] + counts[1] == counts[2] and counts[0] > counts[1]
    assert one.class_names == ("benign",) and whole.train.context is None
    assert_refused(Data("diabetes", classes=(0,)), "diabetes has no label for each example")
