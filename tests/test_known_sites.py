"""Any known sites from the command line, posterior marginals, and pages of surprise."""

import conformance
import jax
import numpy as np
import pytest
from commands import argv
from PIL import Image

import sample
import sample.__main__ as cli
import zoo
from zoo.formats.vocabulary import BYTES

EONADE = zoo.EoNADE((2, 3), hidden=4)
FVSBN = zoo.FVSBN((2, 3))
SPACE = np.stack(np.meshgrid(*[[0, 1]] * 6), -1).reshape(64, 2, 3)


def save_mask(path, known):
    Image.fromarray(np.asarray(known, np.uint8) * 255).save(path)
    return path


def test_averaged_marginals_follow_the_posterior():
    variables = conformance.variables_of(FVSBN)
    known = np.array([[True, True, False], [False, False, False]])
    values = np.array([[1, 0, 9], [9, 9, 9]])  # unknown values are ignored
    found = sample.marginals(FVSBN, variables, jax.random.key(0), values, known, num=2000)
    joint = np.exp(np.asarray(zoo.log_prob(FVSBN, variables, SPACE), np.float64))
    joint *= (SPACE[:, 0, 0] == 1) & (SPACE[:, 0, 1] == 0)
    wanted = (joint[:, None, None] * SPACE).sum(0) / joint.sum()
    np.testing.assert_allclose(found.probabilities[..., 1], wanted, atol=0.04)
    np.testing.assert_allclose(found.probabilities[0, 2, 1], wanted[0, 2], atol=1e-5)  # the first
    assert found.draws == 2000 and found.probabilities[0, :2, 1].tolist() == [1, 0]
    np.testing.assert_allclose(found.probabilities.sum(-1), 1, atol=1e-5)


def test_marginals_of_one_pass_are_exact():
    variables = conformance.variables_of(EONADE)
    known = np.array([[False, True, False], [True, False, False]])
    values = SPACE[37]
    found = sample.marginals(EONADE, variables, jax.random.key(0), values, known)
    assert found.draws == 0
    for site in (0, 2, 4, 5):  # as the site that an ordering visits right after the known ones
        rest = [each for each in (0, 2, 4, 5) if each != site]
        model = EONADE.clone(ordering=zoo.Ordering(permutation=(1, 3, site, *rest)))
        params = np.asarray(zoo.conditionals(model, variables, values[None])).reshape(6)
        wanted = 1 / (1 + np.exp(-params[site]))
        np.testing.assert_allclose(found.probabilities.reshape(6, 2)[site, 1], wanted, rtol=1e-4)


def test_marginals_refuse():
    model = zoo.RNADE((3,), hidden=2)
    with pytest.raises(ValueError, match="probabilities of single levels.*real numbers"):
        sample.marginals(model, {}, jax.random.key(0), np.zeros(3), np.zeros(3, bool))
    variables = conformance.variables_of(FVSBN)
    with pytest.raises(ValueError, match="prefix"):
        known = np.array([[False, True, False], [False] * 3])
        sample.marginals(FVSBN, variables, jax.random.key(0), SPACE[0], known, num=2)
    with pytest.raises(ValueError, match="FVSBN has no conditionals given any known sites"):
        zoo.conditionals_given(FVSBN, variables, SPACE[:1], known)


@pytest.fixture
def run(tmp_path):
    zoo.save(tmp_path / "model.safetensors", EONADE, conformance.variables_of(EONADE))
    return tmp_path


