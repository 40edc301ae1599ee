"""Wrong calls and what each must say, run as a program: without the type checker of the tests, as a
user's process is.
"""

import json
import time

import conformance
import jax
import numpy as np
from flax.core import freeze

import sample
import zoo
from train.data import Data, load
from train.recipe.recipe import Recipe
from zoo.foundation.limits import check_memory

KEY = jax.random.key(0)
MODEL = zoo.MADE((2, 3), (4,))
X = np.zeros((2, 2, 3), np.int32)
HUGE = jax.ShapeDtypeStruct((2**30, 2**20), np.float32)
WRITER = zoo.GRU((8,), 4, 1, head=zoo.Categorical(5), vocabulary=tuple("abcde"))
TRANSLATOR = zoo.CATALOGUE["seq2seq"].tiny.clone(
    vocabulary=("<pad>", "<end>", "<unk>", "a"),
    source_vocabulary=("<pad>", "<end>", "<unk>", *"abc"),
    end=1,
    pad=0,
)


def variables():
    return conformance.variables_of(MODEL)


def other_variables():
    return conformance.variables_of(zoo.MADE((2, 3), (5,)))


FIELDS = [
    (
        lambda: zoo.MADE((4, 4), hidden=500),
        r"MADE: hidden must be a tuple of whole numbers; got 500 .*Pass \(500,\)",
    ),
    (lambda: zoo.MADE(hidden="x"), "hidden must be a tuple of whole numbers; got 'x'"),
    (lambda: zoo.MADE(hidden=(2.5,)), "hidden must be a tuple of whole numbers"),
    (lambda: zoo.NADE(hidden=500.0), "NADE: hidden must be a whole number; got 500.0 .*Pass 500"),
    (lambda: zoo.NADE(hidden=True), "hidden must be a whole number; got True"),
    (lambda: zoo.MADE(direct=1), "direct must be True or False; got 1"),
    (
        lambda: zoo.MADE(head=None),
        r"head must be a head; got None. Pass one such as zoo.Bernoulli\(\)",
    ),
    (lambda: zoo.MADE(head=zoo.Bernoulli), r"Pass an instance, Bernoulli\(...\), not the class"),
    (
        lambda: zoo.MADE(ordering="snake"),
        r'ordering must be an Ordering; got \'snake\'. Pass zoo.Ordering\("snake"\)',
    ),
    (lambda: zoo.Ordering("snke"), "unknown scan 'snke'; there are raster, .*Did you mean 'snake'"),
    (
        lambda: zoo.Ordering(permutation="0 1"),
        "permutation must be a tuple of whole numbers or None; got '0 1'",
    ),
    (lambda: zoo.Transformer(dropout="0.1"), "Transformer: dropout must be a number; got '0.1'"),
    (lambda: zoo.RNN(vocabulary="abc"), "vocabulary must be a tuple of strings; got 'abc'"),
    (lambda: zoo.Categorical(2.5), "Categorical: num_classes must be a whole number; got 2.5"),
    (lambda: zoo.MixtureOfGaussians(3, "x"), "min_scale must be a number; got 'x'"),
    (lambda: sample.Tempered(top_k=2.5), "top_k must be a whole number or None; got 2.5"),
    (
        lambda: Recipe(model=zoo.MADE),
        r"model must be a model; got MADE. Pass an instance, MADE\(...\)",
    ),
    (lambda: Recipe(zoo.MADE(), steps=2.5), "Recipe: steps must be a whole number; got 2.5"),
    (lambda: Data("mnist_1bit", valid="x"), "Data: valid must be a whole number; got 'x'"),
]
SIZES = [
    (
        lambda: zoo.MADE(hidden=(10**9,)),
        r"hidden=\(1000000000,\) is too large \(--model.hidden\); the limit is 16,777,216",
    ),
    (lambda: zoo.MADE(num_masks=10**9), r"\(--model.num-masks\); the limit is 4,096"),
    (lambda: zoo.Categorical(10**9), r"num_classes=1000000000 is too large \(--model.head\)"),
    (lambda: zoo.LSTM(layers=10_000), "it makes 10,000 layers, the limit is 256"),
    (lambda: zoo.WaveNet(dilations=(1,) * 100, cycles=100), "it makes 10,000 layers"),
    (lambda: zoo.MADE((5_000, 5_000)), r"site_shape=\(5000, 5000\) is too large"),
    (
        lambda: zoo.init(zoo.MADE((99, 99), (10**7,)), KEY, np.zeros((1, 99, 99), int)),
        "GiB.*memory .*--model.hidden",
    ),
    (
        lambda: check_memory(zoo.MADE((99, 99)), HUGE, "it"),
        r"site_shape=\(99, 99\) \(--model.site-shape, of your own images --data.size",
    ),
    (
        lambda: sample.draw(MODEL, variables(), KEY, 2**31 - 1),
        "2147483647 draws of it would take .* GiB",
    ),
]
CALLS = [
    (
        lambda: zoo.log_prob("made", {}, X),
        "model must be a model; got 'made'. Pass a model such as zoo.MADE",
    ),
    (lambda: zoo.log_prob((MODEL, {}), {}, X), "Pass the two parts of the pair one by one"),
    (
        lambda: zoo.log_prob(MODEL, None, X),
        "variables must be a dict, as zoo.init and zoo.load return it; got None",
    ),
    (
        lambda: zoo.log_prob(MODEL, variables()["params"], X),
        "lack the outermost level; pass all that zoo.init returns",
    ),
    (
        lambda: zoo.log_prob(MODEL, other_variables(), X),
        "not the variables of this MADE: array .* has shape",
    ),
    (lambda: zoo.log_prob(MODEL, {"params": {}}, X), "array 'params/bias_0' is missing"),
    (
        lambda: zoo.log_prob(MODEL, variables(), X.tolist()),
        r"x must be an array .*Convert it: np.asarray\(x\)",
    ),
    (
        lambda: zoo.log_prob(MODEL, variables(), X, train="no"),
        "train must be True or False; got 'no'",
    ),
    (
        lambda: zoo.init(MODEL, 3, X),
        r"key must be one jax.random.key\(seed\); got 3 .*Pass jax.random.key\(3\)",
    ),
    (lambda: zoo.init(MODEL, jax.random.split(KEY), X), "key must be one jax.random.key"),
    (lambda: zoo.example(MODEL, True), "batch must be a whole number; got True"),
    (
        lambda: zoo.decoder(MODEL, variables(), 0),
        "batch must be a whole number of at least 1; got 0",
    ),
    (lambda: zoo.load(None), "zoo.load: path must be a string or a path; got None"),
    (
        lambda: zoo.open(3),
        r"expected a checkpoint, a run's folder, .* or a pair \(model, variables\); got 3",
    ),
    (lambda: zoo.quantise([0.5, np.nan]), "a wave must hold finite numbers"),
    (lambda: zoo.dequantise([300]), r"levels must be whole numbers 0..255; got some from 300"),
    (lambda: sample.draw(MODEL, variables(), KEY, True), "num must be a whole number; got True"),
    (lambda: sample.draw(MODEL, other_variables(), KEY, 1), "not the variables of this MADE"),
    (
        lambda: sample.draw(MODEL, variables(), KEY, 1, tempered=0.5),
        "tempered must be a Tempered or None; got 0.5",
    ),
    (
        lambda: sample.draw(MODEL, variables(), KEY, 1, prefix=[[0, 1], [1]]),
        "prefix must be an array of numbers",
    ),
    (
        lambda: sample.text((WRITER, conformance.variables_of(WRITER)), prompt=3),
        "prompt must be a list of strings; got 3",
    ),
    (lambda: sample.text(WRITER), r"or a pair \(model, variables\); got a GRU"),
    (lambda: sample.text((WRITER, variables())), "not the variables of this GRU"),
    (
        lambda: sample.translate((TRANSLATOR, conformance.variables_of(TRANSLATOR)), None),
        "list of strings; got None",
    ),
    (
        lambda: sample.search(WRITER, conformance.variables_of(WRITER), beam=2.5),
        "beam must be a whole number; got 2.5",
    ),
    (lambda: sample.images((MODEL, variables()), num="4"), "num must be a whole number; got '4'"),
    (lambda: sample.as_images(MODEL, X[0]), r"x must have shape \[num, 2, 3\]; got \[2, 3\]"),
    (
        lambda: sample.grid(np.zeros((2, 3))),
        r"images must hold uint8 of shape \[num, height, width\]",
    ),
    (
        lambda: load("digits"),
        r'data must be a Data; got \'digits\'. Pass one such as Data\("mnist_1bit"\)',
    ),
]
ALL = [*FIELDS, *SIZES, *CALLS]


