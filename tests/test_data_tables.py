"""Tables of real numbers: the bundled ones, red wine, your own, and what is wrong with them."""

import dataclasses
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import train.__main__ as cli
import train.cli.evaluate
import zoo
from train.cli import reproduce
from train.data import Batches, Data, DataError
from train.engine.prepare import fitted, inputs
from train.kinds import load
from train.recipe import published
from train.recipe.presets import RECIPES
from train.recipe.recipe import Recipe
from train.runs.folder import Run


def written(folder, lines, name="t.csv"):
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def table(tmp_path):
    """Two columns of very different scales that depend on each other."""
    rng = np.random.RandomState(0)
    first = rng.normal(1000.0, 0.5, 200)
    rows = np.stack([first, 0.01 * (first - 1000) + 0.001 * rng.normal(size=200)], axis=1)
    return written(tmp_path, ["length,width", *(f"{a:.6f},{b:.6f}" for a, b in rows)])


@pytest.mark.parametrize(
    ("name", "shape"), [("wine", (178, 13)), ("breast_cancer", (569, 30)), ("diabetes", (442, 10))]
)
def test_bundled_tables(name, shape):
    dataset = load(Data(name))
    sizes = [len(split.x) for split in (dataset.train, dataset.valid, dataset.test)]
    assert (
        sum(sizes) == shape[0]
        and dataset.train.x.shape[1:] == shape[1:]
        and dataset.num_levels is None
    )
    assert sizes[1] == sizes[2] == shape[0] // 10 and dataset.train.x.dtype == np.float32
    assert f"{shape[1]} columns, fold 0 of 10, test split of {sizes[2]}" in dataset.description


def test_folds_partition_the_rows():
    whole = np.concatenate([load(Data("wine", fold=fold)).test.x for fold in range(10)])
    split = load(Data("wine", fold=3))
    parts = np.concatenate([split.train.x, split.valid.x, split.test.x])
    assert len(whole) == 178 and (np.unique(whole, axis=0) == np.unique(parts, axis=0)).all()
    assert (split.valid.x == load(Data("wine", fold=4)).test.x).all()


def test_csv_with_and_without_names(tmp_path, table):
    named = load(Data("table", path=str(table)))
    lines = table.read_text().splitlines()
    bare = load(
        Data(
            "wine",
            path=str(written(tmp_path, [line.replace(",", ";") for line in lines[1:]], "bare.csv")),
        )
    )
    assert (named.name, bare.name) == ("t.csv", "bare.csv")
    assert (named.train.x == bare.train.x).all() and named.description.startswith(
        "t.csv, 2 columns"
    )
    assert bare.description.startswith("bare.csv, no line of names, 2 columns")
    assert named.train.x.shape == (160, 2) and len(named.valid.x) == len(named.test.x) == 20


GOOD = [f"{i},{i * i}" for i in range(30)]


