"""What the page asks of the models: plain values in, plain values out.

Every function takes a request as a dict and returns what JSON can hold; `write` yields such values.
"""

import base64
import io
import json
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors

import zoo
from sample.engines.completion import complete
from sample.kinds.kept import TEST
from sample.media.captions import caption
from sample.media.pixels import as_images
from sample.media.sounds import audio
from sample.media.texts import scored_stream
from sample.media.translations import translate
from sample.scoring.surprisal import surprise
from zoo.core.checkpoint import FILE
from zoo.core.configs import from_config
from zoo.formats.arrays import read_arrays
from zoo.formats.tsv import read_pairs

COMPLETIONS = 8
MOST = {"length": 2_000, "seconds": 5.0, "prompt": 1_000}  # of one request
# Those that show most come first; others follow in the order of their names.
BEST = ("pixel_cnn_pp", "diagonal_bilstm", "made", "transformer", "lstm")


class Exhibits:
    """The models of the page, each opened when it is first asked for."""

    def __init__(self, folders: list[Path]):
        """Looks at the header of every model alone."""
        self.folders = {folder.name: folder for folder in sorted(folders, key=_place)}
        self.models = {name: _header(folder) for name, folder in self.folders.items()}
        self._open: dict[str, tuple[Any, zoo.Variables]] = {}

    def listed(self, request: dict[str, Any]) -> dict[str, Any]:
        """The names of the models by what they do, and how large the canvas is to draw on."""
        shown: dict[str, list[Any]] = {kind: [] for kind in KINDS}
        for name, model in self.models.items():
            if model.kind == "images" and _is_drawable(model):
                height, width = model.site_shape
                shown["images"].append({"name": name, "height": height, "width": width})
            elif model.kind in shown and model.kind != "images" and _is_complete(model):
                shown[model.kind].append({"name": name})
        return shown

    def opened(self, request: dict[str, Any], kind: str) -> tuple[Any, zoo.Variables, Path]:
        """The model that a request names, its variables and its folder.

        Raises:
          ValueError: there is no such model of this kind.
        """
        name = str(request.get("model"))
        if name not in [each["name"] for each in self.listed({})[kind]]:
            raise ValueError(f"there is no model of {kind} called {name!r} here.")
        if name not in self._open:
            self._open[name] = zoo.load(self.folders[name])
        return *self._open[name], self.folders[name]

    def surprise(self, request: dict[str, Any]) -> dict[str, Any]:
        """-log p of every pixel given those before it, in nats."""
        model, variables, _ = self.opened(request, "images")
        x = _pixels(request, model)
        nats = np.asarray(surprise(model, variables, x[None]), np.float64)[0]
        return {"nats": nats.round(4).tolist()}

    def complete(self, request: dict[str, Any]) -> dict[str, Any]:
        """Exact completions of the upper rows."""
        model, variables, _ = self.opened(request, "images")
        rows = _number(request, "rows", 1, model.site_shape[0] - 1)
        known = np.zeros(model.site_shape, bool)
        known[:rows] = True
        drawn = complete(
            model, variables, _key(request), COMPLETIONS, _pixels(request, model), known
        )
        nats = -np.asarray(drawn.log_prob, np.float64)
        return {"images": as_images(model, drawn.x).tolist(), "nats": nats.round(2).tolist()}

    def write(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The characters of a text while it is drawn, each with its surprise."""
        model, variables, _ = self.opened(request, "text")
        prompt = _text(request, "prompt")
        length = _number(request, "length", 1, MOST["length"], 300)
        if model.max_length is not None:
            length = max(1, min(length, model.max_length - len(prompt.encode())))
        temperature = _number(request, "temperature", 0, 10, 1.0, float)
        text = scored_stream(
            (model, variables), prompt, length, temperature=temperature, key=_key(request)
        )
        for character, nats in text:
            yield {"text": character, "nats": round(nats, 4)}

    def sound(self, request: dict[str, Any]) -> dict[str, Any]:
        """A sound as a .wav file, in base 64."""
        model, variables, _ = self.opened(request, "sound")
        seconds = _number(request, "seconds", 1 / model.rate, MOST["seconds"], 1.0, float)
        context = model.example(1)[1]
        drawn = audio((model, variables), 1, seconds, key=_key(request), context=context)
        packed = io.BytesIO()
        with wave.open(packed, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(drawn.rate)
            file.writeframes((drawn.waves[0] * 32767).astype("<i2").tobytes())
        bits = zoo.bits_per_dim(float(drawn.log_prob[0]), drawn.waves.shape[1])
        return {"wav": base64.b64encode(packed.getvalue()).decode(), "bits": round(bits, 4)}

    def sources(self, request: dict[str, Any]) -> dict[str, Any]:
        """Sources of the test split that may be translated."""
        _, _, folder = self.opened(request, "translation")
        path = folder / "test.tsv"
        pairs = read_pairs(path)[:16] if path.is_file() else []
        return {"sources": [source for source, _ in pairs]}

    def translate(self, request: dict[str, Any]) -> dict[str, Any]:
        """A translation, and what was read for each of its tokens."""
        model, variables, _ = self.opened(request, "translation")
        made = translate((model, variables), [_text(request, "source")], 5, model.attends)
        weights = made.attention[0].round(4).tolist() if made.attention else []
        nats = -float(made.log_prob[0])
        answer = {"text": made.texts[0], "read": made.sources[0], "written": made.tokens[0]}
        return answer | {"weights": weights, "nats": round(nats, 4), "unknown": made.unknown}

    def scenes(self, request: dict[str, Any]) -> dict[str, Any]:
        """Images of the test split that may be described."""
        _, _, folder = self.opened(request, "captions")
        path = folder / TEST
        images = read_arrays(path)["images"][:16] if path.is_file() else np.zeros((0, 1, 1))
        return {"images": images.astype(int).tolist()}

    def caption(self, request: dict[str, Any]) -> dict[str, Any]:
        """The caption of a test image, and where the model looked at each word."""
        model, variables, folder = self.opened(request, "captions")
        images = read_arrays(folder / TEST)["images"]
        image = images[_number(request, "index", 0, len(images) - 1)].astype(np.uint8)
        made = caption((model, variables), image[None], 5, model.attends)
        weights = made.attention[0].round(4).tolist() if made.attention else []
        answer = {"text": made.texts[0], "written": made.tokens[0], "weights": weights}
        return answer | {"nats": round(-float(made.log_prob[0]), 4)}


KINDS = ("images", "text", "sound", "translation", "captions")


def _place(folder):
    return (BEST.index(folder.name) if folder.name in BEST else len(BEST), folder.name)


def _header(folder):
    """The model of a folder, without its weights."""
    with safetensors.safe_open(folder / FILE, framework="numpy") as file:
        return from_config(json.loads((file.metadata() or {})["model"]))


def _is_drawable(model):
    """Whether a pen can draw what the model knows: grey images of two levels, row by row."""
    exact = isinstance(model, zoo.Autoregressive) and model.example(1)[1] is None
    if (
        not exact
        or model.head.num_values != 2
        or model.head.event_shape
        or len(model.site_shape) != 2
    ):
        return False
    known = np.zeros(model.site_shape, bool)
    known[:1] = True
    first = model.with_known_first(known).ordering.ranks(model.site_shape).reshape(known.shape)
    return bool(first[0].max() < known.sum())


def _is_complete(model):
    """Whether a model has the vocabularies that it writes and reads by."""
    if model.kind == "sound":
        return True
    return bool(model.vocabulary) and bool(getattr(model, "source_vocabulary", True))


def _key(request):
    return jax.random.key(_number(request, "seed", 0, 2**32 - 1, 0))


def _pixels(request, model):
    """The drawing of a request as values of the model."""
    try:
        x = np.asarray(request.get("pixels"))
    except ValueError:
        x = np.zeros(0)
    if (
        x.shape != tuple(model.site_shape)
        or x.dtype.kind not in "iu"
        or not np.isin(x, (0, 1)).all()
    ):
        raise ValueError(f"pixels must be 0 or 1, of shape {list(model.site_shape)}.")
    return x.astype(np.int32)


def _text(request, name):
    text = request.get(name, "")
    if not isinstance(text, str) or len(text) > MOST["prompt"]:
        raise ValueError(f"{name} must be text of at most {MOST['prompt']:,} characters.")
    return text


def _number(request, name, least, most, default=None, convert=int):
    number = request.get(name, default)
    if (
        isinstance(number, bool)
        or not isinstance(number, int | float)
        or not least <= number <= most
    ):
        raise ValueError(f"{name} must be a number in {least:g}..{most:g}; got {number!r}.")
    return convert(number)
