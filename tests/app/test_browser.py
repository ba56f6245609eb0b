"""The page in a real Chromium: upload, before and after, download, a damaged file."""

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cycleisp.app.actions.workspace import Workspace
from cycleisp.dataloaders.photos import read_photo
from cycleisp.tasks.denoising import denoise_files
from tests.support.pictures import random_picture, write_png

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE = 300.0  # seconds; all takes a few on a quiet machine


@pytest.fixture
def address(place: Workspace) -> Iterator[str]:
    """The address of a page that is served in a thread."""
    pytest.importorskip("gradio", reason="the page needs Gradio, which the extra app installs")
    from cycleisp.app.server import listen, server_of

    with closing(listen("127.0.0.1", None)) as ear:
        server = server_of(place)
        thread = threading.Thread(target=server.run, args=([ear],), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{ear.getsockname()[1]}"
        server.should_exit = True
        thread.join(timeout=PATIENCE)
        assert not thread.is_alive()


@pytest.fixture
def chromium() -> Iterator[Any]:
    """A Chromium without a window."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Chromium is driven by the package playwright")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def test_a_photo_is_dropped_looked_at_and_taken_away(address: str, chromium: Any, tmp_path: Path) -> None:
    photo = write_png(tmp_path / "photo.png", random_picture(48, 64))
    damaged = tmp_path / "broken photo.png"
    damaged.write_bytes(photo.read_bytes()[:200])
    page, asked, mishaps = chromium.new_page(), [], []
    page.set_default_timeout(PATIENCE * 1000)
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: mishaps.append(str(error)))
    page.goto(address)

    page.set_input_files("#denoise-file input[type=file]", damaged)
    about = page.locator("#denoise-about", has_text="cannot be used")
    about.wait_for()
    assert "broken photo.png: " in about.inner_text() and "Traceback" not in page.content()
    assert str(tmp_path) not in about.inner_text() and "cycleisp-app" not in about.inner_text()

    page.locator("#denoise-file [aria-label='Clear']").first.click()
    page.set_input_files("#denoise-file input[type=file]", photo)
    page.locator("#denoise-about", has_text="photo.png: a photo of 64x48 pixels, 8 bits").wait_for()
    before, after = (page.locator("#denoise-slider [data-testid=imageslider-image]").nth(number) for number in (0, 1))
    after.wait_for()
    assert "50%" in after.get_attribute("style")  # the part that is hidden, at the left
    handle = page.locator("#denoise-slider .icon-wrap").bounding_box()
    x, y = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - handle["width"] * 4, y, steps=4)
    page.mouse.up()
    hidden = float(after.get_attribute("style").split("inset(")[1].split(")")[0].split()[-1].rstrip("%"))
    assert 0 < hidden < 49

    shown = after.get_attribute("src")
    page.locator("#denoise-luma input[type=range]").fill("0")
    page.locator("#denoise-luma input[type=range]").dispatch_event("pointerup")
    wait_until(lambda: after.get_attribute("src") not in (None, shown))  # a new piece, at another strength
    assert before.get_attribute("src") != after.get_attribute("src")

    page.locator("#denoise-whole").click()
    with page.expect_download() as download:
        page.locator("#denoise-result a").click()
    taken = tmp_path / "taken.png"
    download.value.save_as(taken)
    assert download.value.suggested_filename == "photo_denoised.png"
    denoise_files([photo], tmp_path / "made", device="cpu", luma=0)
    np.testing.assert_array_equal(read_photo(taken), read_photo(tmp_path / "made" / "photo.png"))
    assert not mishaps
    assert all(url.startswith((address, "data:", "blob:")) for url in asked)


def wait_until(true: Any) -> None:
    """Waits for something to become true."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)
