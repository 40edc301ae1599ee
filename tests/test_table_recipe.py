"""The recipe and the sizes of a table follow the number of its rows."""

import dataclasses

import numpy as np
import pytest

import train
import zoo
from train.cli.options import parse
from train.data import Dataset, Split, load
from train.data.dataset import generator
from train.engine.prepare import shaped, shaped_inputs
from train.kinds.table import recipe_for
from train.recipe.presets import RECIPES
from train.recipe.recipe import Recipe


def table(rows, columns=3):
    x = Split(generator(rows).normal(size=(rows, columns)).astype(np.float32), None)
    return Dataset("x", "x", x, x, x, None, kind="table")


def test_the_recipe_of_a_table_fits_any_number_of_rows():
    few, many = recipe_for(5), recipe_for(1_000_000)
    assert few["batch_size"] == 5 and few["weight_decay"] == 1.0
    assert many["batch_size"] == 100 and many["steps"] == 10_000 and many["weight_decay"] < 1e-3
    decays = [recipe_for(rows)["weight_decay"] for rows in range(100, 50_000, 7_000)]
    assert decays == sorted(decays, reverse=True)
    for rows in (5, 80, 281, 1_279, 40_000):
        recipe = Recipe(zoo.RNADE(), **recipe_for(rows))
        assert recipe.patience * recipe.eval_every <= recipe.steps / 2


def test_hidden_units_follow_the_rows():
    stated = Recipe(zoo.RNADE())
    hidden = [shaped(stated, table(rows), ()).model.hidden for rows in (20, 10_000, 90_000)]
    assert hidden == [50, 100, 200]
    assert shaped(stated, table(10_000), {"hidden"}).model.hidden == 50
    assert shaped(Recipe(zoo.NADE(hidden=7)), table(20), ()).model.hidden == 7


@pytest.mark.parametrize("name", ["rnade", "made"])
def test_a_table_gets_its_recipe_but_for_what_flags_say(name):
    def trained(*words):
        options = parse(name, ["--data.name", "diabetes", *words])
        recipe = shaped_inputs(options.recipe, options.fixed)[0]
        return {field: getattr(recipe, field) for field in recipe_for(1)}

    rows = len(load(train.Data("diabetes")).train.x)
    assert trained() == recipe_for(rows)
    words = ("--steps", "7", "--weight-decay=0")
    assert trained(*words) == recipe_for(rows) | {"steps": 7, "weight_decay": 0.0}
    paper = RECIPES[name]["paper"]
    assert trained("--preset", "paper") == {field: getattr(paper, field) for field in recipe_for(1)}


def test_images_and_tables_of_levels_keep_the_recipe():
    levels = table(300)
    ones = Split((levels.train.x > 0).astype(np.uint8), None)
    levels = dataclasses.replace(levels, train=ones, valid=ones, num_levels=2)
    for model in (zoo.NADE((3,)), zoo.MADE(hidden=(4,))):
        stated = Recipe(model)
        assert dataclasses.replace(shaped(stated, levels, ()), model=model) == stated


def test_an_own_recipe_stays_and_a_default_one_follows_the_table(tmp_path):
    file = tmp_path / "mine.py"
    text = "import zoo\nclass Mine(zoo.RNADE):\n    pass\n"
    file.write_text(text)
    words = ["--data.name", "diabetes"]

    def trained():
        options = parse(f"{file}:Mine", words)
        return shaped_inputs(options.recipe, options.fixed)[0]

    assert trained().weight_decay == recipe_for(354)["weight_decay"]
    file.write_text(
        f"{text}from train import Data, Recipe\n"
        "RECIPES = {'Mine': Recipe(Mine((13,)), Data('wine'), steps=9)}\n"
    )
    found = trained()
    assert (found.steps, found.weight_decay, found.model.site_shape) == (9, 0.0, (10,))


def test_fit_trains_a_table_by_its_recipe_and_says_so(capsys):
    x, model = table(200).train.x, zoo.FVSBN((3,), zoo.MixtureOfGaussians(1))
    history = train.fit(model, x, steps=2).history
    said = capsys.readouterr().err
    assert f"weight_decay={recipe_for(180)['weight_decay']}" in said and "steps=" not in said
    assert history.learning_rate.max() > 1e-3  # half of the warm-up to 5e-3


@pytest.mark.slow
def test_small_tables_are_described_as_well_as_measured():
    """Standardised nats of validation; one recipe for all tables had 13.2 and 7.6."""
    for name, most in {"wine": 13.6, "breast_cancer": 2.0}.items():
        data = load(train.Data(name))
        model, _, history = train.fit(zoo.RNADE(), data.train.x, valid=data.valid.x)
        assert history.valid_nats.min() + model.log_jacobian < most, name
