"""The picture of the service's page in the README: `python docs/screenshot.py` beside a running `make demo`.

Needs playwright and Chromium.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

PAGE = "http://127.0.0.1:8080/"
PICTURE = Path(__file__).parent / "images" / "page.png"
SESSION = ["lamps-10", "lamps-11", "offers-03", "lamps-11"]


def main(address: str = PAGE) -> None:
    """Clicks through a session, and takes the picture."""
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 800}, device_scale_factor=1.5)
        page.goto(address)
        page.keyboard.press("/")
        for place, raw in enumerate(SESSION, start=1):
            page.keyboard.type(raw)
            page.wait_for_selector("#found li")
            page.keyboard.press("Enter")
            page.wait_for_selector(f"#clicks li:nth-child({place})")
        page.wait_for_load_state("networkidle")  # the graph of the last click is drawn
        page.locator("#search").blur()
        page.screenshot(path=PICTURE)


if __name__ == "__main__":
    main(*sys.argv[1:])
