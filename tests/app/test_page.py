"""The page and its server: local, silent to others, and with sentences in place of tracebacks."""

import importlib.util
import subprocess
import sys
from contextlib import closing
from dataclasses import replace

import pytest

from cycleisp.app.__main__ import main
from cycleisp.app.actions.running import StopPressed
from cycleisp.app.actions.workspace import Workspace
from cycleisp.utils.errors import UserError
from tests.support.scripts import call_script, error_line

NEEDED = "the page needs Gradio, which the extra app installs"


def test_without_gradio_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    line = error_line(call_script(main))
    assert line == "error: the page needs Gradio, which is not installed: pip install 'cycleisp[app]'"


def test_importing_the_package_and_the_work_imports_no_gradio() -> None:
    code = "import cycleisp, sys, cycleisp.app.__main__; print(sorted({'gradio', 'torch'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.parametrize("options", [["--port", "0"], ["--port", "70000"], ["--minutes", "0"], ["--megapixels", "nan"]])
def test_impossible_options_are_refused(options: list[str]) -> None:
    result = call_script(main, *options)
    assert result.returncode == 2 and f"argument {options[0]}: expected" in result.stderr


def test_the_page_is_local_and_silent(place: Workspace) -> None:
    pytest.importorskip("gradio", reason=NEEDED)
    from starlette.testclient import TestClient

    from cycleisp.app.server import server_of

    client = TestClient(server_of(place).config.app, base_url="http://127.0.0.1")  # type: ignore[arg-type]
    answer = client.get("/")
    policy = answer.headers["content-security-policy"]
    assert answer.status_code == 200 and policy.startswith("default-src 'self';") and "http" not in policy
    config = client.get("/config").json()
    assert config["analytics_enabled"] is False and not config.get("is_space") and config["footer_links"] == []
    labels = [each["props"].get("label") for each in config["components"] if each["type"] == "tabitem"]
    assert labels == ["Denoise", "Make a pair", "Match colours"]
    assert client.get("/", headers={"host": "elsewhere.example"}).status_code == 400


def test_long_work_shows_its_progress(place: Workspace) -> None:
    """Gradio finds the progress among an event's parameters, if it can be given by its place."""
    pytest.importorskip("gradio", reason=NEEDED)
    from cycleisp.app.page import build

    page = build(place)
    told = {each.name for each in page.fns.values() if each.tracks_progress}
    assert told == {"show_piece", "make_whole", "make_pair", "match"}
    in_turn = {each.name for each in page.fns.values() if each.concurrency_id == "work"}
    ended = {page.fns[number].name for each in page.fns.values() for number in each.cancels}
    assert in_turn == ended == told  # one at a time, and each can be stopped


def test_files_of_weights_are_for_this_computer_alone(place: Workspace) -> None:
    pytest.importorskip("gradio", reason=NEEDED)
    from cycleisp.app.page import build

    for own in (True, False):
        page = build(replace(place, own_weights=own))
        (weights,) = (each for each in page.blocks.values() if getattr(each, "elem_id", "") == "denoise-weights")
        assert weights.allow_custom_value == own  # type: ignore[attr-defined]


def test_errors_are_sentences(place: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    gr = pytest.importorskip("gradio", reason=NEEDED)
    from cycleisp.app.tabs.events import event

    def fail(error: BaseException) -> None:
        raise error

    assert event(place, fail)(StopPressed()) == gr.skip()
    for error, words in (
        (UserError(f"{place.uploads}/12ab/a.jpg: is damaged; get it again"), "a.jpg: is damaged; get it again."),
        (ValueError("the noise is unknown"), "The noise is unknown."),
        (MemoryError(), "The memory of this machine does not suffice; give a smaller photo."),
        (KeyError("a"), "This is a bug (KeyError); its traceback is in the terminal in which the page runs."),
    ):
        with pytest.raises(gr.Error) as caught:
            event(place, fail)(error)
        assert caught.value.message == words and not caught.value.print_exception
    assert "KeyError" in caplog.text and "is damaged" not in caplog.text


def test_a_port_that_is_taken_is_refused_or_passed_over() -> None:
    pytest.importorskip("gradio", reason=NEEDED)
    from cycleisp.app.server import listen

    with closing(listen("127.0.0.1", None)) as first, closing(listen("127.0.0.1", None)) as second:
        ports = [each.getsockname()[1] for each in (first, second)]
        assert ports[0] < ports[1]
        with pytest.raises(UserError, match=f"port {ports[0]} .*give another --port or --host"):
            listen("127.0.0.1", ports[0])
