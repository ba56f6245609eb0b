"""The page in a real Chromium: all of its tabs, in one session of the browser."""

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage import data

from cycleisp.app.actions import denoising
from cycleisp.app.actions.workspace import Workspace
from cycleisp.dataloaders.photos import read_photo
from cycleisp.tasks.denoising import denoise_files
from cycleisp.utils.raw.camera_files import read_raw
from cycleisp.utils.steps import looker
from tests.support.pictures import random_mosaic, random_picture, write_dng, write_png

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


def test_the_page_does_what_it_says(
    address: str, chromium: Any, tmp_path: Path, weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    page, asked, mishaps = chromium.new_page(), [], []
    page.set_default_timeout(PATIENCE * 1000)
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: mishaps.append(str(error)))
    page.goto(address)
    photo = write_png(tmp_path / "photo.png", random_picture(48, 64))
    a_damaged_file_is_refused(page, photo, tmp_path)
    a_photo_is_looked_at_and_taken_away(page, photo, tmp_path)
    long_work_is_stopped(page, monkeypatch)
    brightness_is_kept_and_weights_are_ones_own(page, photo, tmp_path, weights["srgb"])
    a_camera_file_is_denoised_for_another_noise(page, tmp_path, weights["raw"])
    a_pair_is_made(page, photo)
    colours_are_matched(page, tmp_path)
    assert not mishaps
    assert all(url.startswith((address, "data:", "blob:")) for url in asked)


def a_damaged_file_is_refused(page: Any, photo: Path, folder: Path) -> None:
    damaged = folder / "broken photo.png"
    damaged.write_bytes(photo.read_bytes()[:200])
    page.set_input_files("#denoise-file input[type=file]", damaged)
    about = page.locator("#denoise-about", has_text="cannot be used")
    about.wait_for()
    assert "broken photo.png: " in about.inner_text() and "Traceback" not in page.content()
    assert str(folder) not in about.inner_text() and "cycleisp-app" not in about.inner_text()
    page.locator("#denoise-file [aria-label='Clear']").first.click()


def a_photo_is_looked_at_and_taken_away(page: Any, photo: Path, folder: Path) -> None:
    page.set_input_files("#denoise-file input[type=file]", photo)
    page.locator("#denoise-about", has_text="photo.png: a photo of 64x48 pixels, 8 bits").wait_for()
    before, after = shown_in(page, "#denoise-slider")
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

    with another_piece(page):
        page.locator("#denoise-luma input[type=range]").fill("0")
        page.locator("#denoise-luma input[type=range]").dispatch_event("pointerup")
    assert before.get_attribute("src") != after.get_attribute("src")

    taken = result_of(page, folder)
    assert taken.name == "photo_denoised.png"
    assert_as_of_the_script(photo, taken, folder, luma=0)