@pytest.mark.parametrize("header", ['"a;1;2","b"', "b,", "a,NA", "a,a", '"a\nb;",c', "\na,b"])
def test_lines_of_names(tmp_path, header):
    large = [f"{1e9 + 2**20 * i:g},{i}" for i in range(30)] if header == "a,a" else GOOD
    assert len(load(Data("table", path=str(written(tmp_path, [header, *large])))).train.x) == 24


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a,b", *GOOD[:20], "20,red"], r"t.csv, line 22: 'b' is 'red', no finite number"),
        (["a,b", "x,2", *GOOD], r"line 2: 'a' is 'x'"),
        (["1,red", *GOOD], r"line 1: 'column 2' is 'red'.*line of names must not hold numbers"),
        (["a,a", *GOOD, "1,red"], r"line 32: 'a \(column 2\)' is 'red'"),
        ([",b", *GOOD, "x,1"], r"line 32: 'column 1' is 'x'"),
        (["a,b,", *[f"{line}," for line in GOOD]], r"line 2: 'column 3' is missing"),
        (["a,b", "1_000,2", *GOOD], r"'a' is '1_000', no finite number"),
        (["a,b", "1e39,2", *GOOD], r"'a' has values up to 1e\+39.*rescale"),
        (
            ["a,b", *[f"{i}e-40,{i}" for i in range(30)]],
            r"'a' has .* a standard deviation of .*rescale",
        ),
        (
            ["t,b", *[f"{1700000000 + 7 * i},{i}" for i in range(30)]],
            r"'t' would be rounded to steps of 128",
        ),
        (
            ["a b", *[line.replace(",", "  ") for line in GOOD]],
            r"'a b' is '0  0'.*pass --data.sep space",
        ),
        (
            ["a;b", *[f"{i},5;{i}" for i in range(30)]],
            r"'a' is '0,5'.*write a point for the decimal comma",
        ),
        (
            ["1,5;2,5", *[f"{i},5;{i}" for i in range(30)]],
            r"line 2: '1,5' is '0,5'.*write a point for the decimal comma",
        ),
        (
            ["a,b", *[f'"{i},234",{i}' for i in range(30)]],
            r"'a' is '0,234'.*no comma between thousands, and a point",
        ),
        (["", "a;b", "1;x", *GOOD], r"line 3: 'b' is 'x'"),
        (["a,b", '"1,2', *GOOD], r"line 2: .*is a quote not closed there"),
        (["a,b", '"1,2' + "3" * 200_000, *GOOD], r"line 2: .*field larger"),
        (["a,b", "1,", *GOOD], r"line 2: 'b' is missing \(''\)"),
        (["a,b", *GOOD, "", "?,3"], r"line 33: 'a' is missing \('\?'\)"),
        (["a,b", "inf,3", *GOOD], r"line 2: 'a' is 'inf', no finite number"),
        (["a,b", *GOOD, "1,2,3"], r"line 32: 3 cells, expected 2"),
        (["a,b", *[f"{i},7" for i in range(30)]], r"'b' is constant, 7 in every training row"),
        (GOOD[:19], r"19 rows; at least 20"),
        ([], r"is empty"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, lines, message):
    with pytest.raises(DataError, match=message) as caught:
        load(Data("table", path=str(written(tmp_path, lines))))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "index", "ID", "row", "#"])
@pytest.mark.parametrize("first", [0, 1, 100])
def test_an_index_is_no_column(name, first, tmp_path):
    lines = [f"{name},a", *(f"{first + i},{i * i % 17}.5" for i in range(30))]
    data = Data("table", path=str(written(tmp_path, lines)))
    with pytest.raises(
        DataError, match=f"counts the rows, from {first} to {first + 29}.* pass --data.drop "
    ) as caught:
        load(data)
    assert "\n" not in str(caught.value)
    advice = shlex.split(str(caught.value).partition("--data.drop ")[2].partition(", or")[0])
    dropped = load(dataclasses.replace(data, drop=tuple(advice)))
    assert dropped.train.x.shape == (24, 1) and not dropped.notes
    kept = load(
        Data(
            "table",
            path=str(written(tmp_path, [f"age{lines[0].replace(name, '', 1)}", *lines[1:]])),
        )
    )
    assert kept.train.x.shape == (24, 2)
    assert kept.notes == (
        f"'age' counts the rows, from {first} to {first + 29}; --data.drop age leaves it out",
    )


def test_an_index_without_a_line_of_names(tmp_path):
    path = written(tmp_path, [f"{i},{i * i % 17}.5" for i in range(30)])
    with pytest.raises(
        DataError, match="'column 1' counts the rows, from 0 to 29, .*--data.drop 'column 1'"
    ):
        load(Data("table", path=str(path)))
    dataset = load(Data("table", path=str(path), drop=("column 1",)))
    assert dataset.train.x.shape == (24, 1) and "no line of names" in dataset.description
    assert dataset.notes == (
        "the first line is a row, not names; if it holds names pass --data.header yes",
    )


