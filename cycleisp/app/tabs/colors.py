"""The tab that gives a photo the colours of another view."""

from pathlib import Path
from typing import Any

import gradio as gr

from cycleisp.app.actions.running import StopButton
from cycleisp.app.actions.views import match_view
from cycleisp.app.actions.workspace import Workspace
from cycleisp.app.tabs.events import IN_TURN, event, stop_button, working


def colors_tab(workspace: Workspace) -> None:
    """Lays out the tab, inside of a page."""
    button = gr.State(StopButton())
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            source = gr.File(label="Photo to change", type="filepath", height=140, elem_id="match-source")
            target = gr.File(label="View with the wanted colours", type="filepath", height=140, elem_id="match-target")
            with gr.Row() as beside:
                make = gr.Button("Match the colours", variant="primary", elem_id="match-make")
            result = gr.File(label="Result", interactive=False, visible=False, elem_id="match-result")
        with gr.Column(scale=3, min_width=480):
            slider = gr.ImageSlider(
                label="Before and after", interactive=False, format="png", max_height=640, elem_id="match-slider"
            )
            notes = gr.Markdown(elem_id="match-notes")

    def match(
        changed: str | None,
        wanted: str | None,
        button: StopButton,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  # as Gradio wants it
    ) -> list[Any]:
        if changed is None or wanted is None:
            raise gr.Error("Drop two photos first.", print_exception=False)
        with working(workspace, button, progress, "matching"):
            made = match_view(workspace, Path(changed), Path(wanted))
        words = "\n\n".join(made.warnings)
        return [(made.before, made.after), words, gr.update(value=str(made.result), visible=True)]

    matching = make.click(event(workspace, match), [source, target, button], [slider, notes, result], **IN_TURN)
    with beside:
        stop_button(button, [matching], "match-stop")
