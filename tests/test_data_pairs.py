"""Pairs of texts: written dates, Multi30k, own files; their vocabularies, splits and what is
refused.
"""

import dataclasses
import gzip
import lzma
import sys

import numpy as np
import pytest

import zoo
from train.data import Data, DataError
from train.data.sources import published_files
from train.data.sources import translations as made
from train.engine.prepare import check_trainable, fitted, inputs
from train.kinds import load
from train.recipe.recipe import Recipe
from zoo.formats import tsv
from zoo.formats import vocabulary as tokens


@pytest.fixture
def few_dates(monkeypatch):
    monkeypatch.setattr(made, "TRAINED", 3000)
    monkeypatch.setattr(made, "HELD_OUT", 200)


def texts(split, vocabulary):
    return ["".join(each) for each in tokens.texts_of(split, vocabulary)]


def test_dates_are_seeded_disjoint_and_unambiguous(few_dates):
    dataset, again = load(Data("dates")), load(Data("dates"))
    days, meaning = [], {}
    for split, same, count in zip(
        (dataset.train, dataset.valid, dataset.test),
        (again.train, again.valid, again.test),
        (3000, 200, 200),
        strict=True,
    ):
        assert (
            (split.x == same.x).all()
            and (split.context == same.context).all()
            and len(split.x) == count
        )
        sources, targets = (
            texts(split.context, dataset.source_vocabulary),
            texts(split.x, dataset.vocabulary),
        )
        assert all(
            meaning.setdefault(source, day) == day
            for source, day in zip(sources, targets, strict=True)
        )
        days.append(set(targets))
    assert not (days[0] & days[1] or days[0] & days[2] or days[1] & days[2])
    assert (
        min(map(len, days[2])) == 10
        and min(days[0]) >= "1900-01-01"
        and max(days[0]) <= "2099-12-31"
    )
    assert dataset.vocabulary == (*tokens.SPECIAL, "-", *"0123456789") and dataset.unit == "char"
    assert dataset.pairs[7] == (
        texts(dataset.test.context, dataset.source_vocabulary)[7], texts(dataset.test.x, dataset.vocabulary)[7]
    )  # fmt: skip
    written = " ".join(source for source, _ in dataset.pairs)
    assert (
        any(c in written for c in "αβγ")
        and any(c in written for c in "年月日")
        and "de " in written
    )


def test_every_way_to_write_a_date_says_the_day(few_dates):
    """Day and month in figures are told apart by their order, and every year has four digits."""
    for source, day in load(Data("dates")).pairs:
        year, month, number = day.split("-")
        assert year in source and str(int(number)) in source
        figures = "".join(c if c.isdigit() else " " for c in source).split()
        if len(figures) == 3:
            order = [int(each) for each in figures]
            assert order in (
                [int(year), int(month), int(number)],
                [int(number), int(month), int(year)],
            )


def test_several_dates_in_a_line(few_dates):
    dataset = load(Data("dates", items=3))
    counts = np.bincount([target.count(" ") + 1 for _, target in dataset.pairs])
    assert (
        (counts[1:] > 30).all() and len(counts) == 4 and "1 to 3 in a line" in dataset.description
    )
    assert all(source.count("; ") == target.count(" ") for source, target in dataset.pairs)


def test_words_need_sacremoses(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "sacremoses", None)
    tokens._moses.cache_clear()
    with pytest.raises(
        DataError, match="pairs.tsv: words need sacremoses: pip install 'autoregressive-zoo.text.'"
    ):
        load(dataclasses.replace(own(tmp_path), unit="word"))


def test_characters_that_occur_once_are_unknown(tmp_path):
    data = own(tmp_path, [f"{chr(0x4E00 + i)} {i % 5}\t{i % 5}" for i in range(40)])
    often, every = load(data), load(dataclasses.replace(data, least=1))
    assert len(every.source_vocabulary) - len(often.source_vocabulary) == 32, (
        "a sign of its own in each training source"
    )
    assert (often.train.context == 2).sum() == 32 and not (every.train.context == 2).any()


def test_there_is_at_least_one_date_in_a_line():
    with pytest.raises(DataError, match="--data.items must be at least 1; got 0"):
        load(Data("dates", items=0))


def test_dates_need_babel(monkeypatch):
    monkeypatch.setitem(sys.modules, "babel", None)
    with pytest.raises(
        DataError, match="dates needs babel: pip install 'autoregressive-zoo.text.'"
    ):
        load(Data("dates"))


LINES = [f"Satz {i % 17} Nr. {i}\tThe sentence's no. {i}, is it?" for i in range(40)]