@pytest.mark.parametrize("first", ["0,1,2", "1990,1991,1992", ",0,1", "400,-5,17"])
def test_a_line_of_numbers_may_be_names(first, tmp_path):
    rows = [[f"{(7 * i + k) % 31}.5" for k in range(3)] for i in range(40)]
    if first == "400,-5,17":
        ambiguous = Data(
            "table", path=str(written(tmp_path, [first, *(",".join(row) for row in rows)]))
        )
    else:
        lines = [first, *(",".join(each.replace(".5", "") for each in row) for row in rows)]
        ambiguous = Data("table", path=str(written(tmp_path, lines)))
    with pytest.raises(
        DataError,
        match=f"is the first line, {first}, a line of names or a row. Pass --data.header yes or",
    ):
        load(ambiguous)
    sizes = []
    for header in ("yes", "no"):
        try:
            dataset = load(dataclasses.replace(ambiguous, header=header))
            sizes.append(
                sum(len(split.x) for split in (dataset.train, dataset.valid, dataset.test))
            )
        except DataError as error:
            assert (
                first == ",0,1" and header == "no" and "line 1: 'column 1' is missing" in str(error)
            )
            sizes.append(41)
    assert sizes == [40, 41]


def test_a_column_that_is_dropped_may_hold_anything(tmp_path):
    path = written(
        tmp_path, ["a,colour,b", *(f"{i * i},{'red' if i % 2 else ''},{-i}" for i in range(30))]
    )
    dataset = load(Data("table", path=str(path), drop=("colour",)))
    assert dataset.train.x.shape == (24, 2)
    with pytest.raises(DataError, match="'colour' is missing .*--data.drop colour"):
        load(Data("table", path=str(path)))
    with pytest.raises(
        DataError, match="no column 'color' to drop; its columns are 'a', 'colour', 'b'"
    ):
        load(Data("table", path=str(path), drop=("color",)))
    with pytest.raises(DataError, match="--data.drop leaves no column"):
        load(Data("table", path=str(path), drop=("a", "b", "colour")))
    with pytest.raises(
        DataError, match="--data.drop is for your own data at --data.path, not for wine"
    ):
        load(Data("wine", drop=("a",)))


ROWS = [(i * i % 37 + 0.5, i % 7, ("red", "blue", "green")[i % 3]) for i in range(40)]


def dialect(separator, decimal=".", names=True):
    lines = [separator.join((str(a).replace(".", decimal), str(b), c)) for a, b, c in ROWS]
    return [separator.join(("size", "n", "colour")), *lines] if names else lines


@pytest.mark.parametrize(("separator", "decimal", "fields"), [
    ("\t", ".", {}),
    (";", ",", {"decimal": "comma"}),
    ("\t", ",", {"decimal": ","}),
    ("   ", ".", {"sep": "space"}),
    (" \t ", ",", {"sep": "space", "decimal": "comma"}),
    ("|", ".", {"sep": "bar"}),
    ("/", ".", {"sep": "/"}),
])  # fmt: skip
def test_tables_of_all_writings(tmp_path, separator, decimal, fields):
    plain = load(Data("table", path=str(written(tmp_path, dialect(","))), one_hot=("colour",)))
    path = written(tmp_path, dialect(separator, decimal), "other.txt")
    other = load(Data("table", path=str(path), one_hot=("colour",), **fields))
    assert (plain.train.x == other.train.x).all() and (plain.test.x == other.test.x).all()
    assert other.column_names == ("size", "n", "colour=green", "colour=red")
    assert "have no density" in other.notes[0]


