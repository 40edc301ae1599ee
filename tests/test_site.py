"""The site of the documents: it builds strictly, and is read without a network."""

import functools
import http.server
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

import sample
import train
import zoo

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("mkdocs") is None, reason="needs the extra `docs`"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site; --strict fails on a link, an anchor or a name that leads nowhere."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


class Resources(HTMLParser):
    """What a browser fetches to show a page."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag in ("img", "script", "source", "iframe", "audio") and attrs.get("src"):
            self.found.append(attrs["src"])
        if tag == "link" and attrs.get("rel") in ("stylesheet", "icon", "preconnect", "preload"):
            self.found.append(attrs["href"])


def resources(page):
    parser = Resources()
    parser.feed(page.read_text())
    return parser.found


def test_pages_fetch_nothing_from_a_network(site):
    """Every picture, script and style lies in the folder."""
    pages, pictures = sorted(site.rglob("*.html")), 0
    assert len(pages) > 40
    for page in pages:
        for source in resources(page):
            if source.startswith("data:"):
                continue
            assert not re.match(r"([a-z]+:)?//", source), f"{page.name} fetches {source}"
            path = unquote(source.partition("?")[0])
            base = site if path.startswith("/") else page.parent
            assert (base / path.lstrip("/")).exists(), f"{page.name}: {source} is not there"
            pictures += path.endswith(".png")
    assert pictures > 10
    for style in site.rglob("*.css"):
        assert not re.search(r"url\((['\"]?)(https?:)?//", style.read_text()), style.name


def test_every_public_name_is_explained(site):
    found = " ".join(page.read_text() for page in (site / "reference").glob("*.html"))
    public = [("zoo", zoo), ("train", train), ("sample", sample)]
    names = [f"{package}.{name}" for package, module in public for name in module.__all__]
    missing = [name for name in names if f'id="{name}"' not in found]
    assert not missing
    log_prob = (site / "reference" / "zoo.core.html").read_text()
    assert "Raises:" in log_prob and "Examples:" in log_prob and "&gt;&gt;&gt;" in log_prob


def test_search_knows_the_words_of_every_section(site):
    index = json.loads((site / "search" / "search_index.json").read_text())
    text = " ".join(entry["title"] + " " + entry["text"] for entry in index["docs"])
    for word in ("ancestral", "zoo.log_prob", "Jacobi", "REINFORCE", "make train", "FVSBN"):
        assert word in text, word
    assert index["config"]["lang"] == ["en", "ko"]


@pytest.fixture
def served(site):
    """The address of the site on this machine."""
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    handler = functools.partial(quiet, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def browser():
    """A headless Chromium of this machine."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip(reason="needs Chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # playwright's own
def test_a_reader_searches_sees_and_copies(site, served, browser):
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page, asked = context.new_page(), []
    page.set_default_timeout(120_000)
    page.on("request", lambda request: asked.append(request.url))

    page.goto(f"{served}/index.html")
    pictures = page.locator(".md-content img")
    assert pictures.count() >= 1
    assert all(picture.evaluate("each => each.naturalWidth > 100") for picture in pictures.all())
    page.locator(".md-content button.md-code__button").first.click()
    page.wait_for_timeout(500)
    assert "p(x | c) = prod_t" in page.evaluate("navigator.clipboard.readText()")

    for address in (f"{served}/index.html", (site / "index.html").as_uri()):
        page.goto(address)
        page.locator(".md-search__input").fill("teacher forcing")
        result = page.locator(".md-search-result__link").first
        result.wait_for(state="visible")
        assert "forcing" in page.locator(".md-search-result__list").inner_text().lower()

    links = {link for link in map(unquote, asked) if not link.startswith(("data:", "blob:"))}
    assert all(link.startswith((served, "file:")) for link in links)
