"""Updates in less memory: the batch in parts, activations again, weights in pieces."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_parallel import assert_same
from test_resume import interrupt_at
from test_training import noisy_copies, run_steps, tiny

import zoo
from train.__main__ import main
from train.engine.devices import fetched, pieces
from train.engine.step import initial_state, make_update
from train.recipe.recipe import Recipe
from train.update.gradient import gradient
from train.update.recompute import recomputing


def assert_same_training(recipe, other, x, devices, steps=3):
    ours, by_ours = run_steps(recipe, steps, x, devices)
    theirs, by_theirs = run_steps(other, steps, x, devices)
    assert_same(by_ours, by_theirs)
    assert_same(ours, theirs)


@pytest.mark.parametrize(
    ("ways", "devices"),
    [
        ({"accumulate": 4}, 1),
        ({"accumulate": 4, "parallel": "pmap"}, 4),
        ({"accumulate": 2, "remat": True, "shard": "fsdp"}, 4),
    ],
)
def test_an_update_is_that_of_the_whole_batch(ways, devices):
    x = noisy_copies(16)
    plain, other = tiny("nade", batch_size=16), tiny("nade", batch_size=16, **ways)
    assert_same_training(other, plain, x, jax.devices()[:devices])


@pytest.mark.slow
@pytest.mark.parametrize("ways", [{"accumulate": 2}, {"remat": True}, {"shard": "fsdp"}])
@pytest.mark.parametrize("parallel", ["jit", "pmap"])
@pytest.mark.parametrize("name", ["lstm", "transformer", "seq2seq_attention", "gan", "pixel_cnn"])
def test_every_kind_of_model(name, parallel, ways):
    """Streams with a carry, texts of several lengths, players, and convolutions."""
    if ways == {"shard": "fsdp"} and parallel == "pmap":
        return
    if name == "gan" and "accumulate" in ways:
        return  # each part draws fakes of its own
    model = zoo.entry(name).tiny
    if hasattr(model, "dropout"):  # noise, of which each part draws its own
        model = model.clone(dropout=0.0)
    plain = Recipe(model, steps=20, batch_size=8, parallel=parallel, ema=0.9)
    batch = zoo.entry(name).example(model, 8)
    if model.streams:
        batch = (batch[0], np.arange(8) % 3 == 0)
    results = []
    for recipe in (plain, dataclasses.replace(plain, **ways)):
        update = make_update(recipe, jax.devices()[:2])
        state = update.place(initial_state(recipe, *batch))
        for _ in range(2):
            state, metrics = update.step(state, *jax.tree.map(np.asarray, batch))
        results.append(jax.tree.map(np.asarray, (update.fetch(state), tuple(metrics))))
    assert_same(*results)


def test_parts_draw_their_own_noise():
    """EoNADE draws orderings: in parts it draws others, and the seed alone decides which."""
    x = noisy_copies(16)
    plain, parts = (tiny("eonade", batch_size=16, accumulate=count) for count in (1, 2))
    (_, one), (_, two), (_, again) = (run_steps(each, 1, x) for each in (plain, parts, parts))
    assert one != two and two == again


def test_a_gradient_by_pieces_is_the_same_and_needs_less_memory():
    """Layers with noise in which a key is given, a loop, and results beside the loss."""

    def loss(weights, x, key):
        for i, kernel in enumerate(weights):
            h = jnp.tanh(x @ kernel)
            kept = jax.random.bernoulli(jax.random.fold_in(key, i), 0.5, h.shape)
            x = x + jnp.where(kept, h, 0) @ kernel.T
        body = lambda state, t: (jnp.tanh(state @ weights[0] + t), state.sum())  # noqa: E731
        state, sums = jax.lax.scan(body, x[:, :1] * weights[0][:1], jnp.arange(3.0))
        return (x**2).mean() + sums.sum() + state.sum(), kept

    weights, x = jax.random.normal(jax.random.key(0), (8, 16, 16)) / 8, jnp.ones((500, 16))
    memory, found = [], []
    for each in (loss, recomputing(loss)):
        graded = jax.jit(jax.value_and_grad(each, has_aux=True))
        program = graded.lower(weights, x, jax.random.key(1)).compile()
        memory.append(program.memory_analysis().temp_size_in_bytes)
        found.append(program(weights, x, jax.random.key(1)))
    assert_same(*found)
    assert memory[1] < 0.8 * memory[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "share"),
    [
        (zoo.Transformer((64,), 32, 6, heads=4, window=64), 0.5),
        (zoo.PixelCNN((16, 16), 16, 10), 0.5),
        (zoo.PixelCNNpp((16, 16), 8, 3, scales=2), 0.7),
        (zoo.WaveNet((400,), 16, 32, cycles=2), 0.8),
        (zoo.LSTM((64,), 32, 6), 0.8),
        (zoo.DRAW((16, 16), 32, 8, 32, read_size=2, write_size=5), 0.8),
    ],
    ids=lambda each: type(each).__name__,
)
def test_remat_needs_less_memory(model, share):
    assert needed(model, remat=True) < share * needed(model)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["transformer", "gated_pixel_cnn"])
def test_parts_need_less_memory(name):
    model = zoo.entry(name).paper
    if name == "transformer":
        model = zoo.Transformer((64,), 32, 3, heads=4, window=64, dropout=0.0)
    assert needed(model, accumulate=4) < 0.4 * needed(model)


def needed(model, **ways):
    """The temporary bytes of the gradient of 8 examples."""
    x, context = model.example(8)
    variables = zoo.init(model, jax.random.key(0), x, None if model.streams else context)
    carry = zoo.begin(model, variables, 8) if model.streams else ()
    context = np.zeros(8, bool) if model.streams else context
    recipe = Recipe(model, batch_size=8, **ways)

    def grads(variables):
        return gradient(recipe, variables, x, context, jax.random.key(0), carry)[:2]

    return jax.jit(grads).lower(variables).compile().memory_analysis().temp_size_in_bytes


def test_devices_share_weights_and_optimiser():
    recipe, devices = tiny("made", shard="fsdp"), jax.devices()[:4]
    recipe = dataclasses.replace(recipe, model=recipe.model.clone(hidden=(64,)))
    update, x = make_update(recipe, devices), noisy_copies(8)
    state = update.place(initial_state(recipe, x))
    for _ in range(2):
        whole = jax.tree.leaves((state.variables, state.ema, state.opt_state))
        divides = [leaf for leaf in whole if any(n and n % 4 == 0 for n in leaf.shape)]
        assert sum(leaf.nbytes for leaf in divides) > 0.9 * sum(leaf.nbytes for leaf in whole)
        for leaf in divides:
            held = [shard.data.nbytes for shard in leaf.addressable_shards]
            assert held == [leaf.nbytes / 4] * 4
        state, _ = update.step(state, x, None)
    assert all(leaf.is_fully_addressable for leaf in jax.tree.leaves(fetched(state)))
    odd = pieces({"a": np.zeros((3, 5)), "b": np.zeros((2, 8, 4)), "c": np.zeros(())}, devices)
    assert [tuple(each.spec) for each in odd.values()] == [(), (None, "data"), ()]


def test_what_cannot_be_is_refused_in_one_line():
    with pytest.raises(ValueError, match=r"accumulate=3 does not divide a batch of 8 .*-size 6\."):
        tiny(accumulate=3)
    with pytest.raises(ValueError, match=r"accumulate=9 .* pass --batch-size 9\."):
        tiny(accumulate=9)
    with pytest.raises(ValueError, match="accumulate must be at least 1"):
        tiny(accumulate=0)
    with pytest.raises(ValueError, match=r"--shard fsdp is not possible with --parallel pmap"):
        tiny(shard="fsdp", parallel="pmap")
    with pytest.raises(ValueError, match=r"--shard fsdp .* there is one: pass --shard none"):
        make_update(tiny(shard="fsdp"), jax.devices()[:1])
    with pytest.raises(ValueError, match=r"--shard fsdp .* of 4 a batch of 7 uses one"):
        make_update(tiny(shard="fsdp", batch_size=7), jax.devices()[:4])


@pytest.mark.slow
def test_a_run_goes_on_in_another_way(tmp_path, monkeypatch, capfd):
    """Devices share the weights, then keep all, then the batch goes in parts: the weights are those
    of a run that was never stopped.
    """
    np.savez(tmp_path / "bits.npz", train=noisy_copies(40), test=noisy_copies(10))
    monkeypatch.chdir(tmp_path)
    words = ["nade", "--data.name", "images", "--data.path", "bits.npz", "--samples", "0"]
    words += ["--model.hidden", "8", "--batch-size", "8", "--steps", "60", "--eval-every", "10"]

    def run(folder, *more, stop=None, code=0):
        with monkeypatch.context() as patched:
            if stop is not None:
                interrupt_at(patched, stop)
            assert main([*words, "--run-dir", folder, *more]) == code, capfd.readouterr().err

    run("plain")
    run("other", "--shard", "fsdp", stop=15, code=130)
    monkeypatch.setattr("train.engine.step.share", lambda *_: tuple(jax.devices()[:1]))
    run("other", "--resume", code=1)
    assert "uses one: pass --shard none" in capfd.readouterr().err
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    run("other", "--resume", "--shard", "none", "--remat", stop=30, code=130)
    assert "with remat True (before: False), shard none (before: fsdp)" in capfd.readouterr().err
    run("other", "--resume", "--accumulate", "2", stop=45, code=130)
    run("other", "--resume", "--parallel", "pmap", "--no-remat")
    ours, theirs = (
        zoo.load(tmp_path / each / "model.safetensors")[1] for each in ("other", "plain")
    )
    assert_same(ours, theirs)