def test_columns_are_chosen_and_words_encoded(tmp_path):
    path = written(tmp_path, dialect(","))

    def given(**fields):
        return load(Data("table", path=str(path), **fields))

    chosen = given(columns=("n", "size"))
    assert chosen.column_names == ("n", "size") and chosen.train.x.shape[1:] == (2,)
    rows = {(n, size) for size, n, _ in ROWS}
    assert {tuple(row) for row in chosen.train.x.tolist()} <= rows
    words = given(one_hot=("colour",), columns=("colour", "n"))
    bits = {(n, c == "green", c == "red") for _, n, c in ROWS}
    assert {(n, g, r) for g, r, n in words.train.x.tolist()} <= bits
    assert given(one_hot=("colour",), drop=("n", "colour=red")).column_names == (
        "size", "colour=green",
    )  # fmt: skip
    for fields, message in [
        ({}, "'colour' is 'red', no finite number; .*--data.drop colour.*--data.one-hot colour"),
        ({"columns": ("weight",)}, "no column 'weight' to keep; its columns are 'size', 'n'"),
        ({"columns": ("n",), "drop": ("size",)}, "exclude each other"),
        ({"columns": ("n", "n")}, "twice"),
        ({"one_hot": ("hue",)}, "no column 'hue' for --data.one-hot"),
        ({"sep": "ab"}, "--data.sep is auto, comma"),
        ({"decimal": "dot"}, "--data.decimal is point or comma"),
        ({"decimal": "comma"}, "cannot both separate columns and begin decimals"),
    ]:
        with pytest.raises(DataError, match=message):
            given(**fields)
    many = written(tmp_path, ["a,word", *(f"{i * i % 17},w{i}" for i in range(120))], "many.csv")
    with pytest.raises(DataError, match="for 2 to 100 different words, and there are 120"):
        load(Data("table", path=str(many), one_hot=("word",)))


def test_a_point_is_no_decimal_comma(tmp_path):
    """1.234 may be a thousand and more."""
    lines = ["a;b", *(f"{i},5;{i}" for i in range(30)), "1.234;1"]
    with pytest.raises(DataError, match="line 32: 'a' is '1.234', .*a comma for the decimal point"):
        load(Data("table", path=str(written(tmp_path, lines)), decimal="comma"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Data("table"), "pass --data.path FILE.csv"),
        (Data("table", path="absent.csv"), "there is no file absent.csv"),
        (Data("table", path="~no such user/t.csv"), "there is no file ~no such user/t.csv"),
        (
            Data("red_wine", path="absent.csv"),
            "red_wine: there is no absent.csv.*folds of the RNADE paper",
        ),
        (Data("wine", fold=10), "--data.fold must be 0..9; got 10"),
        (Data("wine", binarise="dynamic"), "drop --data.binarise"),
        (Data("wne"), "did you mean wine"),
    ],
)
def test_refusals(data, message):
    with pytest.raises(DataError, match=message):
        load(data)


def test_red_wine(standard_data, tmp_path):
    paper = [
        load(Data("red_wine", path=str(standard_data / "rnade_red_wine"), fold=k))
        for k in range(10)
    ]
    uci = load(Data("red_wine", path=str(standard_data / "uci" / "winequality-red.csv")))
    assert [len(fold.test.x) for fold in paper] == [159] * 9 + [168]
    whole = np.concatenate([fold.test.x for fold in paper])
    ours = np.concatenate([uci.train.x, uci.valid.x, uci.test.x])
    assert whole.shape == ours.shape == (1599, 11)
    assert (whole[np.lexsort(whole.T)] == ours[np.lexsort(ours.T)]).all()
    damaged = tmp_path / "red_wine.hdf5"
    damaged.write_bytes(b"\x89HDF" + bytes(100))
    with pytest.raises(DataError, match="is not the original"):
        load(Data("red_wine", path=str(damaged)))


def test_batches_of_a_table_are_a_function_of_the_step():
    split = load(Data("diabetes")).train
    x, context = Batches(split, 16, seed=3)(40)
    assert (
        x.dtype == np.float32 and context is None and (x == Batches(split, 16, seed=3)(40)[0]).all()
    )


def test_standardisation_is_that_of_the_training_split(table):
    recipe = Recipe(zoo.RNADE((2,), hidden=4), Data("table", path=str(table)), batch_size=16)
    dataset = inputs(recipe)
    model = fitted(recipe, dataset).model
    np.testing.assert_allclose(model.shift, dataset.train.x.astype(np.float64).mean(0), rtol=1e-6)
    np.testing.assert_allclose(model.scale, dataset.train.x.astype(np.float64).std(0), rtol=1e-6)
    discrete = RECIPES["nade_categorical"]["cpu"]
    assert fitted(discrete, inputs(discrete)) == discrete
    with pytest.raises(DataError, match=r"examples of shape \[2\].*--model.site-shape 2"):
        inputs(dataclasses.replace(recipe, model=zoo.RNADE((3,))))
    with pytest.raises(
        DataError, match=r"real values, but a Bernoulli head .* such as mixtureofgaussians:10"
    ):
        inputs(dataclasses.replace(recipe, model=zoo.NADE((2,))))
    with pytest.raises(DataError, match=r"levels, but a MixtureOfGaussians head"):
        inputs(dataclasses.replace(recipe, model=zoo.RNADE((8, 8)), data=Data("digits")))


