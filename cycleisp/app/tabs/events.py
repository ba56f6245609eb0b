"""What all events of the page have in common: sentences for errors, progress, the Stop button."""

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr

from cycleisp.app.actions.running import StopButton, StopPressed, within
from cycleisp.app.actions.workspace import Workspace
from cycleisp.utils.devices import is_out_of_memory
from cycleisp.utils.errors import UserError

log = logging.getLogger(__name__)
IN_TURN: dict[str, Any] = {"concurrency_id": "work", "concurrency_limit": 1}  # for events that compute


def event(workspace: Workspace, show: Callable[..., Any]) -> Callable[..., Any]:
    """Returns an event of the page whose errors are sentences on it, without a traceback.

    What nobody has foreseen is a bug. The page says so, and the traceback goes to the log, on
    standard error.
    """

    @functools.wraps(show)  # by the signature Gradio knows what else an event wants
    def guarded(*values: Any, **others: Any) -> Any:
        try:
            return show(*values, **others)
        except gr.Error:
            raise
        except StopPressed:
            return gr.skip()
        except (UserError, ValueError, MemoryError) as error:
            raise _error(workspace.sentence(error)) from None
        except Exception as error:
            if isinstance(error, RuntimeError) and is_out_of_memory(error):
                raise _error(workspace.sentence(MemoryError())) from None
            log.exception("an event of the page fails")
            words = f"this is a bug ({type(error).__name__}); its traceback is in the terminal in which the page runs"
            raise _error(words) from None

    return guarded


@contextmanager
def working(workspace: Workspace, button: StopButton, progress: gr.Progress, words: str) -> Iterator[None]:
    """Shows how far the work of the block has come, and ends it at Stop or when its time is over.

    Gradio calls work that was stopped ended, and begins the next, before it has noticed the button.
    So the next one waits here for its end.
    """
    progress(0, desc=words)
    with within(workspace.seconds, lambda _, share: progress(share, desc=words), button, workspace.turn):
        yield


def stop_button(button: gr.State, events: list[Any], name: str) -> None:
    """Lays out a button that ends events which compute, also those that wait in the queue.

    Args:
        button: the page's StopButton.
        events: to end.
        name: of the button in the page's HTML.
    """

    def press(pressed: StopButton) -> None:
        gr.Info("Stopped." if pressed.press() else "Nothing is at work.", duration=3)

    stop = gr.Button("Stop", variant="stop", scale=0, min_width=90, elem_id=name)
    stop.click(press, button, cancels=events, concurrency_limit=None, show_progress="hidden")


def _error(words: str) -> gr.Error:
    sentence = f"{words[:1].upper()}{words[1:]}." if words[:1].isalpha() and ": " not in words[:80] else f"{words}."
    return gr.Error(sentence, duration=None, print_exception=False)