def own(tmp_path, lines=LINES):
    path = tmp_path / "pairs.tsv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Data("pairs", path=str(path))


def test_own_pairs_by_characters_and_by_words(tmp_path):
    by_char = load(own(tmp_path))
    assert [len(split.x) for split in (by_char.train, by_char.valid, by_char.test)] == [32, 4, 4]
    assert sorted("\t".join(pair) for pair in by_char.pairs) == sorted(
        set(LINES) & {"\t".join(p) for p in by_char.pairs}
    )
    assert texts(by_char.test.x, by_char.vocabulary) == [target for _, target in by_char.pairs]
    data = own(tmp_path)
    by_word = load(Data("pairs", path=data.path, unit="word", least=2))
    assert {"the", "sentence", "'s", "is", ",", "?"} <= set(
        by_word.vocabulary
    ) and by_word.unit == "word"
    unknown = int((by_word.test.x == 2).sum() + (by_word.test.context == 2).sum())
    assert f"({unknown:,} of its" in by_word.description and unknown > 0
    text = tokens.joined(tokens.texts_of(by_word.test.x, by_word.vocabulary)[0], "word")
    assert text in (
        "the sentence's no. <unk>, is it?",
        f"the sentence's no. {by_word.pairs[0][0].split()[-1]}, is it?",
    )


def test_the_same_source_is_in_one_split_only(tmp_path):
    dataset = load(own(tmp_path, [f"{i % 20}\t{i}" for i in range(200)]))
    sources = [
        set(texts(split.context, dataset.source_vocabulary))
        for split in (dataset.train, dataset.valid, dataset.test)
    ]
    assert [len(each) for each in sources] == [16, 2, 2] and len(set.union(*sources)) == 20


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            [*LINES, "only one"],
            "pairs.tsv, line 41: 1 columns; expected source and target separated by a tab",
        ),
        ([*LINES[:3], "a\tb\tc", *LINES], "pairs.tsv, line 4: 3 columns"),
        ([*LINES, "", "a\t "], "pairs.tsv, line 42: an empty column"),
        ([""], "pairs.tsv is empty; expected source and target"),
        (LINES[:9], "holds 9 different sources; at least 10 are needed"),
    ],
)
def test_what_are_no_pairs_is_refused(lines, message, tmp_path):
    with pytest.raises(ValueError, match=message) as caught:
        load(own(tmp_path, lines))
    assert "\n" not in str(caught.value)


def test_files_that_are_no_pairs_are_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no file .*nothing.tsv"):
        load(Data("pairs", path=str(tmp_path / "nothing.tsv")))
    with pytest.raises(ValueError, match="is a folder, not a file; expected source and target"):
        load(Data("pairs", path=str(tmp_path)))
    (tmp_path / "latin.tsv").write_bytes("größe\tsize\n".encode("latin-1"))
    with pytest.raises(ValueError, match="latin.tsv is not a text in UTF-8"):
        load(Data("pairs", path=str(tmp_path / "latin.tsv")))
    with pytest.raises(DataError, match="pairs needs your own data: pass --data.path FILE.tsv"):
        load(Data("pairs"))


def test_multi30k_from_its_text_files(tmp_path):
    (tmp_path / "task1_raw").mkdir()
    for split, count in (("train", 30), ("val", 4), ("test_2016_flickr", 5)):
        for language, word in (("de", "Hund"), ("en", "dog")):
            lines = "".join(f"Ein {word}, {i}. {split[0]}\n" for i in range(count)).encode()
            (tmp_path / "task1_raw" / f"{split}.{language}.gz").write_bytes(gzip.compress(lines))
    dataset = load(Data("multi30k", path=str(tmp_path)))
    assert [len(split.x) for split in (dataset.train, dataset.valid, dataset.test)] == [30, 4, 5]
    assert (
        "dog" in dataset.vocabulary
        and "hund" in dataset.source_vocabulary
        and dataset.unit == "word"
    )
    assert "Multi30k de-en" in dataset.description
    with pytest.raises(DataError, match="multi30k: .*no train.fr or train.fr.gz"):
        load(Data("multi30k", path=str(tmp_path), target="fr"))
    (tmp_path / "train.de").write_text("eine Zeile\n")
    with pytest.raises(DataError, match="train has 1 lines of de but 30 of en"):
        load(Data("multi30k", path=str(tmp_path)))
    with pytest.raises(DataError, match="multi30k needs its text files: pass --data.path FOLDER"):
        load(Data("multi30k"))


