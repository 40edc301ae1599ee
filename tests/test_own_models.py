"""Models in a user's own file: trained, resumed, scored, drawn and benched by `FILE.py:Class`."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import pytest
from test_train_cli import data, drawn, fails, flags  # noqa: F401 (fixtures)

import sample.__main__ as sampling
import train.__main__ as cli
import train.cli.evaluate
import zoo
from train.cli.options import parse
from zoo.core.model_files import ModelFileError, find_run, load_file, take_classes
from zoo.derived import explanation
from zoo.foundation import registry

ROOT = Path(__file__).parents[1]
MIXER = '''
from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp

import zoo
from neighbour import SCALE


class Mixer(zoo.Autoregressive):
    """Each site is a logistic regression on the sites before it."""

    site_shape: tuple[int, ...] = (2, 5)
    head: zoo.Head = zoo.Bernoulli()
    ordering: zoo.Ordering = zoo.Ordering()
    scale: float = SCALE

    @nn.compact
    def __call__(self, x, memory=None, *, train=False):
        n = self.num_sites
        kernel = self.param("kernel", nn.initializers.normal(self.scale), (n, n))
        values = x.reshape(len(x), -1)[:, self.sites].astype(jnp.float32)
        values = nn.Dropout(0.1)(values, deterministic=not train)
        params = values @ jnp.triu(kernel, 1)
        return params[:, self.ordering.ranks(self.site_shape)].reshape(*x.shape, 1)
'''


@pytest.fixture(autouse=True)
def same_registry(monkeypatch):
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(registry, "_CLASSES", dict(registry._CLASSES))


@pytest.fixture
def own():
    """A file with a class, beside one that it imports."""
    Path("mine").mkdir()
    Path("mine/neighbour.py").write_text("SCALE = 0.1\n")
    Path("mine/models.py").write_text(MIXER)
    return "mine/models.py:Mixer"


@pytest.fixture
def own_flags(flags):  # noqa: F811
    i = flags.index("--model.hidden")
    return flags[:i] + flags[i + 2 :]


def forget(monkeypatch):
    """The registry as a new process has it."""
    kept = {name: cls for name, cls in registry._CLASSES.items() if name != "Mixer"}
    monkeypatch.setattr(registry, "_CLASSES", kept)


def test_the_whole_way(own, own_flags, drawn, capsys, monkeypatch):  # noqa: F811
    """Each command in a registry of its own, as in a new process."""
    assert cli.main([own, *own_flags, "--samples", "4"]) == 0
    assert drawn == [
        [
            *(sys.executable, "-m", "sample", "runs/Mixer", "--num", "4"),
            *("--classes", "mine/models.py"),
        ]
    ]
    nats = json.loads(Path("runs/Mixer/results.json").read_text())["nats"]
    assert "models.py" not in Path("runs/Mixer/config.json").read_text()
    assert b"models.py" not in Path("runs/Mixer/model.safetensors").read_bytes()
    for words in ([own], ["runs/Mixer", "--classes", "mine/models.py"]):
        forget(monkeypatch)
        assert train.cli.evaluate.main(words) == 0
        assert f"test: {nats:.2f} +- " in capsys.readouterr().out
        forget(monkeypatch)
        sampling.run([*words, "--num", "3"])
        assert "grid of 3: runs/Mixer/samples.png" in capsys.readouterr().out
    forget(monkeypatch)
    assert cli.main([own, "--resume"]) == 0
    assert "runs/Mixer is finished: 10 steps" in capsys.readouterr().out
    assert cli.main([own, *own_flags, "--samples", "0"]) == 0
    assert find_run(own) == Path("runs/Mixer-2/model.safetensors"), "the newest run of the class"


def test_a_run_without_its_class_says_how(own, own_flags, capsys, monkeypatch):
    assert cli.main([own, *own_flags, "--samples", "0"]) == 0
    forget(monkeypatch)
    with pytest.raises(
        ValueError,
        match=r"'Mixer' is not registered; on the command line add --classes FILE\.py.*name the run FILE\.py:Mixer; in Python",
    ):
        sampling.run(["runs/Mixer"])
    assert train.cli.evaluate.main(["runs/Mixer"]) == 1
    assert "add --classes FILE.py" in capsys.readouterr().err
    with pytest.raises(ValueError, match="train one first: python -m train mine/models.py:Mixer"):
        Path("runs").rename("elsewhere")
        find_run(own)


@pytest.mark.slow
def test_own_models_are_benched(own, own_flags, tmp_path):
    assert cli.main([own, *own_flags, "--samples", "0"]) == 0
    bench = [sys.executable, "-m", "benchmarks.sampling", "--batch", "2", "--repeats", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for words in ([own], ["--run", own], ["--run", "runs/Mixer", "--classes", "mine/models.py"]):
        done = subprocess.run(
            [*bench, *words, "--engines", "cached"], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0 and "| Mixer(" in done.stdout, done.stderr


def test_a_stated_recipe_is_taken(own):
    file = Path("mine/models.py")
    assert parse(own, []).recipe.steps == 5_000, "the default of images"
    stated = "Recipe(Mixer(scale=0.5), Data('digits'), steps=77)"
    more = "from train.data import Data\nfrom train.recipe.recipe import Recipe\n"
    file.write_text(f"{MIXER}\n{more}RECIPES = {{'Mixer': {stated}}}\n")
    options = parse(own, ["--batch-size", "7"])
    assert (options.recipe.steps, options.recipe.model.scale) == (77, 0.5)
    assert (options.recipe.data.name, options.recipe.batch_size) == ("digits", 7)
    file.write_text(f"{MIXER}\n{more}RECIPES = {{'Mixer': Recipe(zoo.MADE())}}\n")
    with pytest.raises(ModelFileError, match="RECIPES of mine/models.py must map the name"):
        parse(own, [])


def test_every_kind_has_a_default_recipe():
    from train.cli.own_models import default_recipe

    for entry in zoo.CATALOGUE.values():
        assert default_recipe(entry.tiny).data.name


def test_a_constructor_that_needs_arguments(own, own_flags, capsys):
    Path("mine/models.py").write_text(MIXER.replace(" = (2, 5)", ""))
    i = own_flags.index("--model.site-shape")
    with pytest.raises(SystemExit) as caught:
        cli.main([own, *own_flags[:i], *own_flags[i + 3 :]])
    error = capsys.readouterr().err
    assert caught.value.code == 2 and error.count("\n") == 1
    assert "Missing from" in error and "--model.site-shape" in error
    assert cli.main([own, *own_flags, "--samples", "0"]) == 0
    assert cli.main([own, "--resume"]) == 0, "a run holds its arguments"


def test_own_heads_are_registered_too(own, own_flags):
    head = """
