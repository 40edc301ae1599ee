"""The demo page: what it answers over HTTP, what it refuses, and the page itself in a browser."""

import base64
import http.client
import io
import json
import re
import shutil
import subprocess
import sys
import threading
import wave

import jax
import numpy as np
import pytest
from test_docs import tiny_models

import sample
import zoo
from sample.demo.__main__ import Options, server
from sample.demo.exhibits import Exhibits
from sample.demo.server import PAGE, Server
from zoo.formats.tsv import read_pairs
from zoo.foundation.packages import BOX

# The length in seconds of what a player holds, once it is known.
PLAYS = """player => new Promise(known => player.readyState ? known(player.duration)
    : player.onloadedmetadata = () => known(player.duration))"""
NAMES = ("made", "lstm", "wavenet", "seq2seq_attention", "show_attend_tell")


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    """A folder with tiny models, and the test examples that two of them show."""
    folder, random = tmp_path_factory.mktemp("box"), np.random.RandomState(0)
    for name, model in tiny_models().items():
        if name not in NAMES:
            continue
        (folder / name).mkdir()
        shapes = jax.eval_shape(lambda m=model: zoo.init(m, jax.random.key(0), *m.example(1)))
        variables = jax.tree.map(
            lambda leaf: random.normal(0, 0.1, leaf.shape).astype(leaf.dtype), shapes
        )
        zoo.save(folder / name / "model.safetensors", model, variables, rounded=True)
    (folder / "seq2seq_attention" / "test.tsv").write_text("5 mars\t2026\n")
    images = np.random.RandomState(0).randint(0, 256, (2, 8, 8)).astype(np.uint8)
    np.savez(folder / "show_attend_tell" / "test.npz", images=images)
    return folder


@pytest.fixture(scope="module")
def running(box):
    with Server(Exhibits(sorted(box.iterdir())), 0) as demo:
        threading.Thread(target=demo.serve_forever, daemon=True).start()
        yield demo
        demo.shutdown()


