"""The pixel family beyond its tiny instances: colour, odd and non-square shapes, labels, other
kernels.
"""

import conformance
import jax
import numpy as np
import pytest

import sample
import zoo
from benchmarks.receptive_fields import random_variables, receptive_field
from zoo.images.raster import Raster

BITS = zoo.Categorical(2)
VARIANTS = {
    "PixelCNN, colour": (
        zoo.PixelCNN((2, 2, 3), features=12, blocks=2, out_features=24, head=BITS),
        0,
    ),
    "PixelCNN, 5 columns": (zoo.PixelCNN((2, 5), features=8, blocks=2, out_features=16), 1),
    "PixelCNN, 5 rows, kernel 5": (
        zoo.PixelCNN((5, 2), features=8, blocks=1, kernel_size=5, out_features=16),
        0,
    ),
    "Gated, colour": (
        zoo.GatedPixelCNN((2, 2, 3), features=18, layers=2, out_features=36, head=BITS),
        0,
    ),
    "Gated, 5 columns": (zoo.GatedPixelCNN((2, 5), features=8, layers=3, out_features=16), 0),
    "Gated, 5 rows, kernel 5": (
        zoo.GatedPixelCNN((5, 2), features=8, layers=2, kernel_size=5, out_features=16),
        0,
    ),
    "Row LSTM, colour": (
        zoo.RowLSTM((2, 2, 3), features=6, layers=2, out_features=12, head=BITS),
        0,
    ),
    "Row LSTM, 5 columns, kernel 5": (
        zoo.RowLSTM((2, 5), features=6, layers=2, kernel_size=5, out_features=16),
        1,
    ),
    "Row LSTM, 5 rows": (zoo.RowLSTM((5, 2), features=6, layers=2, out_features=16), 0),
    "Diagonal, colour": (
        zoo.DiagonalBiLSTM((2, 2, 3), features=6, layers=2, out_features=12, head=BITS),
        0,
    ),
    "Diagonal, 5 columns": (zoo.DiagonalBiLSTM((2, 5), features=6, layers=2, out_features=16), 0),
    "Diagonal, 5 rows": (zoo.DiagonalBiLSTM((5, 2), features=6, layers=2, out_features=16), 0),
    "Diagonal, one row": (zoo.DiagonalBiLSTM((1, 6), features=6, layers=2, out_features=16), 0),
    "Transformer, colour": (zoo.PixelTransformer((2, 2, 3), features=6, layers=1, head=BITS), 0),
    "Transformer, 5 columns": (zoo.PixelTransformer((2, 5), features=6, layers=2), 0),
    "Transformer, strided, colour": (
        zoo.PixelTransformer((2, 2, 3), features=6, layers=2, attention="strided", head=BITS),
        0,
    ),
    "Transformer, strided, 5 columns": (
        zoo.PixelTransformer((2, 5), features=6, layers=2, attention="strided"),
        0,
    ),
    "Transformer, strided, 5 rows": (
        zoo.PixelTransformer((5, 2), features=6, layers=2, attention="strided"),
        0,
    ),
    "Gated, one row": (zoo.GatedPixelCNN((1, 6), features=8, layers=2, out_features=16), 0),
    "PixelCNN++, colour": (
        zoo.PixelCNNpp((2, 1), 5, 1, 2, head=zoo.DiscretizedLogisticMixture(2, 3, 3)),
        0,
    ),
    "PixelCNN++, colour, one row": (
        zoo.PixelCNNpp((1, 3), 5, 1, 2, head=zoo.DiscretizedLogisticMixture(2, 2, 3)),
        0,
    ),
    "PixelCNN++, 3 resolutions, 5 rows": (zoo.PixelCNNpp((5, 2), 4, 1), 0),
    "PixelCNN++, 1 resolution": (zoo.PixelCNNpp((2, 3), 4, 2, 1, head=zoo.Categorical(3)), 0),
}
WIDER = {
    "5x3": zoo.PixelCNNpp((5, 3), 4, 1, head=zoo.DiscretizedLogisticMixture(2, 256, 3)),
    "4x7": zoo.PixelCNNpp((4, 7), 4, 1, num_classes=2),
}
PIXEL_MODELS = [name for name, entry in zoo.CATALOGUE.items() if isinstance(entry.paper, Raster)]
CHECKS = (conformance.check_normalised, conformance.check_causal, conformance.check_alive)


@pytest.mark.parametrize(
    "name", [name for name in VARIANTS if name.endswith((", colour", "one row"))]
)
def test_colours_step_as_a_whole(name):
    model, blind = VARIANTS[name]
    assert conformance.check_step(zoo.Entry(model, model, blind)) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize(
    "check",
    (*CHECKS, conformance.check_step),
    ids=lambda check: check.__name__.removeprefix("check_"),
)
def test_variants_conform(name, check):
    model, blind = VARIANTS[name]
    assert check(zoo.Entry(model, model, blind)) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", WIDER)
@pytest.mark.parametrize(
    "check",
    (*CHECKS[1:], conformance.check_step),
    ids=lambda check: check.__name__.removeprefix("check_"),
)
def test_odd_sizes_conform_at_all_resolutions(name, check):
    assert check(zoo.Entry(WIDER[name], WIDER[name], example=zoo.catalogue.labelled)) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in VARIANTS if "colour" in name])
def test_colours_are_drawn_one_after_the_other(name):
    model, _ = VARIANTS[name]
    variables = conformance.variables_of(model)
    cached = sample.draw(model, variables, jax.random.key(0), 40)
    assert (
        cached.x == sample.draw(model, variables, jax.random.key(0), 40, engine="recompute").x
    ).all()
    np.testing.assert_allclose(cached.log_prob, zoo.log_prob(model, variables, cached.x), rtol=1e-4)