def multi30k(folder, source, target):
    """The training split has these texts, the others a pair each."""
    for split, texts in (
        ("train", (source, target)),
        ("val", (b"a\n", b"b\n")),
        ("test_2016_flickr", (b"a", b"b")),
    ):
        for language, text in zip(("de", "en"), texts, strict=True):
            (folder / f"{split}.{language}").write_bytes(text)
    return Data("multi30k", path=str(folder), least=1)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (b"\xef\xbb\xbfa\nb\nc\n", b"A\nB\nC"),
        (b"a\nb\nc\n\n\n", b"A\nB\nC\n\n\n"),
        (b"\na\nb\nc\n", b"X\nA\nB\nC\n"),
        (b"a\r\nb\r\n\r\nc\r\n", b"A\nB\nX\nC\n"),
    ],
)
def test_lines_of_multi30k_stay_side_by_side(source, target, tmp_path):
    dataset = load(multi30k(tmp_path, source, target))
    sources, targets = (
        texts(dataset.train.context, dataset.source_vocabulary),
        texts(dataset.train.x, dataset.vocabulary),
    )
    assert (sources, targets) == (["a", "b", "c"], ["a", "b", "c"])


def test_a_corrupt_file_of_multi30k_is_named(tmp_path):
    data, whole = multi30k(tmp_path, b"a\n", b"A\n"), gzip.compress(b"a\n" * 99)
    (tmp_path / "train.de").unlink()
    for content in (whole[:10] + b"\xff" * 9, whole[:15], b"no gzip"):
        (tmp_path / "train.de.gz").write_bytes(content)
        with pytest.raises(DataError, match="train.de.gz cannot be read .*; fetch it again"):
            load(data)


@pytest.mark.slow
def test_the_published_multi30k(standard_data):
    dataset = load(Data("multi30k", path=str(standard_data / "multi30k")))
    assert [len(split.x) for split in (dataset.train, dataset.valid, dataset.test)] == [
        29_000,
        1_014,
        1_000,
    ]
    assert dataset.train.x.shape[1] <= 45 and 5_000 < len(dataset.vocabulary) < 7_000


def test_a_model_learns_from_the_data_what_only_they_know(tmp_path):
    recipe = Recipe(zoo.Seq2SeqAttention((40,), 8, 4), own(tmp_path), batch_size=8)
    dataset = inputs(recipe)
    model = fitted(recipe, dataset).model
    assert (
        model.vocabulary == dataset.vocabulary
        and model.source_vocabulary == dataset.source_vocabulary
    )
    assert (model.head.num_values, model.source_values) == (
        len(model.vocabulary),
        len(model.source_vocabulary),
    )
    assert (model.pad, model.end, model.source_pad) == (0, 1, 0) and dataset.test.x.shape[1] == 40
    check_trainable(fitted(recipe, dataset), dataset)
    with pytest.raises(
        DataError,
        match="pairs.tsv has sequences of up to ([0-9]+) tokens .* pass --model.site-shape \\1\\.",
    ):
        inputs(Recipe(zoo.Seq2Seq((20,)), own(tmp_path)))


def test_a_source_may_have_more_kinds_of_tokens_than_the_recipe_says(tmp_path):
    (tmp_path / "pairs.tsv").write_text(
        "".join(f"word{i} again{i}\tno {i % 3}\n" for i in range(400))
    )
    data = Data("pairs", path=str(tmp_path / "pairs.tsv"), unit="word", least=1)
    recipe = Recipe(zoo.Seq2Seq((8,), 4), data)
    dataset = inputs(recipe)
    assert len(dataset.source_vocabulary) > 600 > recipe.model.source_values


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            {"unit": "word"},
            "a token of pairs.tsv is a char, not a word: pass --data.unit word instead",
        ),
        ({"end": 2}, "--model.end comes from pairs.tsv, which says otherwise: drop --model.end"),
        ({"pad": 3}, "--model.pad"),
        ({"vocabulary": ("a", "b")}, "--model.vocabulary"),
        ({"source_values": 100}, "--model.source-values"),
        ({"source_vocabulary": ("a", "b")}, "--model.source-vocabulary"),
        ({"source_pad": 1}, "--model.source-pad"),
    ],
)
def test_what_the_data_say_is_not_the_models_to_choose(said, message, tmp_path):
    with pytest.raises(DataError, match=message):
        inputs(Recipe(zoo.Seq2Seq((40,), 8, 4, **said), own(tmp_path)))
    if said == {"unit": "word"}:
        inputs(
            Recipe(
                zoo.Seq2Seq((40,), 8, 4, **said), dataclasses.replace(own(tmp_path), unit="word")
            )
        )
    recipe = Recipe(zoo.Seq2Seq((40,), 8, 4), own(tmp_path))
    inputs(fitted(recipe, inputs(recipe)))


