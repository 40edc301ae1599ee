"""WaveNet beyond its tiny instances: how far it sees, rings in place; sounds drawn, continued,
written
  and shown.
"""

import re

import conformance
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import soundfile
from commands import argv
from PIL import Image

import sample
import sample.__main__ as cli
import zoo
from benchmarks import sampling
from zoo.core.likelihood import _log_prob as log_prob
from zoo.sequences import wavenet

MODEL = zoo.WaveNet(
    (40,), 5, 6, dilations=(1, 2), cycles=2, num_classes=2, head=zoo.Categorical(32)
)
SOURCE = MODEL, conformance.variables_of(MODEL)
LABELS = np.array([0, 1, 1])
SINE = 0.5 * np.sin(np.arange(20)).astype(np.float32)


@pytest.mark.parametrize("taps", [2, 3])
def test_a_sample_sees_its_receptive_field_and_no_more(taps):
    model = zoo.WaveNet(
        (40,), 4, 4, dilations=(1, 3), cycles=2, kernel_size=taps, head=zoo.Categorical(5)
    )
    assert model.receptive_field == 1 + (taps - 1) * (1 + 2 * (1 + 3))
    x, variables = np.asarray(zoo.example(model, 4)[0]), conformance.variables_of(model)
    last = zoo.conditionals(model, variables, x)[:, -1]
    for far, seen in ((model.receptive_field, True), (model.receptive_field + 1, False)):
        moved = x.copy()
        moved[:, 39 - far] = (x[:, 39 - far] + 1) % 5
        assert bool((zoo.conditionals(model, variables, moved)[:, -1] != last).any()) == seen


@pytest.mark.parametrize("taps", [2, 3])
def test_a_likelihood_in_pieces(taps, monkeypatch):
    """Pieces of 16 samples, of which the last is cut short, shorter than layers reach back."""
    monkeypatch.setattr(wavenet, "PIECE", 16 * 3)
    monkeypatch.setattr(wavenet, "SHORTEST", 1)
    model = MODEL.clone(site_shape=(37,), dilations=(1, 20), kernel_size=taps)
    variables, x = conformance.variables_of(model), np.asarray(zoo.example(model, 3)[0])
    x = jnp.asarray(x)
    whole = zoo.score(model.head, zoo.conditionals(model, variables, x, LABELS), x)
    in_pieces = zoo.log_prob(model, variables, x, LABELS)
    np.testing.assert_allclose(in_pieces, whole, rtol=1e-5)
    assert "while" in log_prob.lower(model, variables, x, LABELS, False, None).as_text()


@pytest.mark.slow
def test_memory_of_a_likelihood_hardly_depends_on_the_length():
    model = zoo.WaveNet((8_000,), 16, 32, dilations=(1, 2, 4, 8), cycles=2)
    variables = conformance.variables_of(model)

    def needed(length):
        longer, x = model.clone(site_shape=(length,)), np.zeros((16, length), np.int32)
        lowered = log_prob.lower(longer, variables, x, None, False, None)
        return lowered.compile().memory_analysis().temp_size_in_bytes

    assert needed(80_000) < 1.3 * needed(8_000)


def test_paper_and_default_receptive_fields():
    assert zoo.CATALOGUE["wavenet"].paper.receptive_field == 3 * 1023 + 2


def test_a_step_writes_its_rings_in_place():
    """In the compiled loop no ring is copied."""
    model = zoo.WaveNet((40,), 5, 6, dilations=(1, 6, 12), cycles=1, head=zoo.Categorical(4))
    decoder, batch = zoo.decoder(model, conformance.variables_of(model), 3), 3

    @jax.jit
    def drawn(cache, x):
        def visit(t, carry):
            params, cache = decoder.step(*carry, t)
            return cache, carry[1].at[:, t].set(jnp.argmax(params, axis=-1).astype(jnp.int32))

        return jax.lax.fori_loop(0, 40, visit, (cache, x))

    text = drawn.lower(decoder.init(), jnp.zeros((batch, 40), jnp.int32)).compile().as_text()
    loops = [part for part in re.split(r"\n\n", text) if not part.lstrip().startswith("ENTRY")]
    for slots in (7, 13):
        ring = f"f32[{slots},{batch},5]"
        assert ring in text
        assert not [
            line
            for part in loops
            for line in part.splitlines()
            if ring in line and " copy(" in line
        ]