import dataclasses

@dataclasses.dataclass(frozen=True)
class Biased(zoo.Bernoulli):
    '''A Bernoulli head by another name.'''
"""
    Path("mine/models.py").write_text(MIXER.replace("\n\nclass", f"\n{head}\n\nclass"))
    assert cli.main([own, *own_flags, "--model.head", "biased", "--samples", "0"]) == 0
    assert type(zoo.load("runs/Mixer")[0].head).__name__ == "Biased"


@pytest.mark.parametrize(
    ("text", "word", "message"),
    [
        (None, "absent.py:Mixer", "there is no model file absent.py"),
        ("x = 1\ny = x +\n", "m.py:M", "m.py cannot be imported: SyntaxError: .*line 2"),
        ("import zoo\n\nzoo.nothing\n", "m.py:M", r"AttributeError: .*'nothing' \(line 3\)"),
        ("import numpi\n", "m.py:M", r"No module named 'numpi' \(line 1\)"),
        ("raise SystemExit(3)\n", "m.py:M", r"SystemExit: 3 \(line 1\)"),
        (MIXER, "m.py:Mixr", "m.py has no class 'Mixr'; it holds Mixer. Did you mean m.py:Mixer?"),
        (MIXER, "m.py", "name a class: m.py:Class; it holds Mixer"),
        (MIXER, "m.py:jnp", "jnp of m.py is a module, but no class of models"),
        ("class M: pass\n", "m.py:M", "M of m.py is a class, but no class of models"),
        ("import zoo\nM = zoo.MADE()\n", "m.py:M", "M of m.py is a MADE, but no class of models"),
        (
            MIXER.replace("class Mixer", "class MADE"),
            "m.py:MADE",
            r"the name MADE is taken by zoo\.dense\.made\.MADE: give MADE of .*m\.py another name",
        ),
        (
            MIXER.replace("scale: float = SCALE", "scale: type = float"),
            "m.py:Mixer",
            "Mixer.scale = .* is not the same when read again",
        ),
        (
            MIXER + "\n    @property\n    def kind(self):\n        return 'text'\n",
            "m.py:Mixer",
            "a model of the kind text needs the field vocabulary",
        ),
        (
            MIXER + "\n    @property\n    def kind(self):\n        return 'smells'\n",
            "m.py:Mixer",
            "Mixer describes smells, which train knows nothing of",
        ),
        (
            MIXER.replace("SCALE\n\n    @", "1 / 0\n\n    @"),
            "m.py:Mixer",
            r"ZeroDivisionError: .*\(line 17\)",
        ),
    ],
)
def test_bad_files_are_one_line(capsys, text, word, message):
    Path("neighbour.py").write_text("SCALE = 0.1\n")
    if text is not None:
        Path("m.py").write_text(text)
    line = fails(capsys, 1, word, "--steps", "1")
    assert re.search(message, line), line
    assert not Path("runs").exists() and str(Path.cwd()) not in sys.path


def test_the_same_file_may_be_imported_twice(own, monkeypatch):
    """By its path and as a module, as a notebook beside it does; another file with that name of a
    class is refused.
    """
    Path("mine/models.py").write_text(MIXER.replace("\n\nclass", "\n\n@zoo.register\nclass"))
    monkeypatch.syspath_prepend("mine")
    import models  # noqa: F401

    load_file("mine/models.py")
    Path("neighbour.py").write_text("SCALE = 0.1\n")
    Path("other.py").write_text(MIXER)
    with pytest.raises(ModelFileError, match="the name Mixer is taken by"):
        load_file("other.py")
    for name in ("models", "neighbour"):
        sys.modules.pop(name, None)


def test_the_flag_needs_a_file(own):
    assert take_classes(["a", "--classes=mine/models.py", "b"]) == (["a", "b"], ["mine/models.py"])
    for words in (["--classes"], ["a", "--classes", "--num"], ["--classes="]):
        with pytest.raises(ModelFileError, match="--classes needs a file"):
            take_classes(words)


def test_the_encoder_of_an_own_run_is_kept_as_a_folder(own, own_flags):
    assert cli.main([own, *own_flags, "--samples", "0"]) == 0
    recipe = parse("captioner", ["--encoder", own]).recipe
    assert recipe.encoder == "runs/Mixer"


BODY = "        n = self.num_sites\n"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "        return params[",
            "        return params\n        return params[",
            "^error: Mixer.__call__ returned .8, 10.; expected .8, 2, 5, 1. = .batch, .site_shape",
        ),
        (
            "params[",
            "(params,)\n        params[",
            r"Mixer.__call__ returned a tuple; expected \[8, 2",
        ),
        (
            "    ordering: zoo.Ordering = zoo.Ordering()\n",
            "",
            "^error: Mixer lacks the field ordering: declare site_shape, head and ordering .docs",
        ),
        (
            "def __call__",
            "def call",
            "^error: Mixer must define __call__: all conditionals at once",
        ),
        (
            "x, memory=None, *, train=False",
            "x",
            r"__call__ takes \(self, x\); expected \(self, x, memory=None, \*, train=False\)",
        ),
        ("tuple[int, ...] = (2, 5)", "int = 9", "^error: Mixer needs a site_shape of sizes.*got 9"),
        (
            BODY,
            "        raise ValueError('my own')\n",
            "^error: m.py:21: ValueError: my own. ZOO_TRA",
        ),
        (
            BODY,
            "        n = jnp.nil\n",
            "^error: m.py:21: AttributeError: .*'nil'. ZOO_TRACEBACK=1",
        ),
        (BODY, "        n = fails()\n", "^error: neighbour.py:4: ZeroDivisionError: division by"),
    ],
)
def test_faults_of_a_class_are_one_line(own_flags, capsys, old, new, message):
    Path("neighbour.py").write_text("SCALE = 0.1\n\ndef fails():\n    return 1 / 0\n")
    assert old in MIXER
    text = MIXER.replace(old, new, 1).replace("import SCALE", "import SCALE, fails")
    Path("m.py").write_text(text)
    sys.modules.pop("neighbour", None)
    line = fails(capsys, 1, "m.py:Mixer", *own_flags)
    assert re.search(message, line), line
    assert not Path("runs").exists()


def test_a_wrong_shape_is_refused_by_python_too():
    class Flat(zoo.MADE):
        """Its params have no axes of sites."""

        def __call__(self, x, memory=None, *, train=False):
            return super().__call__(x, memory, train=train).reshape(len(x), -1)

    model = Flat((2, 3), hidden=(4,))
    x = model.example(3)[0]
    with pytest.raises(
        ValueError, match=r"Flat.__call__ returned \[3, 6\]; expected \[3, 2, 3, 1\]"
    ):
        zoo.init(model, jax.random.key(0), x)


def test_the_whole_traceback_is_a_variable_away(own, own_flags, monkeypatch):
    Path("mine/models.py").write_text(MIXER.replace(BODY, "        raise ValueError('my own')\n"))
    monkeypatch.setenv("ZOO_TRACEBACK", "1")
    with pytest.raises(ValueError, match="^my own"):
        cli.main([own, *own_flags])


def test_the_place_of_an_error_in_a_helper(capsys):
    Path("broken_helper.py").write_text("import math\n\nmath.nothing\n")
    Path("m.py").write_text("import broken_helper\n")
    line = fails(capsys, 1, "m.py:M")
    assert line.endswith(
        "AttributeError: module 'math' has no attribute 'nothing' (broken_helper.py line 3)."
    )


def test_a_model_that_may_not_be_causal_is_warned_of(own, own_flags, capsys, monkeypatch):
    assert cli.main([own, *own_flags, "--samples", "0"]) == 0
    assert "causal" not in capsys.readouterr().err
    file = Path("mine/models.py")
    file.write_text(MIXER.replace("triu(kernel, 1)", "triu(kernel, 0)"))
    assert cli.main([own, *own_flags, "--samples", "0"]) == 0
    line = next(each for each in capsys.readouterr().err.splitlines() if "causal" in each)
    assert line.startswith("warning: Mixer may not be causal: ") and line.endswith(
        "the params at rank 0 depend on the value at rank 0; its nats are then no likelihood. "
        f"Run python -m sample.testing {own}."
    )


def test_an_analysis_that_fails_says_nothing(monkeypatch):
    monkeypatch.setattr(explanation, "derivation", lambda *_: 1 / 0)
    assert explanation.why_not_causal(zoo.FVSBN((2, 3))) is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("t.csv", "; for a table add --data.name table"),
        ("t.TXT", "; texts are read by models such as lstm, gru and transformer"),
        ("t.wav", "; sounds are read by wavenet: pass their folder"),
        ("t.xyz", " folder of image files"),
    ],
)
def test_a_file_of_another_kind_says_the_way_out(capsys, name, message):
    Path(name).write_text("a,b\n1,2\n")
    assert fails(capsys, 1, "made", "--data.path", name).endswith(message)
