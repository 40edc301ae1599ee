"""`sample.testing`: the conformance suite on anybody's model."""

import re

import jax.numpy as jnp
import numpy as np
import pytest
import test_mutants

import sample
import zoo
from sample.testing import __main__ as main
from sample.testing import subject, suite

LINES = re.compile(r"^(ok|failed|skipped) +(\w+)(?:: (.+))?$", re.M)


class OneSite(zoo.FVSBN):
    """A class whose default fields make a tiny instance."""

    site_shape: tuple[int, ...] = (1,)


class WithTiny(zoo.FVSBN):
    """A class that names its tiny instance."""

    @staticmethod
    def tiny():
        return WithTiny((2, 2))


class NeedsHidden(zoo.FVSBN):
    """A class without a tiny instance."""

    hidden: int = zoo.NADE.__dataclass_fields__["hidden"].default

    def __post_init__(self):
        raise TypeError("missing 1 required positional argument: 'hidden'")


def lines(capsys):
    return {name: (outcome, why) for outcome, name, why in LINES.findall(capsys.readouterr().out)}


def test_a_line_and_a_result_per_check(capsys):
    results = sample.testing.check(OneSite)
    printed = lines(capsys)
    assert list(printed) == [each.__name__.removeprefix("check_") for each in suite.CHECKS]
    assert [(each.outcome, each.why) for each in results] == list(printed.values())
    skipped = {name: why for name, (outcome, why) in printed.items() if outcome == "skipped"}
    assert skipped == {
        "alive": "there is one site, so nothing for it to depend on",
        "context": "it takes no context",
        "completion": "there is one site, so nothing to complete",
        "checkpoint": "the class OneSite is not registered; put @zoo.register above its definition",
    }


@pytest.mark.parametrize(
    "mutant",
    [
        pytest.param("constant", marks=pytest.mark.slow),
        pytest.param("stale cache", marks=pytest.mark.slow),
        "sigmoid twice",
    ],
)
def test_a_broken_model_fails_after_all_checks(mutant, capsys):
    model, check, why = test_mutants.MODELS[mutant]
    with pytest.raises(AssertionError, match="breaks the contract: .*checks failed") as caught:
        sample.testing.check(model)
    outcome, reason = lines(capsys)[check.removeprefix("check_")]
    assert outcome == "failed" and re.search(why, reason)
    assert len(caught.value.results) == len(suite.CHECKS)


def test_a_model_that_cannot_be_called_fails_in_one_line(capsys):
    class Broken(zoo.FVSBN):
        def __call__(self, x, memory=None, *, train=False):
            raise RuntimeError("first line\nsecond line")

    with pytest.raises(sample.testing.ConformanceError, match="initial of 16 checks failed"):
        sample.testing.check(Broken((2, 2)))
    printed = lines(capsys)
    assert printed.pop("initial") == ("failed", "RuntimeError: first line second line")
    assert set(printed.values()) == {("skipped", "the model could not be initialised")}


def test_large_spaces_are_not_enumerated():
    entry = zoo.Entry(zoo.FVSBN(), zoo.FVSBN())
    for check in suite.CHECKS:
        why = suite.why_skipped(check, entry)
        if check in suite.ENUMERATED:
            assert "2^784; pass a tiny instance" in why
        else:
            assert why is None or check in (suite.check_context, suite.check_derived)
    reals = zoo.RNADE((3,), 4)
    assert "real numbers in 3 dimensions" in suite.why_skipped(
        suite.check_normalised, zoo.Entry(reals, reals)
    )


def test_every_check_means_something_for_the_catalogue():
    for entry in zoo.CATALOGUE.values():
        checks = suite.checks_of(entry.tiny)
        skipped = {each for each in checks if suite.why_skipped(each, entry)}
        free, one_site = entry.example(entry.tiny, 1)[1] is None, entry.tiny.num_sites == 1
        expected = {suite.check_context: free, suite.check_alive: one_site}
        expected[suite.check_completion] = one_site
        expected[suite.check_derived] = (
            getattr(type(entry.tiny), "step", None) is zoo.Autoregressive.step
        )
        wanted = {each for each, is_skipped in expected.items() if is_skipped and each in checks}
        assert skipped == wanted


