"""Stop, kill, resume: as if nothing had happened."""

import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from marks import slow_but
from test_training import data, noisy_copies, tiny  # noqa: F401 (a fixture)

import train.engine.loop
import train.kinds.kind
import zoo
from train.engine.checkpoint import CheckpointError, Checkpoints
from train.engine.loop import NonFiniteError
from train.engine.prepare import inputs
from train.engine.run_folder import train_run
from train.engine.step import Metrics, initial_state, make_update
from train.runs.folder import Run, create, write

ROOT = Path(__file__).resolve().parents[1]


def contents(run, recipe):
    """Everything a training leaves that must not depend on interruptions."""
    with Checkpoints(run.checkpoints) as checkpoints:
        state, progress = checkpoints.restore(initial_state(recipe, noisy_copies(8)))
    records = [
        {key: value for key, value in record.items() if key != "seconds"}
        for record in run.records()
    ]
    _, variables = zoo.load(
        run.model
    )  # not its bytes: the order of the header's entries is arbitrary
    return (state, variables), (progress.best, progress.waited, progress.window), records


def test_runs_are_written_in_utf_8_whatever_the_locale(tmp_path, monkeypatch):
    monkeypatch.setattr("io.text_encoding", lambda encoding, level=2: encoding or "ascii")
    run, line = Run(tmp_path), {"step": 1, "of": "größer"}
    write(run.metrics, json.dumps(line, ensure_ascii=False) + "\n")
    assert (
        run.metrics.read_bytes().decode() == f"{json.dumps(line, ensure_ascii=False)}\n"
        and run.records() == [line]
    )


def assert_identical(ours, theirs):
    """Arrays bit for bit, and the rest equal."""
    arrays, *rest = ours
    expected, *others = theirs
    assert jax.tree.structure(arrays) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(arrays), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    assert rest == others


def interrupt_at(monkeypatch, *steps):
    """Sends SIGINT, once each, while the batch of those steps is fetched."""
    left = set(steps)

    class Interrupting(train.data.Batches):
        def __call__(self, step):
            if step in left:
                left.remove(step)
                os.kill(os.getpid(), signal.SIGINT)
            return super().__call__(step)

    monkeypatch.setattr(train.kinds.kind, "Batches", Interrupting)


PIECES = {"shard": "fsdp", "accumulate": 2, "remat": True}
CORRECTED = {"weight_decay": 0.1, "corrected_decay": True}
SMALL = {"site_shape": (2, 5), "num_classes": 0}
FROM_NOISE = [
    {"model": zoo.CATALOGUE["vae"].tiny.clone(**SMALL)},
    {"model": zoo.CATALOGUE["gan"].tiny.clone(**SMALL), "critic_rate": 0.5, "momentum": 0.5},
    {"model": zoo.CATALOGUE["diffusion"].tiny.clone(**SMALL, head=zoo.Bernoulli())},
]


@pytest.mark.parametrize(
    "changes",
    slow_but(
        [CORRECTED],
        [CORRECTED, {}, {"parallel": "pmap"}, {"checkpoint_every": 7}, PIECES, *FROM_NOISE],
    ),
    ids=str,
)
def test_interrupted_and_resumed_is_bit_for_bit_the_same(data, tmp_path, monkeypatch, changes):  # noqa: F811
    recipe, usual = tiny(data=data, steps=20), signal.getsignal(signal.SIGINT)
    recipe = dataclasses.replace(recipe, **changes)
    dataset = inputs(recipe)
    monkeypatch.setattr(train.engine.loop, "LOG_EVERY", 4)
    straight = create("made", recipe, tmp_path / "straight")
    train_run(straight, recipe, dataset)
    stopped = create("made", recipe, tmp_path / "stopped")
    interrupt_at(monkeypatch, 0, 2, 13, 19)
    for step in (1, 3, 14, 20):
        with pytest.raises(KeyboardInterrupt):
            train_run(stopped, recipe, dataset)
        with Checkpoints(stopped.checkpoints) as checkpoints:
            assert checkpoints.latest == step
    train_run(stopped, recipe, dataset)
    assert_identical(contents(stopped, recipe), contents(straight, recipe))
    assert signal.getsignal(signal.SIGINT) is usual, "the handler of before is not put back"


