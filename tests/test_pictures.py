"""Pictures: drawing as it goes, surprise, the user's own images, receptive fields."""

import sys

import conformance
import jax
import numpy as np
import pytest
from marks import slow_but
from PIL import Image

import sample
import zoo
from benchmarks import receptive_fields
from sample.media.image_files import load_images
from sample.media.pixel_files import load_pixels
from zoo.images.raster import Raster

BITS = zoo.Categorical(2)
MODELS = {
    "raster": zoo.GatedPixelCNN((3, 4), features=6, layers=2, out_features=8),
    "colour sites": zoo.PixelCNN(
        (2, 2, 3), features=6, blocks=1, out_features=12, head=zoo.Categorical(4)
    ),
    "one channel": zoo.FVSBN((3, 4, 1), head=BITS),
    "spiral": zoo.FVSBN((3, 4), ordering=zoo.Ordering("spiral")),
    "random": zoo.NADE((4, 3), hidden=4, head=zoo.Categorical(17), ordering=zoo.Ordering("random")),
    "masks": zoo.MADE((3, 4), hidden=(5,), num_masks=3, resample_order=True).member(2),
}
IMAGE_MODELS = [name for name, entry in zoo.CATALOGUE.items() if isinstance(entry.tiny, Raster)]


def drawn(model, num=5):
    context = zoo.example(model, num)[1]
    return sample.draw(
        model, conformance.variables_of(model), jax.random.key(0), num, context=context
    ).x, context


@pytest.mark.parametrize("name", MODELS)
def test_progress_follows_the_ordering(name):
    """After t sites those at ranks < t stand as in the end, and the others are grey."""
    model = MODELS[name]
    x, _ = drawn(model)
    frames, final = sample.progress(model, x), sample.as_images(model, x)
    assert frames.shape == (model.num_sites + 1, *final.shape) and frames.dtype == np.uint8
    assert (frames[0] == 128).all() and (frames[-1] == final).all()
    by_rank = frames.reshape(len(frames), len(x), -1)[:, :, model.sites]
    ends = final.reshape(len(x), -1)[:, model.sites]
    for count, frame in enumerate(by_rank):
        assert (frame[:, :count] == ends[:, :count]).all() and (frame[:, count:] == 128).all()


def test_progress_of_whole_pixels():
    """Where one site is a pixel of three colours, all three come at once."""
    frames = sample.progress(Pixels(), np.full((2, 2, 2, 3), 3))
    assert (
        frames.shape == (5, 2, 2, 2, 3)
        and (frames[1, :, 0, 0] == 255).all()
        and (frames[1, :, 0, 1] == 128).all()
    )


def test_progress_in_few_frames():
    model = MODELS["raster"]
    frames = sample.progress(model, drawn(model)[0], frames=4)
    assert [int((frame[0] != 128).sum()) for frame in frames] == [0, 4, 8, 12]
    with pytest.raises(ValueError, match="at least 2.*got 1"):
        sample.progress(model, drawn(model)[0], frames=1)


@pytest.mark.parametrize("name", ["raster", "colour sites"])
def test_gif(tmp_path, name):
    model = MODELS[name]
    frames = np.stack([sample.grid(frame) for frame in sample.progress(model, drawn(model)[0])])
    path = sample.save_gif(tmp_path / "drawn.gif", frames, scale=2, rate=10, pause=1.5)
    with Image.open(path) as image:
        assert image.n_frames == len(frames) and image.info["loop"] == 0
        durations = []
        for i, frame in enumerate(frames):
            image.seek(i)
            durations.append(image.info["duration"])
            shown = np.asarray(image.convert("RGB" if frame.ndim == 3 else "L"))
            assert (shown[::2, ::2] == frame).all()
    assert durations == [100] * (len(frames) - 1) + [1500]


SURPRISED = {
    "fvsbn",
    "made",
    "rnade",
    "gated_pixel_cnn",
    "pixel_cnn_pp",
    "lstm",
    "seq2seq_attention",
}


@pytest.mark.parametrize("name", slow_but(SURPRISED, zoo.CATALOGUE))
def test_surprise_adds_up_to_the_likelihood(name):
    """Also of models that describe no images."""
    model = zoo.CATALOGUE[name].tiny
    variables, (x, context) = (
        conformance.variables_of(model),
        conformance.example_of(zoo.CATALOGUE[name], 6),
    )
    nats = sample.surprise(model, variables, x, context)
    assert nats.shape == (6, *model.site_shape)
    log_prob = zoo.log_prob(model, variables, x, context)
    np.testing.assert_allclose(
        -np.asarray(nats).reshape(6, -1).sum(1), log_prob, rtol=1e-5, atol=1e-5
    )