FLAGS = "--model.site-shape 2 --model.hidden 8 --steps 60 --batch-size 16 --eval-every 20 --learning-rate 0.02 --samples 0"


def test_training_on_a_table_from_the_command_line(table, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    head = ["--model.head", "mixtureoflaplacians:3:0.05"]
    assert (
        cli.main(
            ["rnade", "--data.name", "table", "--data.path", str(table), *FLAGS.split(), *head]
        )
        == 0
    )
    run = Run(Path("runs/rnade"))
    model, results = zoo.load(run.model)[0], json.loads(run.results.read_text())
    assert isinstance(model, zoo.Standardised) and model.model.head == zoo.MixtureOfLaplacians(
        3, 0.05
    )
    assert run.name_and_recipe()[1].model == model.model
    assert results["nats_standardised"] == pytest.approx(
        results["nats"] - np.log(model.scale).sum()
    )
    assert results["nats_standardised"] < 2.8  # two independent standard normal columns: 2.84
    line = f"{results['nats_standardised']:.2f} nats of the standardised columns"
    assert line in capsys.readouterr().out
    assert train.cli.evaluate.main(["runs/rnade"]) == 0
    assert line in capsys.readouterr().out
    assert train.cli.evaluate.main(["runs/rnade", "--orderings", "2"]) == 1
    assert "RNADE was not trained for all orderings of its sites" in capsys.readouterr().err


@pytest.fixture
def order_agnostic(table, tmp_path, monkeypatch):
    """The command line of an EoNADE of that table."""
    monkeypatch.chdir(tmp_path)
    real = [
        "--data.name",
        "table",
        "--data.path",
        str(table),
        "--model.head",
        "mixtureofgaussians:2:0.05",
    ]
    return ["eonade", *real, *FLAGS.split(), "--model.num-orderings", "1"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--model.hidden", "0"], "EoNADE needs hidden of at least 1; got 0"),
        (["--model.layers", "0"], "EoNADE needs layers of at least 1; got 0"),
        (["--model.num-orderings", "0"], "EoNADE needs num_orderings of at least 1; got 0"),
        (
            ["--model.num-orderings", "3"],
            "num_orderings must be at most 2, as many as 2 sites have; got 3",
        ),
    ],
)
def test_what_a_model_of_a_table_cannot_be_is_refused_at_once(
    order_agnostic, capsys, flags, message
):
    assert cli.main([*order_agnostic, *flags]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and not Path("runs").exists()


def test_orderings_of_a_table(order_agnostic, capsys):
    assert cli.main([*order_agnostic, "--steps", "2"]) == 0
    assert train.cli.evaluate.main(["runs/eonade", "--orderings", "2"]) == 0
    assert "test, ensemble of 2: " in capsys.readouterr().out
    assert train.cli.evaluate.main(["runs/eonade", "--ensemble"]) == 1
    assert "this EoNADE is one model and no ensemble" in capsys.readouterr().err


def test_arrays_are_no_table(tmp_path):
    np.save(tmp_path / "x.npy", np.eye(3))
    with pytest.raises(DataError, match=r"a table is a \.csv\. .* --data\.name images"):
        load(Data("table", path=str(tmp_path / "x.npy")))


def test_the_list_of_rows_is_aligned(capsys):
    assert reproduce.main([]) == 0
    lines = capsys.readouterr().out.splitlines()[2:]
    starts = {tuple(word.start() for word in re.finditer(r"(?<=  )\S", line)) for line in lines}
    assert len(lines) > 20 and len(starts) == 1


def test_rows_are_reproduced_and_resumed(table, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model = zoo.RNADE((2,), hidden=4, head=zoo.MixtureOfGaussians(2, 0.05))
    recipe = Recipe(model, Data("red_wine", path=str(table)), steps=4, batch_size=16)
    folds = tuple(
        dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, fold=k)) for k in (0, 1)
    )
    monkeypatch.setitem(
        published.ROWS, "small", published.Row("rnade", folds, 1.5, "nats", "nats_standardised")
    )
    arguments = ["small", "--data.path", str(table)]  # or --path
    assert reproduce.main(arguments) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    results = [json.loads(Run(Path("runs/reproduce/small") / k).results.read_text()) for k in "01"]
    mean = np.mean([result["nats_standardised"] for result in results])
    assert (
        line.startswith("| small | UCI red wine, folds of its own, 2 columns")
        and f"| 1.50 | {mean:.2f} +- " in line
    )
    monkeypatch.setattr(reproduce, "train_run", None)  # a finished row is not trained again
    assert reproduce.main(arguments) == 0 and capsys.readouterr().out.splitlines()[-1] == line
    assert reproduce.main([]) == 0 and "binarized_mnist" in capsys.readouterr().out
    longer = tuple(dataclasses.replace(fold, steps=fold.steps + 1) for fold in folds)
    monkeypatch.setitem(
        published.ROWS, "small", published.Row("rnade", longer, 1.5, "nats", "nats_standardised")
    )
    assert (
        reproduce.main(arguments) == 1
        and "another configuration: steps is" in capsys.readouterr().err
    )
    assert reproduce.main(["nade", "--path", "x"]) == 1
    assert (
        "--path is where red wine lies, and the row nade has other data" in capsys.readouterr().err
    )
    assert reproduce.main(["nde"]) == 1 and "Did you mean 'nade'?" in capsys.readouterr().err


