"""From sources to sentences: in Python, on the command line, and scored."""

import json
import subprocess
import sys

import jax
import numpy as np
import pytest
from commands import argv
from PIL import Image

import sample
import sample.__main__ as cli
import train.__main__ as training
import zoo
from benchmarks import lengths

PAIRS = [
    f"{word} {number}\t{number} {word[::-1]}"
    for word in ("abc", "bca", "cab", "aab")
    for number in range(10, 40)
]
OPTIONS = [
    "--data.name",
    "pairs",
    "--model.features",
    "16",
    "--model.embedding",
    "8",
    "--model.site-shape",
    "7",
]

FIELDS = (
    "site_shape",
    "features",
    "embedding",
    "unit",
    "vocabulary",
    "head",
    "source_values",
    "source_vocabulary",
)


pytestmark = pytest.mark.slow  # a training by the command line


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A short training by the command line, the same without attention and not trained, and how the
    sampler was called.
    """
    folder, words = tmp_path_factory.mktemp("runs"), []
    (folder / "pairs.tsv").write_text("\n".join(PAIRS) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.execv", lambda program, argv: words.extend(argv))
        argv = [
            "seq2seq_attention",
            *OPTIONS,
            "--data.path",
            str(folder / "pairs.tsv"),
            "--steps",
            "30",
            "--warmup",
            "3",
        ]
        argv += [
            "--batch-size",
            "8",
            "--eval-every",
            "15",
            "--run-dir",
            str(folder / "seq2seq_attention"),
        ]
        assert training.main(argv) == 0
    model, _ = zoo.load(folder / "seq2seq_attention")
    fixed = zoo.Seq2Seq(**{field: getattr(model, field) for field in FIELDS})
    (folder / "seq2seq").mkdir()
    zoo.save(
        folder / "seq2seq/model.safetensors",
        fixed,
        zoo.init(fixed, jax.random.key(0), *zoo.example(fixed, 2)),
    )
    return folder, words


@pytest.fixture(scope="module")
def source(runs):
    return zoo.load(runs[0] / "seq2seq_attention")


def test_one_command_trains_and_says_nats_per_token(runs, source):
    folder, words = runs
    run = folder / "seq2seq_attention"
    results, test = (
        json.loads((run / "results.json").read_text()),
        (run / "test.tsv").read_text().splitlines(),
    )
    assert results["unit"] == "token" and 0 < results["nats"] < np.log(16)
    assert set(test) <= set(PAIRS) and len(test) == 12 and words[-3:] == ["-m", "sample", str(run)]
    codes = [
        zoo.formats.vocabulary.codes(
            [list(line.split("\t")[side]) for line in test], vocabulary, end=side == 1
        )[0]
        for side, vocabulary in enumerate((source[0].source_vocabulary, source[0].vocabulary))
    ]
    assert results["num"] == (codes[1] != 0).sum()
    nats = -float(zoo.log_prob(*source, codes[1], codes[0]).sum()) / results["num"]
    assert results["nats"] == pytest.approx(nats, rel=1e-4)


def test_translations_are_what_the_search_finds(source):
    model, variables = source
    sources = [pair.split("\t")[0] for pair in PAIRS[::7]]
    made = sample.translate(source, sources, beam=3, attention=True, batch_size=4)
    codes, unknown = zoo.formats.vocabulary.codes(
        [list(each) for each in sources], model.source_vocabulary, end=False
    )
    found = sample.search(model, variables, codes, beam=3)
    texts = [
        "".join(each)
        for each in zoo.formats.vocabulary.texts_of(np.asarray(found.x[:, 0]), model.vocabulary)
    ]
    assert made.texts == texts and made.unknown == unknown == 0
    np.testing.assert_allclose(made.log_prob, found.log_prob[:, 0], rtol=1e-4, atol=1e-5)
    weights = np.asarray(zoo.attention_weights(model, variables, found.x[:, 0], codes))
    for i, each in enumerate(made.attention):
        assert each.shape == (len(made.texts[i]), len(sources[i]))
        np.testing.assert_allclose(
            each, weights[i, : each.shape[0], : each.shape[1]], rtol=1e-3, atol=1e-5
        )
        np.testing.assert_allclose(each.sum(1), 1, rtol=1e-4)


def test_samples_instead_of_a_search(source):
    sources = ["abc 10"] * 20
    drawn = sample.translate(source, sources, beam=None, key=jax.random.key(1))
    again = sample.translate(source, sources, beam=None, key=jax.random.key(1), batch_size=6)
    assert drawn.texts == again.texts and len(set(drawn.texts)) > 1
    greedy = sample.translate(source, sources[:1], beam=1)
    assert greedy.log_prob[0] >= drawn.log_prob.max() - 1e-4 or greedy.texts[0] not in drawn.texts


def test_sources_longer_than_those_trained_on(source):
    made = sample.translate(source, ["abc 10 " * 6], length=30, attention=True)
    assert made.attention[0].shape == (len(made.tokens[0]), 41) and len(made.tokens[0]) <= 30


def test_what_is_cut_off_says_so(source):
    whole = sample.translate(source, [" abc 10 ", "bca 33"], beam=1)
    assert whole.texts == sample.translate(source, ("abc 10", "bca 33"), beam=1).texts
    part = sample.translate(source, ["abc 10", "bca 33"], beam=1, length=2)
    assert whole.ended.tolist() == [len(text) < source[0].num_sites for text in whole.tokens]
    assert part.ended.tolist() == [len(text) < 2 for text in part.tokens] and not part.ended.all()


def test_unknown_characters_are_counted(source):
    made = sample.translate(source, ["abc 10", "§bc 1€"])
    assert made.unknown == 2 and len(made.texts) == 2


@pytest.mark.parametrize(
    ("sources", "options", "message"),
    [
        ([""], {}, "the source '' is empty: it has no char"),
        ([" \t"], {}, "the source .* is empty: it has no char"),
        ([], {}, "sources must be a list of texts, at least one"),
        ("abc", {}, "sources must be a list of texts, at least one; got 'abc'"),
        (
            ["abc"],
            {"beam": 99},
            "beam must be 1..[0-9]+, the size of the model's vocabulary; got 99",
        ),
        (["abc"], {"beam": 0}, "beam must be a whole number of at least 1; got 0"),
        (["abc"], {"length": 0}, "length must be a whole number of at least 1; got 0"),
        (["abc"], {"batch_size": 0}, "batch_size must be a whole number of at least 1; got 0"),
    ],
)
def test_what_has_no_meaning_is_refused(source, sources, options, message):
    with pytest.raises(ValueError, match=message):
        sample.translate(source, sources, **options)


def test_models_that_cannot_translate_say_so(runs):
    with pytest.raises(ValueError, match="FVSBN does not translate"):
        sample.translate((zoo.CATALOGUE["fvsbn"].tiny, {}), ["a"])
    with pytest.raises(ValueError, match="this Seq2Seq has no vocabulary"):
        sample.translate((zoo.CATALOGUE["seq2seq"].tiny, {}), ["a"])
    with pytest.raises(ValueError, match="Seq2Seq has no attention"):
        sample.translate(runs[0] / "seq2seq", ["abc 10"], attention=True)


def test_the_command_line_translates(runs, capsys):
    run = runs[0] / "seq2seq_attention"
    cli.run(argv(run, source=("abc 10", "c€b 33"), attention=True))
    out = capsys.readouterr().out
    assert out.count(" nats)") == 2 and "1 of 12 chars read are not in the vocabulary" in out
    picture = np.asarray(Image.open(run / "alignment.png"))
    assert picture.std() > 10 and f"alignment: {run / 'alignment.png'}" in out


def test_the_command_line_translates_a_file_and_scores_it(runs, capsys, tmp_path):
    run = runs[0] / "seq2seq_attention"
    cli.run(argv(run))
    out, report = capsys.readouterr().out, json.loads((run / "scores.json").read_text())
    assert (
        f"exact match {100 * report['exact']:.2f} %" in out
        and report["bleu"] is None
        and "12 sentences" in out
    )
    assert len((run / "translations.tsv").read_text().splitlines()) == report["num"] == 12
    (tmp_path / "own.tsv").write_text("abc 10\t10 cba\n" * 3)
    cli.run(argv(run, pairs=tmp_path / "own.tsv", num=2, beam=0))
    assert "exact samples: exact match" in capsys.readouterr().out
    cli.run(argv(run, pairs=tmp_path / "own.tsv", beam=1))
    assert len((run / "translations_own.tsv").read_text().splitlines()) == 3
    assert json.loads((run / "scores.json").read_text()) == report, "they are of the test split"


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("seq2seq", {"attention": True, "source": ("abc",)}, "Seq2Seq has no attention to draw"),
        ("seq2seq", {"beam": -1}, "--beam must be at least 1, or 0 to draw samples; got -1"),
        ("seq2seq", {"beam": 77, "source": ("abc",)}, "beam must be 1.."),
    ],
)
def test_flags_without_meaning_are_refused(runs, name, changes, message):
    with pytest.raises(ValueError, match=message):
        cli.run(argv(runs[0] / name, **changes))


def test_a_run_without_pairs_asks_for_some(source, tmp_path):
    zoo.save(tmp_path / "model.safetensors", *source)
    with pytest.raises(
        ValueError, match="nothing to translate: pass --source TEXT or --pairs FILE.tsv"
    ):
        cli.run(argv(tmp_path))


def test_scores():
    perfect = sample.scores(["Two dogs play in the snow ."], ["two dogs play in the snow."], "word")
    assert perfect.exact == 1 and perfect.bleu == pytest.approx(100)
    half = sample.scores(["a dog runs on the grass", "b"], ["a dog runs on the grass", "c"], "char")
    assert half.exact == 0.5 and 0 < half.bleu < 100 and "exact match 50.00 %" in str(half)
    with pytest.raises(ValueError, match="each text needs a reference; got 1 and 2"):
        sample.scores(["a"], ["a", "b"], "char")
    assert sample.scores(["one"], ["one"], "word").bleu is None  # too short for BLEU
    several = sample.scores(
        ["a cat sat on it", "no"], [("a dog sat", "a cat sat on it"), "yes"], "word"
    )
    assert several.exact == 0.5 and several.bleu > 80
    asian = ["犬が雪の中で遊ぶ"], ["犬が雪の上で遊ぶ"]
    assert (
        sample.scores(*asian, "char").bleu is None
        and sample.scores(*asian, "char", tokenize="char").bleu > 30
    )


def test_scores_without_sacrebleu(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)
    assert "no BLEU (it needs sentences of four words, and sacrebleu: pip install" in str(
        sample.scores(["a"], ["a"], "char")
    )


def test_alignments_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(
        ValueError,
        match="an alignment of 3 tokens read and 2 written needs weights of shape .2, 3.",
    ):
        sample.save_alignment(
            tmp_path / "a.png", np.ones((3, 2), np.float32), ["a", "b"], ["x", "y", "z"]
        )


@pytest.mark.slow
def test_the_default_recipe_reads_dates(tmp_path):
    """At least 99.5 % of unseen days, with attention."""
    command = [
        sys.executable,
        "-m",
        "train",
        "seq2seq_attention",
        "--run-dir",
        str(tmp_path / "run"),
    ]
    subprocess.run(command, check=True, timeout=3600)
    assert json.loads((tmp_path / "run" / "scores.json").read_text())["exact"] >= 0.995


@pytest.mark.slow
def test_curves_of_exact_match_by_length(runs, source, tmp_path, capsys):
    """A point is a group of sources, and longer ones than those of the training are read as well."""
    pairs = [("abc 1", "x"), ("abc 12", "y"), ("abc 10 " * 4, "z")]
    right = sample.translate(source, [pairs[1][0]]).texts[0] or "?"
    points = lengths.exact_by_length(*source, [*pairs, (pairs[1][0], right)], 10)
    assert points[:, 2].tolist() == [3, 1] and points[1].tolist() == [27, 0, 1]
    assert points[0, 0] == pytest.approx(17 / 3) and points[0, 1] in (0, pytest.approx(1 / 3))
    (tmp_path / "pairs.tsv").write_text(
        "".join(f"{source}\t{target}\n" for source, target in pairs)
    )
    folders = tuple(str(runs[0] / name) for name in ("seq2seq", "seq2seq_attention"))
    out = tmp_path / "lengths.png"
    lengths.main(lengths.Options(folders, tmp_path / "pairs.tsv", out=out, trained=6))
    assert "Seq2SeqAttention: 27 tokens, exact match 0.0 % of 1" in capsys.readouterr().out
    assert np.asarray(Image.open(out)).std() > 10
    with pytest.raises(ValueError, match="width must be at least 1"):
        lengths.exact_by_length(*source, pairs, 0)
