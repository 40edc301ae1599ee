"""The console script `zoo`: the commands of `python -m`, and none of a user's own modules."""

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from zoo.__main__ import COMMANDS

ROOT = Path(__file__).parents[1]
MODEL = '''
import zoo
from train.recipe.recipe import Recipe
from train.data import Data


class Digits(zoo.FVSBN):
    """FVSBN by another name."""


RECIPES = {"Digits": Recipe(Digits((8, 8)), Data("digits", binarise="threshold"), steps=3)}
'''


@pytest.fixture
def script(tmp_path):
    """The script as an installation writes it, in a folder of its own; called in a folder with
    modules of the user's by the names of the packages.
    """
    where = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["zoo"]
    module, function = where.split(":")
    (tmp_path / "bin").mkdir()
    file = tmp_path / "bin" / "zoo"
    file.write_text(f"import sys\nfrom {module} import {function}\nsys.exit({function}())\n")
    work = tmp_path / "work"
    work.mkdir()
    for name in ("train", "sample", "benchmarks"):
        (work / f"{name}.py").write_text(f"raise Exception('the {name}.py of the user')\n")

    def call(*words, path=(str(ROOT),)):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
        line = [sys.executable, str(file), *words]
        return subprocess.run(line, cwd=work, env=environment, capture_output=True, text=True)

    return call, work


def test_training_ends_in_samples(script):
    """Even where the folder comes first on the search path."""
    call, work = script
    path = [".", str(ROOT)]
    (work / "models.py").write_text(MODEL)
    done = call("train", "models.py:Digits", "--samples", "4", path=path)
    assert done.returncode == 0, done.stderr
    assert "grid of 4: runs/Digits/samples.png" in done.stdout
    assert (
        '"command": "zoo train models.py:Digits' in (work / "runs/Digits/results.json").read_text()
    )
    assert call("eval", "models.py:Digits", path=path).stdout.count("test: ") == 1


def test_every_command_is_a_module():
    for module, sentence in COMMANDS.values():
        assert importlib.util.find_spec(module) and sentence.endswith(".")


@pytest.mark.parametrize("name", ["reproduce", "bench"])
def test_commands_explain_themselves(script, name):
    call, _ = script
    done = call(name, "--help")
    assert done.returncode == 0, done.stderr
    assert f"usage: zoo {name}" in done.stdout


@pytest.mark.slow
def test_errors_are_as_those_of_the_modules(script):
    call, _ = script
    assert all(name in call().stdout for name in COMMANDS)
    for words, code, message in (
        (["trian"], 2, "there is no command 'trian'. Did you mean 'train'? There are train, "),
        (
            ["train", "mad"],
            2,
            "there is no recipe for a model 'mad'. Did you mean 'made'? There are ",
        ),
        (["eval", "made", "--split", "x"], 2, "flags: zoo eval --help"),
    ):
        done = call(*words)
        assert done.returncode == code and done.stderr.count("\n") == 1, done.stderr
        assert re.search(f"error: .*{message}", done.stderr), done.stderr