def test_metrics_beyond_the_checkpoint_are_written_again(data, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(train.engine.loop, "LOG_EVERY", 4)
    recipe = tiny(data=data, steps=20)
    run = create("made", recipe, tmp_path / "run")
    train_run(run, recipe, inputs(recipe))
    before = contents(run, recipe)
    shutil.rmtree(run.checkpoints / "20")
    with run.metrics.open("a") as file:
        file.write('{"step": 20, "valid_n')  # killed while writing
    train_run(run, recipe, inputs(recipe))
    assert_identical(contents(run, recipe), before)


def test_early_stop_and_its_resume(data, tmp_path, monkeypatch):  # noqa: F811
    still = {"learning_rate": 1e-30, "weight_decay": 0.0, "ema": 0.0}  # an average may round
    recipe = tiny(data=data, steps=1000, patience=2, eval_every=3, **still)
    run = create("made", recipe, tmp_path / "run")
    train_run(run, recipe, inputs(recipe))
    steps = [record["step"] for record in run.records() if "valid_nats" in record]
    assert steps == [3, 6, 9]
    with Checkpoints(run.checkpoints) as checkpoints:
        assert checkpoints.latest == 9
    train_run(run, recipe, inputs(recipe))
    assert max(record["step"] for record in run.records()) == 9


def test_best_validation_model_is_kept(data, tmp_path, monkeypatch):  # noqa: F811
    recipe = tiny(data=data, steps=30)
    run, scores = create("made", recipe, tmp_path / "run"), iter([5.0, 3.0, 4.0, 6.0, 3.0, 7.0])
    seen = []

    def fake(model, variables, split, batch_size, ensemble):
        seen.append(jax.tree.map(np.asarray, variables))
        return train.engine.evaluation.Evaluation(next(scores), 0.1, 0.0, 30)

    monkeypatch.setattr(train.engine.loop, "evaluate", fake)
    train_run(run, recipe, inputs(recipe))
    _, variables = zoo.load(run.model)
    for got, best in zip(jax.tree.leaves(variables), jax.tree.leaves(seen[1]), strict=True):
        np.testing.assert_array_equal(got, best)


def test_non_finite_loss_names_the_step_and_keeps_the_checkpoint(data, tmp_path, monkeypatch):  # noqa: F811
    recipe = tiny(data=data, steps=20)
    run = create("made", recipe, tmp_path / "run")
    interrupt_at(monkeypatch, 7)
    with pytest.raises(KeyboardInterrupt):
        train_run(run, recipe, inputs(recipe))
    model = run.model.read_bytes()
    restore = Checkpoints.restore

    def poisoned(self, like):
        state, progress = restore(self, like)
        return state._replace(
            variables=jax.tree.map(lambda leaf: leaf * np.float32("nan"), state.variables)
        ), progress

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "restore", poisoned)
        with pytest.raises(
            NonFiniteError, match=r"nan at step 9\. The checkpoint of step 8 .*learning-rate"
        ):
            train_run(run, recipe, inputs(recipe))
    assert run.model.read_bytes() == model
    train_run(run, recipe, inputs(recipe))
    assert max(record["step"] for record in run.records()) == 20


def break_updates(monkeypatch, *steps):
    """Makes the loss of those steps nan, as the update itself reports it."""

    def make(*args):
        update = make_update(*args)

        def step(state, x, context):
            number = int(np.max(update.fetch(state).step)) + 1
            if number not in steps:
                return update.step(state, x, context)
            return state._replace(step=state.step + 1), Metrics(
                *map(np.float32, (np.nan, 1.0, 0.1))
            )

        return update._replace(step=step)

    monkeypatch.setattr(train.engine.loop, "make_update", make)


def test_one_or_two_updates_that_are_no_numbers_are_left_out(data, tmp_path, monkeypatch, capfd):  # noqa: F811
    """It is said for each; a resumed training counts on, and ends the same."""
    recipe = tiny(data=data, steps=20)
    dataset = inputs(recipe)
    monkeypatch.setattr(train.engine.loop, "LOG_EVERY", 4)
    break_updates(monkeypatch, 6, 7, 9, 12, 13)
    straight = create("made", recipe, tmp_path / "straight")
    train_run(straight, recipe, dataset)
    said = [line for line in capfd.readouterr().err.splitlines() if "left out" in line]
    assert [line.rsplit("\r", 1)[-1].strip() for line in said] == [
        f"step {step}: loss is nan; this update is left out" for step in (6, 7, 9, 12, 13)
    ]
    stopped = create("made", recipe, tmp_path / "stopped")
    interrupt_at(monkeypatch, 6, 12)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train_run(stopped, recipe, dataset)
    train_run(stopped, recipe, dataset)
    assert_identical(contents(stopped, recipe), contents(straight, recipe))