def test_surprise_lies_where_the_value_is_unlikely():
    """Site by site: what a site says of its own value, given the ones before it."""
    model = MODELS["colour sites"]
    variables, (x, _) = conformance.variables_of(model), drawn(model)
    nats = sample.surprise(model, variables, x)
    other = np.asarray(x).copy()
    other[:, 1, 0, 1] = (other[:, 1, 0, 1] + 1) % 4
    changed = np.asarray(nats != sample.surprise(model, variables, other)).any(0).ravel()
    rank = np.ravel_multi_index((1, 0, 1), model.site_shape)
    assert changed[rank] and not changed[:rank].any()
    with pytest.raises(ValueError, match="must have shape"):
        sample.surprise(model, variables, other[:, :1])


@pytest.mark.parametrize("name", MODELS)
def test_picture_of_surprise(tmp_path, name):
    model = MODELS[name]
    x, context = drawn(model)
    nats = sample.surprise(model, conformance.variables_of(model), x, context)
    path = sample.save_surprise(tmp_path / "surprise.png", model, x, nats, columns=3)
    with Image.open(path) as picture:
        shown = np.asarray(picture.convert("RGB")).astype(int)
    assert min(shown.shape[:2]) > 100 and (abs(shown[..., 0] - shown[..., 2]) > 50).any()


def test_pictures_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    model = MODELS["raster"]
    with pytest.raises(ImportError, match="pip install 'autoregressive-zoo.plots.'"):
        sample.save_surprise(tmp_path / "surprise.png", model, drawn(model)[0], np.zeros((5, 3, 4)))
    with pytest.raises(ImportError, match="pip install 'autoregressive-zoo.plots.'"):
        receptive_fields.draw_figure(tmp_path / "fields.png", 5)


@pytest.mark.parametrize("name", MODELS)
def test_what_is_drawn_is_read_back(tmp_path, name):
    """As pictures one by one, as an array of pictures and as an array of levels."""
    model = MODELS[name]
    x = np.asarray(drawn(model)[0])
    pictures = sample.as_images(model, x)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "0.tsv").write_text("not a picture, by its suffix\n")
    for i, picture in enumerate(pictures):
        sample.save_png(tmp_path / "folder" / f"{i}.png", picture)
    np.save(tmp_path / "pictures.npy", pictures)
    np.save(tmp_path / "levels.npy", x)
    for path in ("folder", "pictures.npy", "levels.npy"):
        read = sample.read_images(model, tmp_path / path)
        assert read.shape == x.shape and (read == x).all(), path
        assert (sample.read_images(model, tmp_path / path, num=2) == x[:2]).all()
    assert (sample.read_images(model, tmp_path / "folder" / "3.png") == x[3:4]).all()
    np.save(tmp_path / "one.npy", pictures[0])
    assert (sample.read_images(model, tmp_path / "one.npy") == x[:1]).all()


def test_bits_are_read_from_files_of_bits(tmp_path):
    model, bits = MODELS["raster"], np.eye(3, 4) > 0
    Image.fromarray(bits).save(tmp_path / "bits.png")
    np.save(tmp_path / "bits.npy", bits[None])
    for path in ("bits.png", "bits.npy"):
        assert (sample.read_images(model, tmp_path / path)[0] == bits).all()


def test_images_that_do_not_fit_are_refused(tmp_path):
    model, colour = MODELS["raster"], MODELS["colour sites"]

    def refused(content, message, model=model, name="given.npy"):
        path = tmp_path / name
        if name.endswith(".npy"):
            np.save(path, content)
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            content.save(path)
        with pytest.raises(ValueError, match=message) as error:
            sample.read_images(model, path)
        assert "\n" not in str(error.value)

    grey, rgb = Image.new("L", (4, 3), 77), Image.new("RGB", (4, 3))
    refused(np.zeros((2, 5, 5), int), "describes 3x4 images .height x width., .*given.npy has 5x5")
    refused(Image.new("L", (7, 6)), "describes 3x4 images .*, .*has 6x7", name="given.png")
    refused(rgb, "describes 3x4 grey images .*given.png has 3x4 colour", name="given.png")
    refused(np.zeros((2, 3, 4, 3), int), "describes 3x4 grey images .*has 3x4 colour")
    refused(np.zeros((2, 2, 2), int), "describes 2x2 colour images .*has 2x2 grey", model=colour)
    refused(
        grey,
        "has 1 levels from 77 to 77, .* Bernoulli head has 2: 0..1, or .* brightnesses, 0, 255",
        name="g.png",
    )
    refused(
        np.arange(12).reshape(1, 3, 4),
        "has 12 levels from 0 to 11, but the checkpoint's Bernoulli head has 2",
    )
    refused(np.full((1, 3, 4), -1), "levels from -1 to -1")
    refused(np.full((1, 3, 4), -0.5), "holds float64 from -0.5 to -0.5")
    refused(np.zeros((0, 3, 4), int), "is empty: its shape is .0, 3, 4.")
    refused(np.zeros(7, int), "has the shape .7.")
    refused(Image.new("RGBA", (4, 3)), "has the mode RGBA; expected 1 .bits., L", name="given.png")
    refused(b"no picture", "is not a readable picture", name="broken.png")
    (tmp_path / "broken.npy").write_bytes(b"no array")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken.png").rename(tmp_path / "broken" / "broken.PNG")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "captions.tsv").write_text("a.png\tnothing\n")
    for name, message in {
        "broken.npy": "cannot be read as",
        "empty": "holds no pictures",
        "absent": "nothing at",
        "broken": "broken.PNG is not a",
    }.items():
        with pytest.raises(ValueError, match=message):
            sample.read_images(model, tmp_path / name)
    with pytest.raises(ValueError, match="does not describe images"):
        sample.read_images(zoo.FVSBN((7,)), tmp_path)