def ask(demo, method, path, request=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", demo.server_port, timeout=120)
    body = request if isinstance(request, str | None) else json.dumps(request)
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    return response, response.read()


def answer(demo, name, **request):
    response, body = ask(demo, "POST", f"/{name}", request)
    assert response.status == 200, body
    return json.loads(body)


def test_the_page_needs_no_network(running):
    response, body = ask(running, "GET", "/")
    assert response.status == 200 and b"<title>" in body
    assert response.headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert running.server_address[0] == "127.0.0.1"
    for path in PAGE.iterdir():
        assert "//" not in path.read_text().replace("// ", "")  # no address of another host
        assert ask(running, "GET", f"/{path.name}")[1] == path.read_bytes()
    for path in ("/nothing", "/../exhibits.py", "/page/page.js"):
        assert ask(running, "GET", path)[0].status == 404


def test_completions_and_surprise_are_those_of_the_library(running, box):
    listed = answer(running, "listed")
    assert listed["images"] == [{"name": "made", "height": 28, "width": 28}]
    assert [len(listed[kind]) for kind in ("text", "sound", "translation", "captions")] == [1] * 4
    model, variables = zoo.load(box / "made")
    pixels = (np.random.RandomState(0).rand(28, 28) < 0.2).astype(int)
    request = {"model": "made", "pixels": pixels.tolist(), "rows": 9, "seed": 3}
    nats = np.asarray(answer(running, "surprise", **request)["nats"])
    wanted = sample.surprise(model, variables, pixels[None])[0]
    np.testing.assert_allclose(nats, wanted, atol=1e-4)
    drawn = np.asarray(answer(running, "complete", **request)["images"])
    known = np.arange(28)[:, None].repeat(28, 1) < 9
    exact = sample.complete(model, variables, jax.random.key(3), 8, pixels, known)
    np.testing.assert_array_equal(drawn, sample.as_images(model, exact.x))
    assert (drawn[:, :9] == 255 * pixels[:9]).all()


def test_a_text_streams_with_its_surprise(running, box):
    request = {"model": "lstm", "prompt": "def ", "length": 20, "seed": 2}
    response, body = ask(running, "POST", "/write", request)
    lines = [json.loads(line) for line in body.splitlines()]
    assert response.headers["Content-Type"] == "application/x-ndjson"
    whole = sample.text(str(box / "lstm"), "def ", length=20, key=jax.random.key(2))
    assert "def " + "".join(line["text"] for line in lines) == whole.texts[0]
    total = sum(line["nats"] for line in lines)
    np.testing.assert_allclose(total, -whole.log_prob[0], rtol=1e-3)


@pytest.mark.slow
def test_sounds_translations_and_captions(running):
    drawn = answer(running, "sound", model="wavenet", seconds=0.1)
    with wave.open(io.BytesIO(base64.b64decode(drawn["wav"]))) as file:
        assert (file.getframerate(), file.getnframes(), file.getnchannels()) == (500, 50, 1)
    assert answer(running, "sources", model="seq2seq_attention") == {"sources": ["5 mars"]}
    made = answer(running, "translate", model="seq2seq_attention", source="5 mars")
    assert made["read"] == list("5 mars") and len(made["weights"]) == len(made["written"])
    assert len(answer(running, "scenes", model="show_attend_tell")["images"]) == 2
    made = answer(running, "caption", model="show_attend_tell", index=1)
    assert made["text"] == "".join(made["written"])
    assert all(np.shape(each) == (4, 4) for each in made["weights"])


@pytest.mark.parametrize(
    ("name", "request_", "why"),
    [
        ("complete", {"model": "made", "rows": 28, "pixels": [[0] * 28] * 28}, "rows must be a number in 1..27"),
        ("complete", {"model": "made", "rows": 3, "pixels": [[2] * 28] * 28}, "pixels must be 0 or 1"),
        ("complete", {"model": "made", "rows": 3, "pixels": [[0], [0, 1]]}, "pixels must be 0 or 1"),
        ("surprise", {"model": "../x"}, "no model of images called"),
        ("surprise", {"model": ["made"]}, "no model of images called"),
        ("write", {"model": "lstm", "prompt": "\u20ac"}, "vocabulary"),
        ("write", {"model": "lstm", "prompt": "a" * 2000}, "at most 1,000 characters"),
        ("write", {"model": "lstm", "temperature": "hot"}, "temperature must be a number"),
        ("sound", {"model": "wavenet", "seconds": 1e9}, "seconds must be a number"),
        ("translate", {"model": "seq2seq_attention", "source": " "}, "is empty"),
        ("caption", {"model": "show_attend_tell", "index": 2}, "index must be a number in 0..1"),
        ("write", "{", "Expecting"),
        ("write", "[1]", "a request is an object"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_in_one_line(running, name, request_, why):
    response, body = ask(running, "POST", f"/{name}", request_)
    error = json.loads(body)["error"]
    assert response.status == 400 and why in error and "\n" not in error


def test_other_pages_and_machines_are_refused(running):
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
        for method, path in (("GET", "/"), ("POST", "/listed")):
            assert ask(running, method, path, None, headers)[0].status == 403
    here = {"Origin": running.address.rstrip("/")}
    assert ask(running, "POST", "/listed", {}, here)[0].status == 200
    assert ask(running, "POST", "/opened", {})[0].status == 404


def test_what_is_not_there_is_left_out(box, tmp_path):
    shutil.copytree(box / "lstm", tmp_path / "lstm")
    with server(Options((str(tmp_path / "lstm"),), port=0)) as demo:
        listed = demo.exhibits.listed({})
        assert listed["text"] == [{"name": "lstm"}] and not listed["images"]
        with pytest.raises(ValueError, match=f"port {demo.server_port} is taken: pass another"):
            server(Options((str(tmp_path / "lstm"),), port=demo.server_port))
    for port in (-1, 10**6):
        with pytest.raises(ValueError, match="cannot be used"):
            server(Options((str(tmp_path / "lstm"),), port=port))
    with server(Options(port=0)) as demo:  # the weights that come with the project
        assert {"made", "vae"} <= set(demo.exhibits.folders)
        assert "made" in [each["name"] for each in demo.exhibits.listed({})["images"]]


@pytest.fixture
def page():
    """The page of the weights in the box in a headless Chromium, and what it said and fetched."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip(reason="there is no Chromium or Chrome")
    words = [sys.executable, "-m", "sample.demo", "--no-browser", "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as demo:
        try:
            address = demo.stdout.readline().split()[1]
            with api.sync_playwright() as started:
                browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
                page, wrong, asked = browser.new_page(), [], []
                page.set_default_timeout(180_000)
                page.on(
                    "console",
                    lambda said: wrong.append(said.text) if said.type == "error" else None,
                )
                page.on("pageerror", lambda error: wrong.append(str(error)))
                page.on("request", lambda request: asked.append(request.url))
                page.goto(address)
                page.wait_for_selector("body[data-ready]")
                yield page
                assert not wrong and not page.inner_text("#error")
                assert all(url.startswith((address, "data:", "blob:")) for url in asked)
                browser.close()
        finally:
            demo.terminate()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # playwright's own
def test_the_page_in_a_browser(page, tmp_path):
    """Draws with the mouse, writes, sounds, translates and describes, without a network."""
    pen = page.locator("#pen").bounding_box()
    page.mouse.move(pen["x"] + 100, pen["y"] + 50)
    page.mouse.down()
    page.mouse.move(pen["x"] + 200, pen["y"] + 60, steps=10)
    page.mouse.up()
    page.wait_for_selector("#completions figure:nth-child(8)")
    said = page.locator("#completions figcaption").all_inner_texts()
    assert len(said) == 8 and all(re.fullmatch(r"\d+\.\d nats", each) for each in said)
    page.mouse.move(pen["x"] + 101, pen["y"] + 51)
    assert re.search(r"-log p of pixel \(\d+, \d+\): \d+\.\d{3} nats", page.inner_text("#under"))
    assert "nats in the 14 known rows" in page.inner_text("#total")

    page.click("#write")
    page.wait_for_selector("#written span:nth-of-type(300)")
    assert page.inner_text("#written").startswith("def ")
    surprises = page.locator("#written span").evaluate_all("all => all.map(each => each.title)")
    assert all(re.fullmatch(r"-log p = \d+\.\d{3} nats", each) for each in surprises)
    assert "nats per character" in page.inner_text("#written-said")

    page.click("#play")
    page.wait_for_selector("#sounds audio")
    assert page.locator("audio").evaluate(PLAYS) == 0.5

    (source, date), *_ = read_pairs(BOX / "seq2seq_attention" / "test.tsv")
    assert page.input_value("#source") == source
    page.click("#translate")
    page.wait_for_selector("#alignment tr")
    assert page.inner_text("#translated").startswith(f"{date} (")
    assert page.locator("#alignment tr").count() == 1 + len(date)  # the source above

    page.click("#scenes figure:nth-child(2)")
    page.wait_for_selector("#caption span")
    before = page.locator("#gaze").screenshot()
    page.locator("#caption span").first.hover()
    assert page.locator("#gaze").screenshot() != before
    page.screenshot(path=tmp_path / "page.png", full_page=True)