@pytest.mark.parametrize("interrupted", [False, True])
def test_three_in_a_row_are_too_many(data, tmp_path, monkeypatch, interrupted):  # noqa: F811
    recipe = tiny(data=data, steps=20)
    run = create("made", recipe, tmp_path / "run")
    break_updates(monkeypatch, 2, 7, 8, 9)
    if interrupted:
        interrupt_at(monkeypatch, 7)
        with pytest.raises(KeyboardInterrupt):
            train_run(run, recipe, inputs(recipe))
    last = 8 if interrupted else 5
    with pytest.raises(
        NonFiniteError, match=rf"loss became nan at step 7\. The checkpoint of step {last} stays"
    ):
        train_run(run, recipe, inputs(recipe))


@pytest.mark.parametrize("stop", ["interrupt", "checkpoint"])
def test_a_run_can_be_sampled_before_its_first_validation(data, tmp_path, monkeypatch, stop):  # noqa: F811
    recipe = tiny(
        data=data, steps=20, eval_every=15, checkpoint_every=4 if stop == "checkpoint" else 0
    )
    run = create("made", recipe, tmp_path / "run")
    if stop == "interrupt":
        interrupt_at(monkeypatch, 7)
    else:
        break_updates(monkeypatch, 9, 10, 11)
    with pytest.raises((KeyboardInterrupt, NonFiniteError)):
        train_run(run, recipe, inputs(recipe))
    with Checkpoints(run.checkpoints) as checkpoints:
        state, progress = checkpoints.restore(initial_state(recipe, noisy_copies(8)))
    assert progress.best is None and int(state.step) == 8
    model, variables = zoo.load(run.model)
    assert model == recipe.model
    jax.tree.map(np.testing.assert_array_equal, variables, state.ema)
    monkeypatch.undo()
    train_run(run, recipe, inputs(recipe))
    straight = create("made", recipe, tmp_path / "straight")
    train_run(straight, recipe, inputs(recipe))
    assert_identical(contents(run, recipe), contents(straight, recipe))


def test_absurd_learning_rate(data, tmp_path):  # noqa: F811
    recipe = tiny(data=data, steps=500, learning_rate=1e38, warmup=0, eval_every=1000, clip=0.0)
    run = create("made", recipe, tmp_path / "run")
    with pytest.raises(NonFiniteError, match=r"at step [23]\. There is no checkpoint yet"):
        train_run(run, recipe, inputs(recipe))
    assert not run.model.exists()


def test_corrupt_and_foreign_checkpoints(data, tmp_path):  # noqa: F811
    recipe = tiny(data=data, steps=5)
    run = create("made", recipe, tmp_path / "run")
    train_run(run, recipe, inputs(recipe))
    with Checkpoints(run.checkpoints) as checkpoints:
        with pytest.raises(CheckpointError, match=r"checkpoints/5"):
            checkpoints.restore(initial_state(tiny("nade"), noisy_copies(8)))
        wider = initial_state(tiny(), noisy_copies(8))
        wider = jax.tree.map(lambda leaf: np.zeros((*leaf.shape, 2), leaf.dtype), wider)
        with pytest.raises(CheckpointError, match=r"checkpoints/5"):
            checkpoints.restore(wider)
    for file in (run.checkpoints / "5").rglob("*"):
        if file.is_file() and file.stat().st_size > 100:
            file.write_bytes(b"junk" * 10)
    with (
        Checkpoints(run.checkpoints) as checkpoints,
        pytest.raises(CheckpointError, match="5 is corrupt") as caught,
    ):
        checkpoints.restore(initial_state(recipe, noisy_copies(8)))
    assert "\n" not in str(caught.value)


@pytest.fixture
def two_checkpoints(data, tmp_path):  # noqa: F811
    """A run of ten steps with checkpoints of steps 5 and 10; and an initial state of it."""
    recipe = tiny(data=data, steps=10)
    run = create("made", recipe, tmp_path / "run")
    train_run(run, recipe, inputs(recipe))
    return run, initial_state(recipe, noisy_copies(8))


def restored(run, like):
    with Checkpoints(run.checkpoints) as checkpoints:
        return checkpoints.restore(like)


