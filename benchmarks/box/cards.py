"""The card of a model that comes with the project: what it is, its numbers, what it draws."""

import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors

import sample
import zoo
from sample.kinds.kept import kept_images
from sample.media.pixels import as_images
from train.cli.listing import FAMILIES
from zoo.core.checkpoint import FILE
from zoo.formats.arrays import read_arrays
from zoo.formats.tsv import read_pairs

ARTEFACTS = (".png", ".wav")  # beside a card
INDEX = "README.md"
Drawn = tuple[list[str], dict[str, bytes]]  # lines of the card, and files beside it by their suffix

MNIST = (
    "The digits are MNIST by Y. LeCun, C. Cortes and C. Burges, "
    "[CC BY-SA 3.0](https://creativecommons.org/licenses/by-sa/3.0/)"
)
LICENCES = {
    "mnist_1bit": MNIST,
    "mnist": MNIST,
    "scenes": MNIST,
    "digit_words": MNIST,
    "python_docs": "The text is Python's own documentation, under the PSF licence",
    "tones": "The tones are synthesised by the project",
    "dates": "The dates are written by the project with Babel's patterns (Unicode licence)",
    "digits": "The digits are scikit-learn's copy of the UCI set, CC BY 4.0",
}
LIMITS = {
    "images": "It knows images of the size and the kind that it was trained on, and nothing else.",
    "text": "It writes what looks like its training text; what it says is not to be trusted.",
    "sound": "It knows short sounds of the kind that it was trained on.",
    "translation": "It knows sources of the kind that it was trained on, and invents for others.",
    "captions": "It names what its training captions named, also where nothing of it is there.",
    "labels": "It gives every image one of its labels, also an image that has none of them.",
}
LIKELIHOOD = {
    "exact": "Its likelihood is exact.",
    "bound": "It knows a bound of its likelihood alone; the bound depends on the number of draws.",
    "none": "It has no likelihood.",
}


def card(name: str, folder: Path, seed: int) -> tuple[str, dict[str, bytes]]:
    """The card of the weights in a folder, as Markdown, and the files beside it by their suffix."""
    model, variables = zoo.load(folder / FILE)
    results = json.loads((folder / "results.json").read_text("utf-8"))
    config = json.loads((folder / "config.json").read_text("utf-8"))
    drawn, artefacts = DRAWN.get(model.kind, _nothing)(name, folder, model, variables, seed)
    with safetensors.safe_open(folder / FILE, framework="numpy") as file:
        digest = (file.metadata() or {})["digest"]
    size = (folder / FILE).stat().st_size / 1e6
    data = config["recipe"]["data"]["name"]
    count = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    minutes, rest = divmod(round(results["seconds"]), 60)
    lines = [
        f"# {name}",
        "",
        _sentence(config["name"]),
        f'`zoo.open("pretrained/{name}")`, `make sample MODEL=pretrained/{name}`.',
        "",
        "| | |",
        "|---|---|",
        f"| model | `{config['name']}` ({results['model']}), {count:,} parameters |",
        *[f"| paper | {paper} |" for paper in _papers(model)],
        f"| data | {results['data']} |",
        f"| test | {_numbers(results)} |",
        f"| stored as | {_stored(results, size)} |",
        f"| training | {results['steps']:,} steps, {minutes} min {rest:02d} s on "
        f"{results['hardware']}, seed {results['seed']} |",
        f"| command | `{results['command']}` |",
        f"| digest | `{digest}` |",
        "",
        f"## Samples, seed {seed}",
        "",
        *drawn,
        "",
        "## Limits",
        "",
        f"{LIMITS.get(model.kind, '')} {LIKELIHOOD[model.knows]}".strip(),
        "",
        "## Licence",
        "",
        f"The weights are under the licence of the project, Apache 2.0. "
        f"{LICENCES.get(data, f'The data are {data}; see their own licence')}.",
        "",
        "This card was written by `python -m benchmarks.pack`.",
        "",
    ]
    return "\n".join(lines), artefacts