def test_a_row_of_an_ensemble_has_its_error(tmp_path, monkeypatch, capsys):
    ensemble = {"nats": 85.1, "standard_error": 0.25, "members": 128}
    report = {
        "nats": 89.0,
        "standard_error": 0.75,
        "data": "digits",
        "seed": 0,
        "hardware": "abacus",
        "seconds": 3.0,
    }
    monkeypatch.setattr(reproduce, "run_recipe", lambda *_: {**report, "ensemble": ensemble})
    assert reproduce.main(["eonade", "--runs", str(tmp_path)]) == 0
    assert "| 85.10 | 85.10 +- 0.25 |" in capsys.readouterr().out


@pytest.mark.parametrize("name", list(published.ROWS))
def test_rows_are_runnable(name):
    row = published.ROWS[name]
    assert row.name in RECIPES and all(isinstance(recipe, Recipe) for recipe in row.recipes)
    assert (row.number == "ensemble") == (len(row.recipes[0].model.members()) > 1)


def test_data_that_changed_are_refused(table, tmp_path, capsys):
    flags = [
        "--model.site-shape",
        "2",
        "--model.hidden",
        "4",
        "--batch-size",
        "16",
        "--samples",
        "0",
    ]
    run = tmp_path / "run"
    assert (
        cli.main(
            [
                "rnade",
                "--data.name",
                "table",
                "--data.path",
                str(table),
                "--steps",
                "3",
                *flags,
                "--run-dir",
                str(run),
            ]
        )
        == 0
    )
    (run / "results.json").unlink()
    assert train.cli.evaluate.main([str(run)]) == 0
    before = table.read_bytes()
    table.write_bytes(before.replace(b"1000.", b"2000.", 1))
    capsys.readouterr()
    for command in (["rnade", "--resume", "--samples", "0", "--run-dir", str(run)], [str(run)]):
        main = cli.main if "--resume" in command else train.cli.evaluate.main
        assert main(command) == 1
        error = capsys.readouterr().err
        assert "was trained on other data than t.csv" in error and error.count("\n") == 1
    table.write_bytes(before)
    assert cli.main(["rnade", "--resume", "--samples", "0", "--run-dir", str(run)]) == 0
    (run / "results.json").write_text("{")
    assert cli.main(["rnade", "--resume", "--samples", "0", "--run-dir", str(run)]) == 1
    assert "results.json cannot be read" in capsys.readouterr().err