def test_flipped_bits_never_change_what_is_resumed(two_checkpoints, tmp_path, capfd):
    """Each flip leaves the newest checkpoint as it was, or is named in a line and the one before is
    taken.
    """
    run, like = two_checkpoints
    sound, rng, fallen = {10: restored(run, like)}, random.Random(1), 0
    files = [file for file in sorted((run.checkpoints / "10").rglob("*")) if file.is_file()]
    largest = sorted(files, key=lambda file: file.stat().st_size)[-3:]
    shutil.copytree(run.checkpoints, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "10")
    with Checkpoints(tmp_path / "copy") as checkpoints:
        sound[5] = checkpoints.restore(like)
    for i in range(16):
        damaged = Run(tmp_path / "damaged")
        shutil.copytree(run.checkpoints, damaged.checkpoints)
        chosen = rng.choice(largest if i % 2 else files)
        file = damaged.checkpoints / chosen.relative_to(run.checkpoints)
        content = bytearray(file.read_bytes())
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        file.write_bytes(content)
        state, progress = restored(damaged, like)
        step = int(state.step)
        assert_identical((state, progress), sound[step])
        said = capfd.readouterr().err
        if step == 5:
            fallen += 1
            assert said.startswith("warning: ") and said.count("\n") == 1
            assert "checkpoints/10 is corrupt" in said and "from the checkpoint of step 5" in said
            assert {path.name for path in damaged.checkpoints.iterdir()} == {"5", "10.damaged"}
        else:
            assert said == ""
        shutil.rmtree(damaged.folder)
    assert fallen >= 3


def test_a_run_with_a_damaged_checkpoint_ends_as_if_it_had_none(two_checkpoints, data, capfd):  # noqa: F811
    run, _ = two_checkpoints
    recipe = tiny(data=data, steps=10)
    before = contents(run, recipe)
    for file in (run.checkpoints / "10").rglob("*"):
        if file.is_file() and file.stat().st_size > 100:
            file.write_bytes(b"junk" * 10)
    train_run(run, recipe, inputs(recipe))
    assert "Traceback" not in capfd.readouterr().err
    assert_identical(contents(run, recipe), before)


def test_checkpoints_of_before_there_was_a_digest(two_checkpoints, tmp_path):
    run, like = two_checkpoints
    state, progress = restored(run, like)
    with ocp.CheckpointManager(tmp_path / "old") as manager:
        words = ocp.args.JsonSave(dataclasses.asdict(progress))
        manager.save(
            10, args=ocp.args.Composite(state=ocp.args.StandardSave(state), progress=words)
        )
    with Checkpoints(tmp_path / "old") as checkpoints:
        assert_identical(checkpoints.restore(like), (state, progress))


def command(path, folder, *flags):
    """A training as a user starts it, small, with a checkpoint every few steps."""
    words = f"--data.name images --data.path {path} --model.site-shape 2 5 --model.hidden 12 --model.num-masks 3"
    words += f" --steps 60 --batch-size 8 --eval-every 3 --samples 0 --run-dir {folder}"
    return [sys.executable, "-m", "train", "made", *words.split(), *flags]


def start(*args):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    return subprocess.Popen(
        command(*args), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


@pytest.mark.slow
def test_killed_at_random_moments_and_resumed(data, tmp_path):  # noqa: F811
    straight, killed = Run(tmp_path / "straight"), Run(tmp_path / "killed")
    undisturbed = start(data.path, straight.folder)
    moments, killed_before_the_end = random.Random(0), 0
    for _ in range(3):
        have = set(killed.checkpoints.glob("*"))
        process = start(data.path, killed.folder, *(["--resume"] if killed.config.exists() else []))
        while process.poll() is None and set(killed.checkpoints.glob("*")) <= have:
            time.sleep(0.005)  # until it writes
        time.sleep(moments.uniform(0, 0.4))
        process.kill()
        killed_before_the_end += process.wait() == -signal.SIGKILL
    assert killed_before_the_end >= 2
    assert start(data.path, killed.folder, "--resume").wait() == 0
    assert undisturbed.wait() == 0
    _, recipe = straight.name_and_recipe()
    assert_identical(contents(killed, recipe), contents(straight, recipe))
    results = [json.loads(run.results.read_text()) for run in (straight, killed)]
    assert results[0]["nats"] == results[1]["nats"]