def long_work_is_stopped(page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Presses Stop while something works that asks between its pieces, as the networks do."""
    begun, ended = threading.Event(), threading.Event()

    def work_for_long(*files: Any, **settings: Any) -> None:
        look, end = looker(), time.monotonic() + PATIENCE
        begun.set()
        try:
            while time.monotonic() < end:
                look()
                time.sleep(0.01)
        finally:
            ended.set()

    with monkeypatch.context() as patched:
        patched.setattr(denoising, "denoise_files", work_for_long)
        page.locator("#denoise-whole").click()
        assert begun.wait(PATIENCE)
        pressed = time.monotonic()
        page.locator("#denoise-stop").click()
        assert ended.wait(PATIENCE) and time.monotonic() - pressed < PATIENCE / 2  # it was ended, not waited for
        page.get_by_text("Stopped.").first.wait_for()
    page.locator("#denoise-stop").click()
    page.get_by_text("Nothing is at work.").first.wait_for()


def brightness_is_kept_and_weights_are_ones_own(page: Any, photo: Path, folder: Path, weights: Path) -> None:
    choose_weights(page, str(folder / "nowhere.safetensors"))
    page.get_by_text("nowhere.safetensors: neither a file nor shipped weights").first.wait_for()
    with another_piece(page):
        choose_weights(page, str(weights))
    with another_piece(page):
        page.locator("#denoise-keep input").check()
    taken = result_of(page, folder)
    assert_as_of_the_script(photo, taken, folder, luma=0, weights=str(weights), keep_brightness=True)


def a_camera_file_is_denoised_for_another_noise(page: Any, folder: Path, weights: Path) -> None:
    shot = write_dng(folder / "shot.dng", random_mosaic(64, 96), noise_profile=[0.01, 1e-4])
    page.locator("#denoise-file [aria-label='Clear']").first.click()
    page.set_input_files("#denoise-file input[type=file]", shot)
    page.locator("#denoise-about", has_text="shot.dng: a camera file of 96x64 pixels").wait_for()
    with another_piece(page):
        choose_weights(page, str(weights))
    assert page.locator("#denoise-shot input").input_value() == "0.01"
    assert page.locator("#denoise-keep").is_hidden()
    with another_piece(page):
        page.locator("#denoise-shot input").fill("0.05")
        page.locator("#denoise-shot input").press("Enter")
    taken = result_of(page, folder)
    assert taken.name == "shot_denoised.dng"
    denoise_files([shot], folder / "by script", str(weights), "shot=0.05,read=0.0001", device="cpu", luma=0)
    np.testing.assert_array_equal(read_raw(taken).mosaic, read_raw(folder / "by script" / "shot.dng").mosaic)


def a_pair_is_made(page: Any, photo: Path) -> None:
    page.get_by_role("tab", name="Make a pair").click()
    page.set_input_files("#pair-file input[type=file]", photo)
    page.locator("#pair-file [aria-label='Clear']").first.wait_for()
    page.locator("#pair-make").click()
    page.locator("#pair-statistics", has_text="PSNR of the noisy photo").wait_for()
    with page.expect_download() as download:
        page.locator("#pair-result a").click()
    assert download.value.suggested_filename == "photo_pair.zip"


def colours_are_matched(page: Any, folder: Path) -> None:
    scene = np.ascontiguousarray(data.astronaut()[:320:2, :320:2])
    tinted = (scene * np.array([0.9, 0.8, 0.6])).astype(np.uint8)
    page.get_by_role("tab", name="Match colours").click()
    page.locator("#match-make").click()
    page.get_by_text("Drop two photos first.").first.wait_for()
    for place, picture in (("source", scene), ("target", tinted)):
        path = write_png(folder / f"{place}.png", picture)
        page.set_input_files(f"#match-{place} input[type=file]", path)
        page.locator(f"#match-{place}", has_text=f"{place}").locator("[aria-label='Clear']").first.wait_for()
    page.locator("#match-make").click()
    shown_in(page, "#match-slider")[1].wait_for()
    with page.expect_download() as download:
        page.locator("#match-result a").click()
    assert download.value.suggested_filename == "source_matched.png"
    download.value.save_as(folder / "matched.png")
    before, after = (np.abs(each - tinted.astype(float)).mean() for each in (scene, read_photo(folder / "matched.png")))
    assert after < before / 4


def shown_in(page: Any, slider: str) -> list[Any]:
    """Returns the pictures before and after."""
    return [page.locator(f"{slider} [data-testid=imageslider-image]").nth(number) for number in (0, 1)]


@contextmanager
def another_piece(page: Any) -> Iterator[None]:
    """Waits for another piece after the block."""
    ask = "() => document.querySelectorAll('#denoise-slider [data-testid=imageslider-image]')[1]?.src"
    shown = page.evaluate(ask)
    yield
    wait_until(lambda: page.evaluate(ask) not in (None, shown))


def choose_weights(page: Any, text: str) -> None:
    page.locator("#denoise-weights input").fill(text)
    page.locator("#denoise-weights input").press("Enter")


def result_of(page: Any, folder: Path) -> Path:
    """Denoises the whole picture, and returns the result that is taken away."""
    shown = page.locator("#denoise-result a")
    last = shown.first.get_attribute("href") if shown.count() else None
    page.locator("#denoise-whole").click()
    wait_until(lambda: shown.count() and shown.first.get_attribute("href") not in (None, last))
    with page.expect_download() as download:
        shown.first.click()
    taken = folder / download.value.suggested_filename
    download.value.save_as(taken)
    return taken


def assert_as_of_the_script(photo: Path, taken: Path, folder: Path, **settings: Any) -> None:
    made = folder / f"by script, {' '.join(settings)}"
    denoise_files([photo], made, device="cpu", **settings)
    np.testing.assert_array_equal(read_photo(taken), read_photo(made / photo.name))


def wait_until(true: Any) -> None:
    """Waits for something to become true."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)