def test_models_and_data_must_fit(tmp_path):
    with pytest.raises(
        DataError,
        match="pairs.tsv holds pairs of texts, but LSTM describes text: .* such as python_docs",
    ):
        inputs(Recipe(zoo.LSTM(), own(tmp_path)))
    with pytest.raises(
        DataError,
        match="mnist_1bit holds images, but Seq2Seq describes pairs of texts: .* such as dates",
    ):
        inputs(Recipe(zoo.Seq2Seq()))


@pytest.mark.parametrize("unit", ["char", "word"])
def test_tokens_there_and_back(unit):
    text = "Wie spät ist's? (Halb zehn, 9:30.)"
    pieces = tokens.pieces(text, unit)
    vocabulary = tokens.vocabulary([pieces])
    rows, unknown = tokens.codes([pieces, pieces[:3]], vocabulary, end=True)
    assert unknown == 0 and rows[1, 3:].tolist() == [1] + [0] * (rows.shape[1] - 4)
    back = [tokens.joined(each, unit) for each in tokens.texts_of(rows, vocabulary)]
    assert (
        back[0] == (text if unit == "char" else "wie spät ist's? (halb zehn, 9: 30.)")
        and tokens.pieces(back[0], unit) == pieces
    )
    assert (
        tokens.joined(tokens.pieces('हिन्दी: 3.5 "und" $5', "word"), "word") == 'हिन्दी: 3.5 "und" $5'
    )
    strange, unknown = tokens.codes([tokens.pieces("Zürj €", unit)], vocabulary, end=False)
    assert unknown == (5 if unit == "char" else 2) and (strange == 2).sum() == unknown


STRANGE = ["\r", "\t", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]


@pytest.mark.parametrize("strange", STRANGE)
def test_lines_mean_the_same_wherever_they_are_read_and_written(strange, tmp_path):
    texts = [f"no {i} of{strange}them" for i in range(4)]
    whole = "".join(f"{text}\n" for text in texts).encode()
    for split in ("train", "val", "test_2016_flickr"):
        for language in ("de", "en"):
            (tmp_path / f"{split}.{language}").write_bytes(whole)
    for unit in ("char", "word"):
        dataset = load(Data("multi30k", path=str(tmp_path), least=1, unit=unit))
        assert len(dataset.train.x) == 4 and dataset.pairs == tuple(
            (f"no {i} of them",) * 2 for i in range(4)
        )
        (tmp_path / "test.tsv").write_text(tsv.rows_of(dataset.pairs), "utf-8", newline="")
        assert tsv.read_pairs(tmp_path / "test.tsv") == list(dataset.pairs)
    if strange == "\t":
        return
    (tmp_path / "own.tsv").write_bytes("".join(f"{text}\t{text}\n" for text in texts).encode())
    assert tsv.read_pairs(tmp_path / "own.tsv") == list(dataset.pairs)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_ends_of_lines_of_all_systems(end, tmp_path):
    (tmp_path / "own.tsv").write_bytes(
        f"\ufeffSource\tTarget{end}a b\tc{end}{end}d\te{end}".encode()
    )
    assert tsv.read_pairs(tmp_path / "own.tsv") == [("a b", "c"), ("d", "e")]


def test_rows_are_read_as_they_were_written(tmp_path):
    for rows in ([("target", "Source"), ("a", "b")], [("a", "b")], [("x\ty", " z\n")]):
        (tmp_path / "own.tsv").write_text(tsv.rows_of(rows), "utf-8")
        assert tsv.read_pairs(tmp_path / "own.tsv") == [
            tuple(map(tsv.one_line, row)) for row in rows
        ]


@pytest.mark.parametrize("kind", [gzip, lzma])
def test_a_packed_file_is_not_unpacked_without_end(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(published_files, "UNPACKED", 10**6)
    path = tmp_path / ("train.de.gz" if kind is gzip else "input.txt.xz")
    path.write_bytes(kind.compress(bytes(10**6)))
    assert len(published_files.unpacked(path)) == 10**6
    path.write_bytes(kind.compress(bytes(10**6 + 1)))
    with pytest.raises(DataError, match=f"{path.name} unpacks to more than 1,000,000 bytes"):
        load(Data("multi30k", path=str(tmp_path))) if kind is gzip else published_files.read_manual(
            tmp_path, "input.txt", ""
        )
