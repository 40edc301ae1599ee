"""The documents: their code runs, their links lead somewhere, their terms are explained."""

import functools
import re
import string
from pathlib import Path

import conformance
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import sample.testing
import train.__main__
import zoo
from benchmarks.box.costs import NOTE, renewed
from sample.testing import suite
from zoo.formats import vocabulary
from zoo.foundation import registry

ROOT = Path(__file__).parents[1]
ADDING_A_MODEL = ROOT / "docs" / "adding_a_model.md"
DOCUMENTS = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / "train").rglob("*.md"),
]


def python_of(page):
    """The blocks of Python in a document."""
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)


def anchors_of(page):
    """The anchors of a document's headings, as a viewer of Markdown makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{page.name}: {link} leads nowhere"
        assert not anchor or anchor in anchors_of(target), f"{page.name}: {link} has no heading"


def test_every_document_is_linked_from_the_readme():
    """Directly, or from a document that the README links."""
    links = {page: set(re.findall(r"\]\(([^)#\s]+)", page.read_text())) for page in DOCUMENTS}
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached and page in links:
            reached.add(page)
            waiting += [(page.parent / link).resolve() for link in links[page]]
    assert {page for page in DOCUMENTS if page.parent != ROOT} <= reached


def test_readme_starts_with_what_it_is_two_commands_and_a_picture():
    first = "\n".join((ROOT / "README.md").read_text().splitlines()[:30])
    assert "make train MODEL=made" in first and "make sample MODEL=made" in first
    assert re.search(r"!\[[^]]+\]\(docs/\w+\.png\)", first)


def test_glossary_is_in_order():
    terms = re.findall(r"^\*\*(.+?)\.\*\*", (ROOT / "docs" / "glossary.md").read_text(), re.M)
    assert terms == sorted(terms, key=str.lower) and len(set(terms)) == len(terms) > 30


def tiny_models():
    """A model for each run that README's code opens, by the name of the run."""
    special = (vocabulary.PAD, vocabulary.END, vocabulary.UNKNOWN)
    characters, words = (*special, *string.printable), (*special, "a", "b")
    num = len(characters)
    return {
        "made": zoo.MADE(hidden=(8,)),
        "eonade": zoo.EoNADE(hidden=4),
        "lstm": zoo.LSTM(
            (16,), features=5, layers=1, vocabulary=characters, head=zoo.Categorical(num)
        ),
        "wavenet": zoo.WaveNet((64,), 4, 5, dilations=(1, 2), cycles=1, rate=500),
        "seq2seq_attention": zoo.Seq2SeqAttention(
            (5,),
            5,
            3,
            end=1,
            pad=0,
            vocabulary=characters,
            head=zoo.Categorical(num),
            source_vocabulary=characters,
            source_values=num,
        ),
        "show_attend_tell": zoo.ShowAttendTell(
            (5,),
            5,
            3,
            end=1,
            pad=0,
            vocabulary=words,
            head=zoo.Categorical(len(words)),
            image_shape=(8, 8),
            channels=(3,),
            halvings=1,
        ),
    }


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A folder with a run of each tiny model, a sound and a folder of pictures."""
    monkeypatch.chdir(tmp_path)
    for name, model in tiny_models().items():
        (tmp_path / "runs" / name).mkdir(parents=True)
        variables = zoo.init(model, jax.random.key(0), *model.example(1))
        zoo.save(tmp_path / "runs" / name / "model.safetensors", model, variables)
    zoo.write_wav("start.wav", np.zeros(50, np.float32), 500)
    Path("photos").mkdir()
    for i in range(2):
        Image.fromarray(np.full((8, 8), 100 * i, np.uint8)).save(f"photos/{i}.png")
    return tmp_path


def test_code_of_the_readme_runs(runs):
    """All blocks in turn, as a reader would paste them."""
    scope = {"__name__": "readme"}
    for block in python_of(ROOT / "README.md"):
        exec(compile(block, "README.md", "exec"), scope)
    assert scope["drawn"].texts and all(text.startswith("def ") for text in scope["drawn"].texts)
    assert (np.asarray(scope["completed"].x[:, :14]) == np.asarray(scope["upper"])).all()
    assert scope["frames"].shape[1:] == (64, 28, 28) and (runs / "drawn.gif").exists()
    assert scope["best"].x.shape == (2, 5, 5) and len(scope["captions"].texts) == 2


@functools.cache
def entry_of_the_page():
    """The entry that the page makes, once: equal models share compiled functions."""
    blocks = python_of(ADDING_A_MODEL)[2:]  # after those of CausalMixer
    assert len(blocks) == 3  # the model, its suite and `HiddenClass`
    exec(compile(blocks[0], str(ADDING_A_MODEL), "exec"), {"__name__": "example"})
    return zoo.CATALOGUE["leaky_memory"]


@pytest.fixture
def example(monkeypatch):
    monkeypatch.setattr(zoo.catalogue, "CATALOGUE", dict(zoo.CATALOGUE))
    monkeypatch.setattr(zoo, "CATALOGUE", zoo.catalogue.CATALOGUE)
    entry = zoo.CATALOGUE["leaky_memory"] = entry_of_the_page()
    zoo.register(type(entry.tiny))  # its twin has the same name
    return entry


@pytest.mark.parametrize(
    "check", conformance.CHECKS, ids=lambda check: check.__name__.removeprefix("check_")
)
def test_example_conforms(example, check):
    assert check(example) is None


def test_the_head_of_the_page_conforms(capsys):
    """The head is checked under a model, and by the three readings of its distribution alone."""
    page, scope = ROOT / "docs" / "adding_a_head.md", {"__name__": "head"}
    for block in python_of(page):
        exec(compile(block, str(page), "exec"), scope)
    head, params = scope["TruncatedGeometric"](5), jnp.array([[-0.7], [0.0], [2.5]])
    x = jnp.arange(5).repeat(3).reshape(5, 3)
    low, high = head.interval(params[None].repeat(5, 0), x)
    mass = jnp.exp(head.log_prob(params[None].repeat(5, 0), x))
    np.testing.assert_allclose(high - low, mass, atol=1e-6)
    middle = ((low + high) / 2)[..., None]
    assert (head.quantile(params[None].repeat(5, 0), middle) == x).all()
    assert "expected counts 0..4; got 0 to 9" in str(head.why_invalid(np.array([0, 9])))


def test_example_is_saved_and_loaded(example, tmp_path):
    assert conformance.check_checkpoint(example, tmp_path) is None


def test_the_model_from_noise_of_the_page_conforms(monkeypatch):
    monkeypatch.setattr(registry, "_CLASSES", dict(registry._CLASSES))
    scope = {"__name__": "noise", "nn": nn, "jax": jax, "zoo": zoo}
    exec(compile(python_of(ADDING_A_MODEL)[-1], str(ADDING_A_MODEL), "exec"), scope)
    model = scope["HiddenClass"]((2, 3), classes=3)
    for check in (suite.check_rows, suite.check_bound):
        check(zoo.Entry(model, model))


def test_the_own_model_of_the_document_is_trained_and_conforms(tmp_path, monkeypatch, capsys):
    """Its file is the first block and, after it, the recipe."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_CLASSES", dict(registry._CLASSES))
    Path("my_models.py").write_text("\n".join(python_of(ADDING_A_MODEL)[:2]))
    word = "my_models.py:CausalMixer"
    assert train.__main__.main([word, "--steps", "2", "--samples", "0"]) == 0
    out, err = capsys.readouterr()
    assert "test: " in out and "digits" in err and "warning" not in err
    model, variables = zoo.load("runs/CausalMixer")
    assert model.site_shape == (8, 8)
    zoo.derive(model, variables, 2, strict=True)
    sample.testing.check(type(model)((2, 3), features=4))


def test_costs_have_their_places_in_the_table():
    """`make bench-table` finds every model that draws one value at a time, and changes no other row."""
    page = (ROOT / "README.md").read_text()
    names = {
        name
        for name, entry in zoo.CATALOGUE.items()
        if isinstance(entry.paper, zoo.Autoregressive) and entry.paper.num_sites > 1
    }
    before, after = page.splitlines(), renewed(page, dict.fromkeys(names, 9.876), "a day.")
    changed = [new for old, new in zip(before, after.splitlines(), strict=True) if old != new]
    assert changed.pop() == f"{NOTE}a day."
    assert all(row.endswith("9.88 |") for row in changed)
    assert names == {name for row in changed for name in re.findall(r"`(\w+)`", row.split("|")[2])}
    assert renewed(page, {"fvsbn": 9.876}, "a day.").count("9.88") == 1
