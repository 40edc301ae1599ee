"""Two processes on this machine, with a CPU device each, do what one process does."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np
import pytest
import safetensors.numpy
from test_training import noisy_copies

import zoo
from zoo.foundation.outside.meeting import meet
from zoo.foundation.processes import join, share_of

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 400  # seconds; then the processes are killed, for SIGTERM does not end them
TRAIN = ("train", "made", "--model.hidden", "20", "--steps", "12", "--eval-every", "5")
FLAGS = ("--batch-size", "10", "--samples", "0", "--accumulate", "1", "--model.num-masks", "1")

DRAW = """
import sys, jax, numpy as np
from zoo.foundation.processes import join
join(sys.argv[2:])
import sample, zoo
model = zoo.NADE((3, 4), hidden=5)
variables = zoo.init(model, jax.random.key(0), np.zeros((1, 3, 4), np.int32))
drawn = [sample.draw(model, variables, jax.random.key(1), 7, batch_size=2)]
prefix = np.ones((1, 4), np.int32)
drawn += [sample.draw(model, variables, jax.random.key(2), 3, prefix=prefix)]
vae = zoo.entry("vae").tiny
variables = zoo.init(vae, jax.random.key(0), *vae.example(1))
context = jax.tree.map(np.asarray, vae.example(5)[1])
drawn += [sample.draw(vae, variables, jax.random.key(3), 5, context=context)]
arrays = {str(i): leaf for i, leaf in enumerate(jax.tree.leaves(drawn))}
np.savez(sys.argv[1] + str(jax.process_index()), **arrays)
"""


def free_port():
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return found.getsockname()[1]


def start(words, where, **environment):
    usual = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_NUM_CPU_DEVICES": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    words = [sys.executable, *map(str, words)]
    return subprocess.Popen(words, cwd=where, env=usual | environment, **pipes)


def ended(processes):
    """(exit code, stdout, stderr) of each process; all are killed if one takes too long."""
    try:
        said = [process.communicate(timeout=LIMIT) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [
        (process.returncode, without_gloo(out), err)
        for process, (out, err) in zip(processes, said, strict=True)
    ]


def without_gloo(said):
    """What was said, without the lines of the library that connects processes on CPUs."""
    return "".join(line for line in said.splitlines(True) if not line.startswith("[Gloo]"))


def alone(words, where, devices):
    (found,) = ended([start(words, where, JAX_NUM_CPU_DEVICES=str(devices))])
    assert found[0] == 0, found
    return found


def together(words, where, by_environment=False, code=0):
    """The same command in two processes."""
    address, processes = f"localhost:{free_port()}", []
    for number in ("0", "1"):
        flags, environment = ["--distributed"], {}
        if by_environment:
            names = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
            environment = dict(zip(names, (address, "2", number), strict=True))
        else:
            flags += ["--coordinator", address, "--processes", "2", "--process-id", number]
        processes.append(start([*words, *flags], where, **environment))
    found = ended(processes)
    assert [each[0] for each in found] == [code, code], found
    return found


def weights(folder):
    return safetensors.numpy.load_file(folder / "model.safetensors")


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path):
    """One run folder, the weights and test nats of one process with two devices, and a resume."""
    data = tmp_path / "bits.npz"
    parts = {name: noisy_copies(31, seed=seed) for seed, name in enumerate(("valid", "test"))}
    np.savez(data, train=noisy_copies(80), **parts)
    words = ["-m", *TRAIN, *FLAGS, "--data.name", "images", "--data.path", data]
    alone([*words, "--run-dir", "one"], tmp_path, devices=2)
    first, second = together([*words, "--run-dir", "two"], tmp_path)
    assert "test:" in first[1] and not second[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bits.npz", "one", "two"]
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name, array in one.items():
        np.testing.assert_allclose(two[name], array, rtol=1e-5, atol=1e-6)
    numbers = [
        json.loads((tmp_path / run / "results.json").read_text())["nats"] for run in ("one", "two")
    ]
    assert np.isclose(*numbers, rtol=1e-6)
    # Stopped after a checkpoint and resumed, it ends with the same weights, bit for bit.
    checkpoints = sorted((tmp_path / "two" / "checkpoints").iterdir())
    newest = max(checkpoints, key=lambda path: int(path.name))
    for path in newest.rglob("*"):
        if path.is_file():
            path.unlink()
    newest.rename(newest.with_name(f"{newest.name}.damaged"))
    (tmp_path / "two" / "results.json").unlink()
    together([*words, "--run-dir", "two", "--resume"], tmp_path, by_environment=True)
    again = weights(tmp_path / "two")
    assert all((again[name] == array).all() for name, array in two.items())
    (told,) = [alone(["-m", "train.evaluate", "one"], tmp_path, devices=1)[1]]
    first, second = together(["-m", "train.evaluate", "one"], tmp_path)
    assert first[1] == told and not second[1]


@pytest.mark.slow
def test_an_error_in_the_first_process_ends_both(tmp_path):
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "file").write_text("in the way")
    words = ["-m", *TRAIN, *FLAGS, "--run-dir", "two"]
    first, second = together(words, tmp_path, code=1)
    assert first[2].splitlines()[-1].startswith("error: two is not empty")
    assert second[2].splitlines()[-1].startswith("error: process 0 stopped: two is not empty")


@pytest.mark.slow
def test_an_error_in_the_second_process_ends_both(tmp_path):
    """Its flags, then its data; the first one leaves no run in the way of the next try."""
    np.savez(tmp_path / "bits.npz", train=noisy_copies(40), test=noisy_copies(10))
    (tmp_path / "apart").mkdir()
    words = ["-m", *TRAIN, *FLAGS, "--run-dir", "two", "--data.name", "images"]
    words += ["--data.path", "bits.npz", "--distributed", "--processes", "2", "--coordinator"]
    for flag, place, said in (
        (["--sed", "1"], tmp_path, "error: Unrecognized options: --sed"),
        ([], tmp_path / "apart", "error: there is nothing at bits.npz"),
    ):
        both = [*words, f"localhost:{free_port()}", "--process-id"]
        first, second = ended([start([*both, "0"], tmp_path), start([*both, "1", *flag], place)])
        assert first[0] == 1 and second[0] > 0
        assert first[2].splitlines()[-1].startswith("error: another process could not begin")
        assert second[2].splitlines()[-1].startswith(said)
    assert not (tmp_path / "two" / "config.json").exists()


@pytest.mark.slow
def test_interrupted_killed_and_resumed(tmp_path):
    """A signal to the second process ends both, and a resume goes on, also as one process."""
    np.savez(tmp_path / "bits.npz", train=noisy_copies(40), test=noisy_copies(10))
    words = ["-m", "train", "fvsbn", "--data.name", "images", "--data.path", "bits.npz"]
    words += ["--steps", "4000", "--batch-size", "10", "--samples", "0", "--run-dir", "run"]
    words += ["--eval-every", "4000", "--checkpoint-every", "50"]
    checkpoints, last = tmp_path / "run" / "checkpoints", -1
    outcomes = []
    for number, resume in ((signal.SIGINT, []), (signal.SIGKILL, ["--resume"])):
        address, both = f"localhost:{free_port()}", []
        for each in "01":
            flags = ["--distributed", "--coordinator", address, "--processes", "2"]
            both.append(start([*words, *resume, *flags, "--process-id", each], tmp_path))
        until = time.monotonic() + LIMIT
        while newest(checkpoints) <= last and time.monotonic() < until:
            assert all(process.poll() is None for process in both), ended(both)
            time.sleep(0.1)
        both[1].send_signal(number)
        begun = time.monotonic()
        outcomes.append(ended(both))
        assert time.monotonic() - begun < 60  # jax would wait for 100 s
        last = newest(checkpoints)
    (first, second), (left, killed) = outcomes
    assert first[0] == second[0] == 130
    assert "; to continue, in each process with its flags of --distributed: " in first[2]
    assert second[2].endswith("interrupted\n")
    assert (left[0], killed[0]) == (1, -signal.SIGKILL)
    assert left[2].splitlines()[-1].startswith("error: another process ended in the middle")
    alone([*words, "--resume"], tmp_path, devices=1)
    assert json.loads((tmp_path / "run" / "results.json").read_text())["steps"] == 4000


def newest(checkpoints):
    """The step of the newest checkpoint; -1 if there is none."""
    found = checkpoints.iterdir() if checkpoints.exists() else ()
    return max((int(path.name) for path in found if path.name.isdigit()), default=-1)


@pytest.mark.slow
def test_the_command_divides_the_samples(tmp_path):
    """The picture and the likelihoods of one process; process 0 alone writes and prints."""
    model = zoo.CATALOGUE["nade"].tiny
    variables = zoo.init(model, jax.random.key(0), *model.example(1))
    for run in ("one", "two"):
        (tmp_path / run).mkdir()
        zoo.save(tmp_path / run / "model.safetensors", model, variables)
    words = ["-m", "sample", "{}", "--num", "7", "--batch-size", "2", "--seed", "3"]
    (told,) = [alone([word.format("one") for word in words], tmp_path, devices=1)[1]]
    words = [word.format("two") for word in words]
    first, second = together([*words, "--out", "here.png"], tmp_path)
    assert _likelihood(first[1]) == _likelihood(told) and not second[1]
    assert (tmp_path / "here.png").read_bytes() == (
        tmp_path / "one" / "samples_seed3.png"
    ).read_bytes()
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == ["model.safetensors"]
    first, second = together([*words, "--out", "absent/here.png"], tmp_path, code=1)
    assert first[2].startswith("error: --out absent/here.png: there is no folder absent")
    assert second[2].startswith("error: process 0 stopped: --out absent/here.png")


def _likelihood(said):
    """The line about the likelihood of what was drawn."""
    return next(line for line in said.splitlines() if line.startswith("drawn samples"))


@pytest.mark.slow
def test_two_processes_draw_as_one(tmp_path):
    alone(["-c", DRAW, tmp_path / "one"], tmp_path, devices=1)
    together(["-c", DRAW, tmp_path / "two"], tmp_path)
    one = np.load(tmp_path / "one0.npz")
    for number in "01":
        two = np.load(tmp_path / f"two{number}.npz")
        assert two.files == one.files
        for name in one.files:
            np.testing.assert_allclose(two[name], one[name], rtol=1e-6)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--processes 2", "--processes is for several processes: pass --distributed"),
        ("--distributed --processes 2", "needs --coordinator HOST:PORT .* and --process-id"),
        ("--distributed --processes two", r"--processes \(or JAX_NUM_PROCESSES\) must be a whole"),
        ("--distributed --coordinator h --processes 2 --process-id 0", "must be HOST:PORT"),
        ("--distributed --coordinator h:99999 --processes 2 --process-id 0", "port in 1..65535"),
        ("--distributed --coordinator h:0 --processes 2 --process-id 0", "port in 1..65535"),
        ("--distributed --coordinator h:1 --processes 0 --process-id 0", "must be at least 1"),
        ("--distributed --coordinator h:1 --processes 2 --process-id 2", r"in 0\.\.1 of 2; got 2"),
    ],
)
def test_flags_that_lack_something(words, message, monkeypatch):
    for name in ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match=message):
        join(words.split())


def met(*processes, wait=5.0):
    """What `meet` does in processes (count, number), threads here: "met" or its error."""
    address = f"localhost:{free_port()}"

    def outcome(each):
        try:
            meet(address, *each, wait)
        except ValueError as error:
            return str(error)
        return "met"

    with ThreadPoolExecutor(len(processes)) as threads:
        return list(threads.map(outcome, processes))


def test_processes_meet():
    assert met((3, 2), (3, 0), (3, 1)) == ["met"] * 3
    said = met((2, 0), (3, 1))
    assert "--processes is 2 in process 0 and 3 in another" in said[0]
    assert said[1] == f"process 0 stopped: {said[0]}"
    said = met((3, 0), (3, 1), (3, 1))
    assert all("two processes have --process-id 1: give each its own" in each for each in said)


def test_processes_that_do_not_meet():
    said = met((3, 0), (3, 2), wait=0.5)
    assert all("no word yet from --process-id 1 of 3" in each for each in said)
    (said,) = met((2, 1), wait=0.2)
    assert "process 0 does not answer (Connection refused). Start 2 processes" in said
    with socket.create_server(("localhost", 0)) as other, ThreadPoolExecutor(1) as thread:
        address = f"localhost:{other.getsockname()[1]}"
        with pytest.raises(ValueError, match=r"port \d+ cannot be opened here .*choose another"):
            meet(address, 2, 0, 1.0)

        def answer():
            with other.accept()[0] as guest:
                guest.sendall(b"\xff\xfe\n")

        answered = thread.submit(answer)
        with pytest.raises(ValueError, match="is another program's"):
            meet(address, 2, 1, 1.0)
        answered.result()


def test_one_process_has_it_all():
    join(["made", "--steps", "3"])
    assert share_of(7) == (0, 7) and zoo.foundation.processes.leads()
