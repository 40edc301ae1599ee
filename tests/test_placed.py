"""Digits at random places: what is made, when it is made again, and what is refused."""

import dataclasses
import functools

import numpy as np
import pytest

import train
import zoo
from train.data.batching import Batches
from train.data.dataset import Data, DataError, Dataset, Split, generator
from train.data.quantise import convert
from train.data.sources import placed
from train.kinds import kind_of


def digits(data):
    """Few small digits of grey levels; no two are equal, and no row or column is empty."""
    x = np.random.RandomState(0).randint(1, 256, (60, 9, 9)).astype(np.uint8)
    labels = np.arange(60, dtype=np.int32) % 10
    parts = (Split(x[part], labels[part]) for part in np.split(np.arange(60), [40, 50]))
    return Dataset(data.name, "digits", *parts, 256, 10)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(placed, "mnist_1bit", digits)
    return functools.partial(Data, canvas=20)


def find(image, digit):
    """The corners at which the digit lies in the image."""
    windows = np.lib.stride_tricks.sliding_window_view(image, digit.shape)
    return np.argwhere((windows == digit).all((2, 3))).tolist()


def test_a_digit_alone(small):
    source, made = digits(small()), train.data.load(small("translated"))
    assert made.train.x.shape == (40, 20, 20) and made.num_levels == 256 and made.num_classes == 10
    for old, new in zip(
        (source.train, source.valid, source.test), (made.train, made.valid, made.test), strict=True
    ):
        assert (old.context == new.context).all()
        corners = [find(image, digit) for image, digit in zip(new.x, old.x, strict=True)]
        assert all(len(found) == 1 for found in corners)
        assert (new.x.sum((1, 2)) == old.x.sum((1, 2))).all()  # and nothing else
    assert train.data.load(small("translated")).digest == made.digest


def test_places_are_even():
    """Each of 12 x 12 corners is as likely as any: chi-square of 14,400 digits, its mean 143."""
    x = np.ones((1, 9, 9), np.uint8)
    images = placed.place(x, np.zeros(14_400, int), 20, 0, generator(1))
    rows, columns = (images.any(axis).argmax(1) for axis in (2, 1))
    counts = np.bincount(rows * 12 + columns, minlength=144)
    assert len(counts) == 144 and 80 < ((counts - 100) ** 2 / 100).sum() < 220


def test_clutter_is_pieces_of_digits_of_the_split(small):
    source, made = digits(small()), train.data.load(small("cluttered", clutter=3))
    bare = train.data.load(small("translated"))
    assert (made.test.x > 0).sum() > 1.3 * (bare.test.x > 0).sum()
    assert "3 pieces of clutter" in made.description
    # On a large image most pieces lie apart from the digit, and are found there whole.
    images = placed.place(source.test.x, np.arange(10), 60, 1, generator(5))
    whole = 0
    for i, image in enumerate(images):
        others = np.delete(source.test.x, i, 0)
        pieces = [digit[r : r + 8, c : c + 8] for digit in others for r in (0, 1) for c in (0, 1)]
        whole += any(find(image, piece) for piece in pieces)
    assert whole >= 6


def test_training_digits_get_new_places(small):
    """In every step, as a function of the seed and the step alone; as labels and as images."""
    dataset = train.data.load(small("translated"))
    stream = kind_of(zoo.PixelCNN((20, 20))).batches(zoo.PixelCNN((20, 20)), dataset, 8, 3)
    again = Batches(dataset.train, 8, 3, redraw=dataset.redraw)
    (first, labels), (_, more) = stream(1), stream(1 + stream.steps_per_epoch)
    assert (again(1)[0] == first).all() and (again(1)[1] == labels).all()
    plain = Batches(dataset.train, 8, 3)
    assert (plain(1)[1] == labels).all() and (plain(1 + stream.steps_per_epoch)[1] == more).all()
    assert (first != plain(1)[0]).any((1, 2)).mean() > 0.5
    assert sorted(first.sum((1, 2))) == sorted(plain(1)[0].sum((1, 2)))
    assert (Batches(dataset.train, 8, 4, redraw=dataset.redraw)(1)[0] != first).any()

    model = zoo.RAM(image_shape=(20, 20))
    kind = kind_of(model)
    adopted = kind.adopted(dataset)
    x, images = kind.batches(model, adopted, 8, 3)(1)
    assert (x[:, 0] == labels).all() and (images == first).all()


@pytest.mark.parametrize("how", ["threshold", "dynamic"])
def test_binarised_digits_get_new_places_too(small, how):
    data = small("translated", binarise=how)
    dataset = train.data.load(data)
    stream = kind_of(zoo.PixelCNN((20, 20))).batches(zoo.PixelCNN((20, 20)), dataset, 8, 0)
    assert stream(0)[0].max() == 1 and dataset.test.x.max() == 1
    assert (stream(0)[0] != stream(stream.steps_per_epoch)[0]).any()
    coarse = convert(
        placed.translated(small("translated")), dataclasses.replace(data, binarise="none", levels=4)
    )
    assert Batches(coarse.train, 40, 0, redraw=coarse.redraw)(0)[0].max() == 3


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        ("translated", {"train": 10, "train_seed": 3}),
        ("cluttered", {"classes": (7, 2), "train": 4}),
    ],
)
def test_a_part_of_the_digits_gets_new_places(small, name, chosen):
    """Of the chosen digits alone, and with their own labels."""
    made = train.data.load(small(name, **chosen))
    source = digits(small()).train
    classes = chosen.get("classes", tuple(range(10)))
    assert len(made.train.x) == chosen["train"] and made.num_classes == len(classes)
    batches = Batches(made.train, chosen["train"], 0, redraw=made.redraw)
    x, labels = batches(0)
    where = np.concatenate([find_any(image, source.x) for image in made.train.x])
    assert len(where) == len(made.train.x)  # each image holds one whole digit of the source
    for image, label in zip(x, labels, strict=True):
        (index,) = find_any(image, source.x)
        assert index in where and source.context[index] == classes[label]
    assert sorted(np.bincount(labels)) == [len(labels) // len(classes)] * len(classes)


def find_any(image, digits):
    """Which digits lie in the image whole; clutter may cover an image's digit."""
    windows = np.lib.stride_tricks.sliding_window_view(image, digits.shape[1:])
    return [i for i, digit in enumerate(digits) if (windows >= digit).all((2, 3)).any()]


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("translated", {"canvas": 8}, "--data.canvas must be from 9, the side of a digit, to 1024"),
        ("translated", {"canvas": 5_000}, "to 1024 pixels; got 5000"),
        ("cluttered", {"clutter": 0}, "--data.clutter must be at least 1; got 0"),
    ],
)
def test_refusals(small, name, fields, words):
    with pytest.raises(DataError) as refused:
        train.data.load(small(name, **fields))
    assert words in str(refused.value) and "\n" not in str(refused.value)


def test_embedded_digits():
    """28 x 28 digits on 60 x 60 pixels, a prefix of the test split."""
    source = train.data.load(Data())
    images = placed.place(source.test.x, np.arange(50), 60, 0, generator(2, 0))
    assert images.shape == (50, 60, 60)
    assert (images.sum((1, 2)) == source.test.x[:50].sum((1, 2))).all()
