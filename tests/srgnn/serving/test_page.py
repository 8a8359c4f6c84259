"""The page of the service in a real browser; skipped where Chromium or playwright is missing."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import uvicorn

from srgnn.nn import SRGNNSettings
from srgnn.recommender import Recommender
from srgnn.serving.app import build_app
from srgnn.serving.model import ServedModel
from srgnn.serving.service import Service

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")

IDS = [f"lamp-{number}" for number in range(30)]
TITLES = ["A <b>bold</b> lamp", *[None] * 29]
SESSION = ["lamp-3", "lamp-4", "lamp-3"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = SRGNNSettings(8).build(len(IDS))
    torch.nn.init.normal_(model.item_embedding.weight)  # scores that differ clearly
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    record = {"model": {"num_items": len(IDS), "hidden_size": 8}, "vocabulary": IDS, "titles": TITLES}
    path = tmp_path_factory.mktemp("served") / "model.ckpt"
    torch.save({"state_dict": state, "srgnn": {**record, "clicks": list(range(30, 0, -1))}}, path)
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with playwright.sync_playwright() as started:
        yield started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])


@pytest.fixture
def open_page(checkpoint: Path, browser) -> Iterator[Callable[..., "playwright.Page"]]:
    """Opens the page of a service over the checkpoint; an error in the browser's console fails the test."""
    problems: list[str] = []
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def opened(width: int = 1200, scheme: str = "light", **options) -> "playwright.Page":
        app = build_app(Service(ServedModel(lambda: checkpoint), **options))
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
        thread = threading.Thread(target=server.run)
        thread.start()
        running.append((server, thread))
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(f"http://127.0.0.1:{port}/")
        return page

    yield opened
    for server, thread in running:
        server.should_exit = True
        thread.join()
    assert [text for text in problems if "401" not in text] == []


def type_session(page, session: list[str]) -> None:
    page.keyboard.press("/")
    for place, raw in enumerate(session, start=1):
        page.keyboard.type(raw)
        page.keyboard.press("Enter")  # at once: it waits for the items of the whole text
        page.wait_for_selector(f"#clicks li:nth-child({place})")


def shows(page, items: list[str]) -> None:
    """Waits until the list of the next items begins with these."""
    names = "[...document.querySelectorAll('#next .name')].map((name) => name.textContent)"
    page.wait_for_function(f"(items) => items.every((item, place) => {names}[place]?.includes(item))", arg=items)


def test_a_session_is_typed_by_keyboard_and_the_next_items_are_those_of_the_model(open_page, checkpoint: Path):
    page = open_page()
    shows(page, IDS[:3])  # the most clicked ones, before the first click
    assert "most clicked" in page.inner_text("#how")
    type_session(page, SESSION)
    shows(page, Recommender.load(checkpoint).recommend(SESSION, 20).items)
    page.keyboard.press("Backspace")
    shows(page, Recommender.load(checkpoint).recommend(SESSION[:2], 20).items)
    assert page.locator("#clicks li").count() == 2


def test_the_graph_has_a_circle_for_each_item_and_an_arrow_for_each_pair(open_page):
    page = open_page()
    type_session(page, SESSION)
    page.wait_for_selector("#graph svg[aria-label='Session graph with 2 items: lamp-3 to lamp-4, lamp-4 to lamp-3']")
    assert page.locator("#graph circle").count() == 2
    assert page.locator("#graph .edge").count() == 2
    assert page.locator("#graph .last title").text_content() == "lamp-3"


def test_the_items_similar_to_the_last_click_are_clicked(open_page, checkpoint: Path):
    page = open_page()
    assert page.is_hidden("#alike")
    type_session(page, SESSION)
    page.wait_for_selector("#alike-to:has-text('lamp-3')")
    similar = Recommender.load(checkpoint).similar_items("lamp-3", 6).items
    assert [name.split()[-1] for name in page.locator("#similar .name").all_inner_texts()] == similar
    page.click("#similar li:nth-child(2) button")
    page.wait_for_selector(f"#clicks li:nth-child(4):has-text('{similar[1]}')")


def test_a_click_that_is_left_out_shows_what_would_be_recommended_without_it(open_page, checkpoint: Path):
    page = open_page()
    type_session(page, SESSION)
    page.click("#clicks li:nth-child(3) button:first-child")
    shows(page, Recommender.load(checkpoint).recommend(SESSION[:2], 20).items)
    assert page.inner_text("#how").startswith("Without click 3, lamp-3.")
    page.click("#clicks li:nth-child(3) button:first-child")
    shows(page, Recommender.load(checkpoint).recommend(SESSION, 20).items)


def test_a_recommended_item_is_clicked_and_titles_are_text(open_page):
    page = open_page()
    shows(page, ["A <b>bold</b> lamp"])
    assert page.locator("#next b").count() == 0
    page.click("#next li:first-child button")
    page.wait_for_selector("#clicks li")
    assert "A <b>bold</b> lamp" in page.inner_text("#clicks")
    page.check("#new-only")
    page.wait_for_function("() => document.querySelectorAll('#next li').length == 20")
    page.wait_for_function("() => !document.querySelector('#next').textContent.includes('bold')")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(open_page, scheme: str):
    page = open_page(width=360, scheme=scheme)
    type_session(page, SESSION)
    page.wait_for_selector("#graph svg")
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 360
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")


def test_a_service_with_a_key_asks_for_it(open_page):
    page = open_page(api_key="secret")
    page.wait_for_selector("#key-form:not([hidden])")
    page.fill("#key", "secret")
    page.keyboard.press("Enter")
    shows(page, IDS[:3])
    assert page.is_hidden("#key-form")