def outcome(call):
    """(type of the error, its message, seconds)."""
    began = time.monotonic()
    try:
        call()
    except Exception as error:
        return type(error).__name__, str(error), time.monotonic() - began
    return "none", "", time.monotonic() - began


def check_conversions():
    ours = zoo.MADE(
        [6, np.int64(6)],
        hidden=np.array([4, 5]),
        ordering=zoo.Ordering(permutation=list(range(36))),
    )
    plain = zoo.MADE((6, 6), (4, 5), ordering=zoo.Ordering(permutation=tuple(range(36))))
    assert ours == plain and hash(ours) == hash(plain) and type(ours.site_shape[1]) is int
    assert json.dumps(zoo.to_config(ours)) == json.dumps(zoo.to_config(plain))
    assert zoo.from_config(zoo.to_config(ours)) == ours
    table = zoo.Standardised(zoo.RNADE([2], 3), [0, np.float32(1)], np.ones(2))
    for same in (
        freeze(variables()),
        jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables()),
    ):
        np.testing.assert_array_equal(
            zoo.log_prob(MODEL, same, X), zoo.log_prob(MODEL, variables(), X)
        )
    assert table == zoo.Standardised(zoo.RNADE((2,), 3), (0.0, 1.0), (1.0, 1.0)) and hash(table)


if __name__ == "__main__":
    check_conversions()
    print(json.dumps([outcome(call) for call, _ in ALL]))