def test_a_mask_is_completed(run, capsys):
    known = np.array([[0, 1, 0], [1, 0, 1]])
    mask = save_mask(run / "mask.png", known)
    np.save(run / "x.npy", SPACE[[5, 50]].astype(np.uint8))
    cli.run(argv(run, known=mask, images=run / "x.npy", num=3, scale=1, marginals=True))
    printed = capsys.readouterr().out
    assert "3 of 6 pixels of 2 images kept, 3 completions of each" in printed
    assert "exact, in one pass" in printed
    with Image.open(run / "completions.png") as picture:
        sheet = np.asarray(picture)
    for row, x in enumerate(SPACE[[5, 50]]):
        for column in range(2, 5):
            top, left = 1 + 3 * row, 1 + 4 * column
            panel = sheet[top : top + 2, left : left + 3] // 255
            assert (panel[known == 1] == x[known == 1]).all()
    with Image.open(run / "completions_marginals.png") as picture:
        assert picture.size == (3 * 4 + 1, 2 * 3 + 1)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.ones((3, 3)), "has 3x3 pixels; expected those of the model, 2x3"),
        (np.ones((2, 3)), "is all white, so nothing is left to draw"),
        (np.zeros((2, 3)), "is all black, so nothing is known"),
        (np.full((2, 3), 0.5), "must be black and white"),
        (None, "there is no mask"),
    ],
)
def test_masks_that_are_refused(run, mask, message):
    if mask is not None:
        Image.fromarray((mask * 255).astype(np.uint8)).save(run / "mask.png")
    with pytest.raises(ValueError, match=message) as caught:
        cli.run(argv(run, known=run / "mask.png"))
    assert "\n" not in str(caught.value)


def test_flags_that_exclude_each_other(run):
    with pytest.raises(ValueError, match="--complete and --known both say what is kept"):
        cli.run(argv(run, known="m.png", complete=1))
    with pytest.raises(ValueError, match="--marginals are given known pixels"):
        cli.run(argv(run, marginals=True))
    with pytest.raises(ValueError, match="--known makes a picture of its own"):
        cli.run(argv(run, known="m.png", gif=True))


def test_a_page_is_escaped_and_coloured(tmp_path):
    model = zoo.GRU((3,), vocabulary=('"', "&", "<", "\n"), head=zoo.Categorical(4))
    path = sample.save_surprise_page(tmp_path / "a.html", model, [[2, 1, 0, 3]], [[0.0, 3, 99, 1]])
    page = path.read_text()
    body = page[page.index("<pre>") :]
    assert 'background:rgb(255,255,255)" title="0.00 nats">&lt;</span>' in body
    assert 'background:rgb(255,128,128)" title="3.00 nats">&amp;</span>' in body
    assert 'background:rgb(255,0,0)" title="99.00 nats">&quot;</span>' in body
    assert "<script" not in page and "http" not in page
    with pytest.raises(ValueError, match="a number for each"):
        sample.save_surprise_page(path, model, [[2, 1]], [[0.0]])


def test_nats_of_a_character_of_several_bytes_are_summed(tmp_path):
    model = zoo.GRU((3,), vocabulary=BYTES, head=zoo.Categorical(256))
    path = sample.save_surprise_page(tmp_path / "a.html", model, [list("ü!".encode())], [[1, 2, 4]])
    page = path.read_text()
    assert 'title="3.00 nats">ü</span>' in page and 'title="4.00 nats">!</span>' in page


@pytest.mark.slow
def test_surprise_of_a_text_and_of_sounds(tmp_path, capsys):
    model = zoo.GRU((8,), features=4, layers=1, vocabulary=tuple("ab<"), head=zoo.Categorical(3))
    variables = zoo.init(model, jax.random.key(0), *model.example(1))
    (tmp_path / "text").mkdir()
    zoo.save(tmp_path / "text" / "model.safetensors", model, variables)
    (tmp_path / "mine.txt").write_text("ab<ba<")
    cli.run(argv(tmp_path / "text", surprise=True, text=tmp_path / "mine.txt"))
    page = (tmp_path / "text" / "surprise.html").read_text()
    tokens = np.array([[0, 1, 2, 1, 0, 2]])
    nats = -zoo.log_prob(model.clone(site_shape=(6,)), variables, tokens)[0] / 6
    assert page.count("&lt;") == 2 and f"{float(nats):.4f} nats a token" in page
    assert f"{float(nats):.4f} nats a token" in capsys.readouterr().out
    with pytest.raises(ValueError, match="--text is what --surprise looks at"):
        cli.run(argv(tmp_path / "text", text=tmp_path / "mine.txt"))
    sound = zoo.WaveNet((8,), 4, 6, dilations=(1, 2), cycles=1, rate=100)
    zoo.save(
        tmp_path / "model.safetensors", sound, zoo.init(sound, jax.random.key(0), *sound.example(1))
    )
    cli.run(argv(tmp_path, surprise=True, num=2, seconds=0.2))
    assert (tmp_path / "samples_surprise.png").stat().st_size > 1000