@pytest.mark.parametrize(
    "beginning",
    [None, SINE, np.stack([SINE, -SINE, 0 * SINE])],
    ids=["silence", "one for all", "one for each"],
)
def test_sounds_are_exact_draws_of_any_length(beginning):
    drawn, oracle = (
        sample.audio(
            SOURCE,
            3,
            50 / 8000,
            beginning=beginning,
            context=LABELS,
            engine=engine,
            key=jax.random.key(4),
        )
        for engine in ("cached", "recompute")
    )
    begun = 0 if beginning is None else 20
    assert drawn.waves.shape == (3, begun + 50) and drawn.rate == 8000
    np.testing.assert_array_equal(drawn.waves, oracle.waves)
    x = zoo.quantise(drawn.waves, 32)
    longer = MODEL.clone(site_shape=(begun + 50,))
    np.testing.assert_allclose(
        drawn.log_prob, zoo.log_prob(longer, SOURCE[1], x, LABELS), rtol=1e-4
    )
    if beginning is not None:
        kept = np.broadcast_to(zoo.quantise(np.asarray(beginning), 32), (3, 20))
        np.testing.assert_array_equal(x[:, :20], kept)


@pytest.fixture
def run(tmp_path):
    zoo.save(tmp_path / "model.safetensors", *SOURCE)
    return tmp_path


@pytest.mark.slow
def test_one_command_writes_sounds_and_a_picture(run, capsys):
    soundfile.write(
        run / "begin.wav", np.stack([SINE, SINE], 1), 4000
    )  # stereo, and half as many samples a second
    cli.run(argv(run, num=2, seconds=0.02, label=1, audio=run / "begin.wav", out=run / "two.png"))
    printed = capsys.readouterr().out
    for words in (
        "bits/sample by the model's own",
        "times real time",
        f"2 sounds: {run / 'two_0.wav'} ... two_1.wav",
    ):
        assert words in printed
    waves = [soundfile.read(run / f"two_{i}.wav")[0] for i in range(2)]
    assert (
        soundfile.info(run / "two_0.wav").samplerate == 8000
        and soundfile.info(run / "two_0.wav").channels == 1
    )
    assert [len(wave) for wave in waves] == [200, 200]
    begun = zoo.dequantise(zoo.quantise(zoo.read_wav(run / "begin.wav", 8000), 32), 32)
    for wave in waves:
        np.testing.assert_allclose(wave[:40], begun, atol=2e-5)
    with Image.open(run / "two.png") as image:
        assert np.asarray(image).std() > 10


def test_bench_says_how_much_faster_than_real_time(run, capsys):
    sampling.main(sampling.Options(run=str(run), batch=(2,), repeats=1, engines=("cached",)))
    row = capsys.readouterr().out.splitlines()[-1].split("|")
    assert float(row[10]) == pytest.approx(2 * 40 / 8000 / (float(row[5]) / 1000), rel=0.05)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seconds": 0.0}, "at least one sample, 1/8000; got 0.0"),
        ({"seconds": float("nan")}, "at least one sample"),
        ({"label": 2}, "labels 0..1, shape .batch.; got values from 2 to 2"),
        ({"audio": "absent.wav"}, "there is no file .*absent.wav"),
        ({"audio": "words.wav"}, "words.wav is not a readable sound .*; expected a .wav"),
        ({"audio": "empty.wav"}, "empty.wav is empty; expected a .wav"),
        ({"audio": "silent.wav"}, "silent.wav holds no samples"),
        ({"temperature": -1.0}, "temperature must be"),
    ],
)
def test_refusals(run, change, message):
    (run / "words.wav").write_text("these are words, and no sound")
    (run / "empty.wav").touch()
    soundfile.write(run / "silent.wav", np.zeros(0), 8000)
    change = {key: run / value if key == "audio" else value for key, value in change.items()}
    with pytest.raises(ValueError, match=message):
        cli.run(argv(run, num=1, **change))


def test_what_is_no_beginning_or_no_sound_is_refused(tmp_path):
    for beginning, message in (
        (np.zeros((2, 5), np.float32), "shape .samples., or .3, 'samples'."),
        (np.zeros(0, np.float32), "beginning must have shape"),
        (np.array([0.0, 1.5]), "numbers in .-1, 1.; got float64 up to 1.5"),
        (np.array([0.0, np.nan]), "numbers in"),
        (np.array([1, 0]), "got int64"),
    ):
        with pytest.raises(ValueError, match=message):
            sample.audio(SOURCE, 3, context=LABELS, beginning=beginning)
    other = zoo.CATALOGUE["fvsbn"].tiny
    with pytest.raises(ValueError, match="FVSBN does not describe sounds"):
        sample.audio((other, conformance.variables_of(other)))
    zoo.save(tmp_path / "model.safetensors", other, conformance.variables_of(other))
    with pytest.raises(ValueError, match="--audio is not supported by FVSBN .images.: drop it"):
        cli.run(argv(tmp_path, audio=tmp_path / "a.wav"))


def test_a_spectrogram_shows_a_tone_at_its_pitch():
    wave = np.sin(2 * np.pi * 1000 * np.arange(4000) / 8000)
    power = sample.spectrogram(wave)
    assert power.shape == (129, 63) and (power[:, 5:-5].argmax(0) == 32).all()
    assert np.isfinite(sample.spectrogram(np.zeros(300))).all()