@pytest.mark.parametrize("name", slow_but({"pixel_cnn", "row_lstm"}, IMAGE_MODELS))
def test_receptive_fields_are_causal(name):
    """Nothing at or after the pixel is seen; its left and upper neighbours are."""
    model = dict(receptive_fields.image_models(6))[name]
    seen = receptive_fields.receptive_field(model, receptive_fields.random_variables(model)) > 0
    middle = tuple(size // 2 for size in model.site_shape)
    flat = seen.ravel()
    assert not flat[np.ravel_multi_index(middle, model.site_shape) :].any()
    by_pixel = seen.reshape(6, 6, -1).any(-1)
    assert by_pixel[3, 2] and by_pixel[2, 3]


def test_receptive_field_of_any_site_and_model():
    """Along another ordering, and of a site asked for."""
    model = zoo.NADE((2, 3), hidden=8, ordering=zoo.Ordering("reversed"))
    seen = receptive_fields.receptive_field(model, conformance.variables_of(model), (0, 1)) > 0
    assert seen.tolist() == [[False, False, True], [True, True, True]]


@pytest.mark.slow
def test_the_figure(tmp_path, capsys):
    receptive_fields.main(receptive_fields.Options(tmp_path / "fields.png", size=6))
    assert "fields.png" in capsys.readouterr().out
    with Image.open(tmp_path / "fields.png") as picture:
        assert min(picture.size) > 300
    with pytest.raises(ValueError, match="--size must be at least 3; got 2"):
        receptive_fields.main(receptive_fields.Options(tmp_path / "fields.png", size=2))


class Pixels(zoo.Autoregressive):
    """Four sites, each a pixel of three colours: only its shapes are asked for."""

    site_shape, ordering = (2, 2), zoo.Ordering()

    @property
    def head(self):
        return Colours()


class Colours:
    """Four levels of each of three colours."""

    event_shape, num_values = (3,), 4


def test_pictures_are_fitted_to_the_model(tmp_path):
    """Resized and in grey where the model has another shape, bits and levels by a stated rule."""
    model, colour = MODELS["raster"], MODELS["colour sites"]
    wide = np.zeros((6, 16, 3), np.uint8)
    wide[:, 4:12] = (200, 100, 50)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    with pytest.raises(ValueError, match="--binarise threshold or dynamic"):
        load_images(model, tmp_path / "wide.png")
    bits = load_images(model, tmp_path / "wide.png", binarise="threshold").x
    assert bits.tolist() == [[[0] * 4] * 3]  # 0.299 * 200 + 0.587 * 100 + 0.114 * 50 = 124
    drawn = [
        load_images(model, tmp_path / "wide.png", binarise="dynamic", seed=seed).x
        for seed in (0, 0, 1)
    ]
    assert (drawn[0] == drawn[1]).all() and (drawn[0] != drawn[2]).any() and drawn[0].max() == 1
    found = load_images(zoo.NADE((3, 4), head=zoo.Categorical(8)), tmp_path / "wide.png")
    assert found.x.tolist() == [[[124 * 8 // 256] * 4] * 3]
    assert found.said == (
        "1 of 1 resized to 3x4, the middle of each, 1 of 1 turned into grey, "
        "requantised to 8 levels"
    )
    Image.fromarray(wide[..., 0]).save(tmp_path / "grey.png")
    in_colour = load_pixels(colour, tmp_path / "grey.png")
    assert (in_colour.x == in_colour.x[..., :1]).all() and "into colour" in in_colour.said
    np.save(tmp_path / "real.npy", np.full((1, 3, 4), 0.75))
    assert (load_images(model, tmp_path / "real.npy", binarise="threshold").x == 1).all()
    for name, given, message in [
        ("bits.npy", model, "has 2 levels already"),
        ("real.npy", zoo.NADE((3, 4), head=zoo.Categorical(8)), "models of 2 levels"),
    ]:
        np.save(tmp_path / "bits.npy", np.eye(3, 4, dtype=int)[None])
        with pytest.raises(ValueError, match=message):
            load_images(given, tmp_path / name, binarise="threshold")
