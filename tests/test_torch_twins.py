"""The PyTorch twins that the bench compares with are the same networks."""

import jax
import numpy as np
import pytest

import zoo
from benchmarks import training

MODELS = (
    zoo.PixelCNN((6, 5), features=8, blocks=2, out_features=8),
    zoo.GatedPixelCNN((6, 5), features=8, layers=2, out_features=8),
    zoo.RowLSTM((6, 5), features=4, layers=2),
    zoo.DiagonalBiLSTM((6, 5), features=4, layers=2),
    zoo.PixelTransformer((6, 5), features=8, layers=2),
    zoo.PixelTransformer((6, 5), features=8, layers=2, attention="strided", kernel_size=5),
    zoo.LSTM((7,), features=8, layers=2, head=zoo.Categorical(5)),
    zoo.LSTM((7,), features=8, layers=1, embedding=4, head=zoo.Categorical(5)),
    zoo.Transformer((7,), 8, 2, heads=2, window=7, dropout=0.0, head=zoo.Categorical(5)),
    zoo.Transformer((9,), 8, 2, heads=2, window=4, dropout=0.0, head=zoo.Categorical(5)),
)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_twins_have_the_same_likelihood(model):
    pytest.importorskip("torch", reason="PyTorch is not installed; only the bench needs it")
    from benchmarks.torch_twins.twins import twin

    x = np.asarray(zoo.example(model, 3)[0])
    variables = zoo.init(model, jax.random.key(0), x)
    theirs = twin(model, variables)
    before = float(theirs.score(x))
    np.testing.assert_allclose(before, -float(zoo.log_prob(model, variables, x).mean()), rtol=1e-5)
    step = theirs.training()
    for _ in range(5):
        step(x)
    assert float(theirs.score(x)) < before


@pytest.mark.parametrize(
    "model", [m for m in MODELS if isinstance(m, zoo.Sequence)], ids=lambda m: type(m).__name__
)
def test_twins_draw_with_their_cache(model):
    """What a twin draws token by token has the likelihood of one pass: else its cache would be
    another
      network.
    """
    torch = pytest.importorskip("torch", reason="PyTorch is not installed; only the bench needs it")
    from benchmarks.torch_twins.twins import twin

    x = np.asarray(zoo.example(model, 3)[0])
    theirs = twin(model, zoo.init(model, jax.random.key(0), x))
    drawn = theirs.draw(4).clone()
    assert drawn.shape == (4, model.num_sites) and set(drawn.unique().tolist()) <= set(
        range(model.start)
    )
    before, cache, stepped = torch.full((4, 1), model.start), None, []
    for t in range(model.num_sites):
        logits, cache = theirs.module(before, cache)
        stepped.append(logits[:, 0])
        before = drawn[:, t : t + 1]
    whole, _ = theirs.module(torch.nn.functional.pad(drawn[:, :-1], (1, 0), value=model.start))
    np.testing.assert_allclose(
        torch.stack(stepped, 1).detach(), whole.detach(), rtol=1e-4, atol=1e-5
    )


def test_bench_refuses_models_without_a_twin():
    with pytest.raises(ValueError, match="'made' has no PyTorch twin; choose from pixel_cnn"):
        training.main(training.Options(("made",)))