def index_of(cards: Path, box: Path) -> str:
    """The page that lists the cards, and the weights without one."""
    rows = []
    for file in sorted(box.glob(f"*/{FILE}")):
        name, size = file.parent.name, file.stat().st_size / 1e6
        results = file.parent / "results.json"
        linked = f"[{name}]({name}.md)" if (cards / f"{name}.md").exists() else name
        test = _numbers(json.loads(results.read_text("utf-8"))) if results.exists() else ""
        rows.append(f"| {linked} | {test} | {size:.2f} MB |")
    return "\n".join(
        [
            "# Weights in the box",
            "",
            "These trained models come with the project, and open from any folder:",
            '`zoo.open("pretrained/made")`, `make sample MODEL=pretrained/made`.',
            "`python -m benchmarks.pack RUN NAME` adds one and writes its card.",
            "",
            "| pretrained/ | test | size |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def _sentence(name):
    models = {name: text for family in FAMILIES.values() for name, text in family.items()}
    return models.get(name, "")


def _stored(results, size):
    """The type and the size in MB of the weights, and what rounding costs."""
    rounding = results.get("rounding")
    if rounding is None:
        return f"float32, {size:.2f} MB"
    return (
        f"{rounding['stored']}, {size:.2f} MB; rounding to float16 costs {rounding['cost']:+.1e} of "
        f"{rounding['exact']:.4g} nats per {rounding['unit']} ({rounding['examples']:,} validation "
        "examples)"
    )


def _papers(model):
    """The references in the docstring of a model's class."""
    found = re.search(r"\*\*References?\*\*: (.*?)(?:\n\n|\Z)", type(model).__doc__ or "", re.S)
    return [" ".join(found[1].split()).rstrip(".")] if found else []


def _numbers(results):
    """The test numbers, with their standard errors."""
    if results.get("knows") == "none":
        return f"no likelihood; {results['watched_name']} {results['watched']:.4g}"
    at_most = "<= " if results.get("knows") == "bound" else ""
    unit = results["unit"]
    digits = ".2f" if unit == "example" else ".4f"
    if results["nats"] < 1e-3:
        digits = ".1e"
    nats = f"{at_most}{results['nats']:{digits}} +- {results['standard_error']:{digits}} nats"
    if (error := results.get("error")) is not None:
        wrong = f"{error:.2f} +- {results['error_spread']:.2f} % of the labels are wrong"
        return f"{wrong}, {nats} per {unit} ({results['num']:,} {unit}s)"
    bits = f"{at_most}{results['bits_per_dim']:.4g} bits/{'dim' if unit == 'example' else unit}"
    draws = f", bound of {results['draws']} draws" if at_most else ""
    return f"{nats} per {unit}, {bits}{draws} ({results['num']:,} {unit}s)"


def _picture(sheet):
    """A picture as the bytes of a PNG file."""
    import io

    from PIL import Image

    packed = io.BytesIO()
    Image.fromarray(sheet.repeat(2, 0).repeat(2, 1)).save(packed, format="PNG", optimize=True)
    return packed.getvalue()


def _images(name: str, folder: Path, model: Any, variables: zoo.Variables, seed: int) -> Drawn:
    num = 32
    drawn = sample.draw(model, variables, jax.random.key(seed), num, context=model.example(num)[1])
    sheets = [as_images(model, drawn.x)]
    said = f"{num} draws"
    if (kept := kept_images(folder / FILE, model, 16)) is not None:
        sheets.insert(0, as_images(model, kept[0]))
        said = f"16 test images (two rows), and {num} draws"
    if drawn.log_prob is not None:
        nats = -np.asarray(drawn.log_prob, np.float64)
        said += f" of {nats.mean():.1f} nats in the mean, from {nats.min():.1f} to {nats.max():.1f}"
    sheet = sample.grid(np.concatenate(sheets), columns=8)
    return [f"{said}:", "", f"![samples of {name}]({name}.png)"], {".png": _picture(sheet)}


def _text(name: str, folder: Path, model: Any, variables: zoo.Variables, seed: int) -> Drawn:
    prompt = "def " if set("def ") <= set(model.vocabulary) else ""
    drawn = sample.text((model, variables), prompt, 2, 300, key=jax.random.key(seed))
    lines = [f"Exact draws after {prompt!r}, with their nats per character:", ""]
    for text, log_prob in zip(drawn.texts, drawn.log_prob, strict=True):
        lines += [f"{-log_prob / 300:.3f}", "", "```text", text.replace("```", "'''"), "```", ""]
    return lines[:-1], {}


def _sounds(name: str, folder: Path, model: Any, variables: zoo.Variables, seed: int) -> Drawn:
    drawn = sample.audio((model, variables), 4, 0.5, key=jax.random.key(seed))
    joined = drawn.waves.ravel()
    with tempfile.TemporaryDirectory() as there:
        picture, wave = Path(there) / "sound.png", Path(there) / "sound.wav"
        sample.save_waveforms(picture, joined[None], drawn.rate)
        zoo.write_wav(wave, joined, drawn.rate)
        files = {".png": picture.read_bytes(), ".wav": wave.read_bytes()}
    lines = [f"Four sounds of half a second, drawn exactly: [listen]({name}.wav).", ""]
    return [*lines, f"![waveform and spectrogram of {name}]({name}.png)"], files


def _translations(
    name: str, folder: Path, model: Any, variables: zoo.Variables, seed: int
) -> Drawn:
    pairs = read_pairs(folder / "test.tsv")[:8]
    made = sample.translate((model, variables), [source for source, _ in pairs], 5)
    rows = [
        f"| {source} | {text} | {reference} |"
        for (source, reference), text in zip(pairs, made.texts, strict=True)
    ]
    return ["| source | written, beam of 5 | reference |", "|---|---|---|", *rows], {}


def _captions(name: str, folder: Path, model: Any, variables: zoo.Variables, seed: int) -> Drawn:
    arrays = read_arrays(folder / "test.npz")
    images = arrays["images"][:8].astype(np.uint8)
    made = sample.caption((model, variables), images, 5)
    rows = [
        f"| {i} | {text} | {reference} |"
        for i, (text, reference) in enumerate(
            zip(made.texts, arrays["captions"][:8].tolist(), strict=True), 1
        )
    ]
    table = ["| image | written, beam of 5 | reference |", "|---|---|---|", *rows]
    picture = {".png": _picture(sample.grid(images, columns=4))}
    return [f"![8 test images]({name}.png)", "", *table], picture


def _labels(name: str, folder: Path, model: Any, variables: zoo.Variables, seed: int) -> Drawn:
    arrays = read_arrays(folder / "test.npz")
    images, labels = arrays["images"][:15].astype(np.uint8), arrays["labels"][:15]
    made = sample.classify((model, variables), images)
    right = (made.labels == labels).all(1).tolist()
    with tempfile.TemporaryDirectory() as there:
        picture = sample.save_labelled(Path(there) / "labels.png", images, made.texts(), right)
        files = {".png": picture.read_bytes()}
    said = (
        f"{len(images)} test images with their likeliest labels; {len(images) - sum(right)} wrong"
    )
    return [f"{said}:", "", f"![labels by {name}]({name}.png)"], files


def _nothing(name: str, folder: Path, model: Any, variables: zoo.Variables, seed: int) -> Drawn:
    return [f"`make sample MODEL=pretrained/{name}` shows what it says of test examples."], {}


DRAWN: dict[str, Callable[..., Any]] = {
    "images": _images,
    "text": _text,
    "sound": _sounds,
    "translation": _translations,
    "captions": _captions,
    "labels": _labels,
}
