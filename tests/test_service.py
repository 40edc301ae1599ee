"""Programs in files, a server of scores, folders that may not be written, and the wheel."""

import errno
import importlib.metadata
import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import sample.__main__
import train.__main__
import zoo
from zoo.foundation import files

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "service.md").read_text()
EXPORT, SERVER = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A folder with a run of a tiny model, which is the current folder."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "made"
    folder.mkdir(parents=True)
    model = zoo.MADE((3, 4), hidden=(8,))
    variables = zoo.init(model, jax.random.key(0), np.zeros((1, 3, 4), np.int32))
    zoo.save(folder / "model.safetensors", model, variables)
    return model, variables


@pytest.mark.slow
def test_exported_programs_give_the_same_numbers(run, monkeypatch):
    """The code of the page, in a process with one device as a server has it."""
    pytest.importorskip("flatbuffers", reason="needs the extra `serve`")
    after = """
x = np.asarray(x)
want = sample.draw(model, variables, jax.random.key(7), batch)
assert (want.x == x).all() and np.allclose(want.log_prob, log_prob, rtol=1e-5)
with open("score.bin", "rb") as file:
    scores = export.deserialize(bytearray(file.read())).call(x)
assert np.allclose(scores, zoo.log_prob(model, variables, x), rtol=1e-5) and len(set(scores.tolist())) > 3
print("the same")
"""
    done = subprocess.run(
        [sys.executable, "-c", EXPORT + after],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "the same\n", done.stderr[-2000:]
    assert Path("draw.bin").stat().st_size < 200_000


@pytest.mark.slow
def test_the_server_of_the_page(run, monkeypatch):
    """Its scores, and its one line for what it cannot score; without FastAPI it only compiles."""
    code, (model, variables) = compile(SERVER, "serve.py", "exec"), run
    assert len(SERVER.strip().splitlines()) <= 40
    pytest.importorskip("fastapi", reason="needs fastapi")
    from fastapi import HTTPException

    scope = {"__name__": "serve"}
    exec(code, scope)
    x = np.asarray(sample.draw(model, variables, jax.random.key(1), 3).x)
    answer = scope["score"](scope["Images"](images=x.tolist()))
    np.testing.assert_allclose(answer["nats"], -zoo.log_prob(model, variables, x), rtol=1e-5)
    for wrong in (x * 5, np.zeros((0, 3, 4), int), np.zeros((65, 3, 4), int), x[:, :2]):
        with pytest.raises(HTTPException) as caught:
            scope["score"](scope["Images"](images=wrong.tolist()))
        assert caught.value.status_code == 422 and "\n" not in caught.value.detail


def read_only(*_, **__):
    raise OSError(errno.EROFS, "Read-only file system", "runs")


def test_train_names_the_flag_where_it_may_not_write(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["fvsbn", "--data.name", "digits", "--steps", "1", "--samples", "0"]
    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", read_only)
        assert train.__main__.main(words) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1] == (
        "error: runs may not be written here: choose another place by --run-dir FOLDER."
    )
    assert not list(tmp_path.iterdir())


def test_sample_names_the_flag_where_it_may_not_write(run, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", read_only)
        with pytest.raises(SystemExit) as caught:
            sample.__main__.main(["made", "--num", "2"])
    assert caught.value.code == (
        "error: runs may not be written here: choose another place by --out FILE."
    )
    sample.__main__.main(["made", "--num", "2", "--out", "drawn.png"])  # the advice works
    assert Path("drawn.png").exists()


@pytest.mark.parametrize(
    ("module", "inner", "words", "flag"),
    [
        ("sample.score_file", "run", ["made", "x.npy"], "--out FILE.csv"),
        ("train.cli.anomaly", "report", ["made", "--against", "mnist"], "--out FOLDER"),
        ("train.commands.table", "_check", ["runs/a"], "--out FILE"),
    ],
)
def test_other_commands_name_the_flag_too(module, inner, words, flag, monkeypatch):
    command = importlib.import_module(module)
    monkeypatch.setattr(command, inner, read_only)
    with pytest.raises(SystemExit) as caught:
        command.main(words)
    assert str(caught.value.code).endswith(
        f"may not be written here: choose another place by {flag}."
    )


def test_a_failed_write_names_the_file_of_the_caller(tmp_path, monkeypatch):
    """Not the partial one beside it, and not the removal of what is not there."""

    def refuse(self, *_, **__):
        raise OSError(errno.EROFS, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(OSError, match=r"Read-only file system: '.*[\\/]model\.safetensors'"):
        files.write_whole(tmp_path / "model.safetensors", b"1")


def dependencies(name, found=None):
    """The distributions that `pip install name` brings, without extras."""
    from packaging.requirements import Requirement

    found = {} if found is None else found
    for text in importlib.metadata.requires(name) or ():
        needed = Requirement(text)
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        if needed.name not in found:
            found[needed.name] = importlib.metadata.distribution(needed.name)
            dependencies(needed.name, found)
    return found


WHEEL = """
import sys

def hook(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        raise RuntimeError(f"asked a network: {event}")

sys.addaudithook(hook)
import jax, numpy as np
import zoo, sample, train, train.data
assert "site-packages" in zoo.__file__, zoo.__file__
for extra in ("matplotlib", "sklearn", "tensorflow_datasets", "babel", "soundfile", "optuna"):
    assert __import__("importlib.util").util.find_spec(extra) is None, extra
x = train.data.load(train.data.Data()).train.x[:200]
model, variables, history = train.fit(zoo.MADE(hidden=(8,)), x, steps=5, batch_size=20)
drawn = sample.draw(model, variables, jax.random.key(0), 3)
print(zoo.__version__, drawn.x.shape, bool(np.isfinite(drawn.log_prob).all()))
"""


@pytest.mark.slow
def test_the_wheel_works_in_an_empty_environment(tmp_path):
    """Without extras, home, network, and in a folder that holds nothing."""
    pytest.importorskip("build", reason="needs build")
    source = tmp_path / "source"
    source.mkdir()
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    for name in listed.stdout.split("\n")[:-1]:  # a build leaves nothing in the project
        if name.startswith(("zoo/", "train/", "sample/")) or "/" not in name:
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path)]
    done = subprocess.run(build, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (wheel,) = tmp_path.glob("*.whl")

    venv.create(tmp_path / "venv", symlinks=True)
    (packages,) = (tmp_path / "venv" / "lib").glob("*/site-packages")
    for distribution in dependencies("autoregressive-zoo").values():
        for top in {Path(str(file)).parts[0] for file in distribution.files or ()} - {".."}:
            place, target = packages / top, Path(str(distribution.locate_file(top)))
            if not place.exists() and target.exists() and top != "__pycache__":
                place.symlink_to(target.resolve())
    subprocess.run([sys.executable, "-m", "zipfile", "-e", str(wheel), str(packages)], check=True)

    empty = tmp_path / "empty"
    empty.mkdir()
    python = tmp_path / "venv" / "bin" / "python"
    alone = {"PATH": "/usr/bin:/bin"}  # no HOME, no PYTHONPATH
    done = subprocess.run(
        [python, "-c", WHEEL], cwd=empty, env=alone, capture_output=True, text=True
    )
    version = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.M)[1]
    assert done.stdout == f"{version} (3, 28, 28) True\n", done.stderr[-2000:]
    assert not list(empty.iterdir())
