"""The PyTorch twins that the bench compares with are the same networks."""

import jax
import numpy as np
import pytest

import zoo
from train import bench

MODELS = (
    zoo.PixelCNN((6, 5), features=8, blocks=2, out_features=8),
    zoo.GatedPixelCNN((6, 5), features=8, layers=2, out_features=8),
    zoo.RowLSTM((6, 5), features=4, layers=2),
    zoo.DiagonalBiLSTM((6, 5), features=4, layers=2),
    zoo.PixelTransformer((6, 5), features=8, layers=2),
)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_twins_have_the_same_likelihood(model):
    pytest.importorskip("torch", reason="PyTorch is not installed; only the bench needs it")
    bits = np.random.RandomState(0).randint(0, 2, (3, *model.site_shape)).astype(np.int32)
    variables = zoo.init(model, jax.random.key(0), bits)
    score, step = bench.torch_twin(model, variables)
    before = float(score(bits))
    np.testing.assert_allclose(before, -float(zoo.log_prob(model, variables, bits).mean()), rtol=1e-5)
    for _ in range(5):
        step(bits)
    assert float(score(bits)) < before


def test_bench_refuses_models_without_a_twin():
    with pytest.raises(ValueError, match="no PyTorch twin of 'made'; there are pixel_cnn"):
        bench.main(bench.Options(("made",)))