@pytest.mark.slow
def test_pixel_cnn_has_the_blind_spot_that_gated_lacks():
    """Pixels up and far to the right are lost on PixelCNN with small kernels; Gated PixelCNN sees
    all before it.
    """
    shape, pixel = (6, 9), (5, 2)
    plain = zoo.PixelCNN(shape, features=8, blocks=5, out_features=8)
    gated = zoo.GatedPixelCNN(shape, features=8, layers=4, out_features=8)
    seen = [receptive_field(model, random_variables(model), pixel) > 0 for model in (plain, gated)]
    row, column = np.indices(shape)
    before = (row < pixel[0]) | ((row == pixel[0]) & (column < pixel[1]))
    # The first layer reaches three pixels to the right on any row above, every further row that
    # lies between one more.
    blind = before & (column - pixel[1] > 2 + pixel[0] - row)
    assert blind.sum() == 6 and (seen[0] == before & ~blind).all()
    assert (seen[1] == before).all()


@pytest.mark.parametrize(
    "model",
    [
        zoo.GatedPixelCNN((5, 12), features=8, layers=8, out_features=8),
        zoo.DiagonalBiLSTM((5, 12), features=8, layers=1, out_features=8),
        pytest.param(zoo.PixelTransformer((5, 12), features=8, layers=1), marks=pytest.mark.slow),
        pytest.param(
            zoo.PixelTransformer((5, 12), features=8, layers=2, attention="strided"),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["gated", "diagonal", "transformer", "strided"],
)
def test_nothing_before_is_blind_in_a_wide_image(model):
    seen = receptive_field(model, random_variables(model), (4, 1)) > 0
    assert seen.ravel()[: 4 * 12 + 1].all() and not seen.ravel()[4 * 12 + 1 :].any()


@pytest.mark.parametrize("name", PIXEL_MODELS)
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "expected integer labels 0..2, shape .batch.; got none"),
        (np.array([0, 3]), "got values from 0 to 3"),
        (np.array([-1, 0]), "got values from -1 to 0"),
        (np.array([0.0, 1.0]), "got float64 of shape .2."),
        (np.zeros((2, 1), int), "got int64 of shape .2, 1."),
    ],
)
def test_labels_out_of_range_are_refused(name, labels, message):
    model = zoo.CATALOGUE[name].tiny
    variables = conformance.variables_of(model)
    with pytest.raises(ValueError, match=message):
        zoo.log_prob(model, variables, np.zeros((2, *model.site_shape), int), labels)
    with pytest.raises(ValueError, match=message):
        sample.draw(model, variables, jax.random.key(0), 2, context=labels)


@pytest.mark.parametrize("name", PIXEL_MODELS)
def test_other_orderings_are_refused(name):
    model = type(zoo.CATALOGUE[name].paper)((2, 2), ordering=zoo.Ordering("snake"))
    with pytest.raises(ValueError, match="knows the raster only"):
        zoo.init(model, jax.random.key(0), np.zeros((1, 2, 2), int))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (zoo.PixelCNN((2, 2, 3)), "3 colours need as many channels each"),
        (
            zoo.GatedPixelCNN((2, 2, 3), features=6),
            "3 colours need as many channels each: 6 and 64",
        ),
        (zoo.PixelCNN((2, 2), kernel_size=2), "odd sizes"),
        (zoo.PixelCNN((4,)), "needs a site_shape"),
        (zoo.GatedPixelCNN((4,)), "needs a site_shape"),
        (zoo.PixelCNNpp((4,)), "needs a site_shape"),
        (zoo.PixelCNN((2, 2), kernel_size=-1), "kernel_size of at least 1; got -1"),
        (zoo.PixelCNN((0, 3)), "sizes from 1; got .0, 3."),
        (zoo.PixelCNN((2, 2), features=0), "features of at least 1; got 0"),
        (zoo.PixelCNN((2, 2), num_classes=-1), "num_classes of at least 0; got -1"),
        (zoo.PixelCNNpp((2, 2), scales=0), "scales of at least 1; got 0"),
        (zoo.PixelTransformer((2, 2), heads=-2), "heads of at least 1; got -2"),
        (zoo.PixelTransformer((2, 2), dropout=1.5), "dropout in .0, 1.; got 1.5"),
        (zoo.RowLSTM((2, 2, 2)), "needs a site_shape .height, width. or .height, width, 3."),
        (zoo.PixelCNNpp((2, 2, 3)), "site_shape must be .height, width.; got .2, 2, 3."),
    ],
)
def test_configurations_that_cannot_be_are_refused(model, message):
    with pytest.raises(ValueError, match=message):
        zoo.init(model, jax.random.key(0), np.zeros((1, *model.site_shape), int))


def test_a_head_of_whole_pixels_needs_a_model_of_whole_pixels():
    model = zoo.RowLSTM((2, 2), head=zoo.DiscretizedLogisticMixture(2, 4, 3))
    with pytest.raises(ValueError, match="takes scalars, a site for each colour"):
        zoo.init(model, jax.random.key(0), np.zeros((1, 2, 2, 3), int))


def test_a_convolution_that_sees_nothing_has_finite_weights():
    model = zoo.PixelTransformer((3, 2), features=4, layers=1, kernel_size=1)
    variables = zoo.init(model, jax.random.key(0), np.zeros((1, 3, 2), int))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(variables))