def test_a_class_stands_for_its_tiny_instance():
    assert subject.tiny_of(WithTiny) == WithTiny((2, 2))
    assert subject.tiny_of(zoo.MADE) == zoo.CATALOGUE["made"].tiny
    assert subject.tiny_of(OneSite) == OneSite()


def test_given_examples_are_repeated():
    model = zoo.CATALOGUE["captioner"].tiny
    x, images = zoo.example(model, 3)
    entry = subject.subject_of(model, (x, images))
    got, context = entry.example(model, 7)
    np.testing.assert_array_equal(got, np.asarray(x)[[0, 1, 2, 0, 1, 2, 0]])
    np.testing.assert_array_equal(context, np.asarray(images)[[0, 1, 2, 0, 1, 2, 0]])
    assert suite.why_skipped(suite.check_context, entry) is None
    alike = subject.subject_of(model, (x, np.repeat(images[:1], 3, axis=0)))
    assert "pass different ones" in suite.why_skipped(suite.check_context, alike)


@pytest.mark.parametrize(
    ("model", "example", "why"),
    [
        (3, None, "expected a model such as zoo.MADE"),
        (dict, None, "dict is no class of models: derive it from zoo.Autoregressive"),
        (NeedsHidden, None, "cannot be made without arguments .*'hidden'.*pass a tiny instance"),
        (zoo.FVSBN((2, 2)), jnp.zeros((3, 2), jnp.int32), r"x must have shape \[batch, 2, 2\]"),
        (zoo.FVSBN((2, 2)), np.zeros((1, 2, 2), int), "at least 2 rows"),
        (zoo.FVSBN((2, 2)), (1, 2, 3), r"a pair of arrays \(x, context\) or x alone"),
        (zoo.CATALOGUE["captioner"].tiny, zoo.example(zoo.FVSBN((4,)), 3)[0], "cannot condition"),
    ],
)
def test_wrong_subjects_end_in_one_line(model, example, why):
    with pytest.raises(ValueError, match=why) as caught:
        sample.testing.check(model, example)
    assert "\n" not in str(caught.value)


def test_chi_square_is_fair_with_few_cells():
    from sample.testing.spaces import assert_counts

    assert_counts(np.array([5_050, 4_950]), np.array([5_000.0, 5_000.0]))
    with pytest.raises(AssertionError, match="chi-square 36 with 1 degrees"):
        assert_counts(np.array([5_300, 4_700]), np.array([5_000.0, 5_000.0]))
    with pytest.raises(AssertionError, match="too few cells"):
        assert_counts(np.array([10]), np.array([10.0]))


MODELS = """
import jax.numpy as jnp
import zoo

class Peeking(zoo.FVSBN):
    site_shape: tuple[int, ...] = (1, 2)

    def __call__(self, x, memory=None, *, train=False):
        return super().__call__(x) + x[..., None].astype(jnp.float32)

TINY = zoo.FVSBN((1,))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One folder for all tests: a class of another file may not have the name of a registered one."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "my_models.py").write_text(MODELS)
    return folder


@pytest.fixture
def model_file(folder, monkeypatch):
    monkeypatch.chdir(folder)


def test_the_command_checks_a_class_and_an_instance_of_a_file(model_file, capsys):
    with pytest.raises(ValueError, match="Peeking breaks the contract: .*causal"):
        main.run(main.Options("my_models.py:Peeking"))
    assert lines(capsys)["checkpoint"] == ("ok", "")  # naming the file registers its classes
    assert main.subject_named("my_models.py:TINY") == zoo.FVSBN((1,))
    assert main.subject_named("made") == zoo.CATALOGUE["made"].tiny


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("my_models.py:Peking", "no class 'Peking'; .*Did you mean my_models.py:Peeking"),
        ("none.py:Peeking", "no model file none.py"),
        ("mode", "unknown model 'mode'; .*Did you mean 'made'"),
    ],
)
def test_the_command_refuses_in_one_line(model_file, word, why):
    with pytest.raises(ValueError, match=why) as caught:
        main.run(main.Options(word))
    assert "\n" not in str(caught.value)
