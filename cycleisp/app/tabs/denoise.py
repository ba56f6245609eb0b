"""The tab that denoises: a file in, a slider between before and after, a result to take away."""

from pathlib import Path
from typing import Any

import gradio as gr

from cycleisp.app.actions import denoising
from cycleisp.app.actions.denoising import FORMATS, Wanted, noise_text, piece_of, weights_for
from cycleisp.app.actions.opening import Opened, open_file
from cycleisp.app.actions.running import StopButton
from cycleisp.app.actions.workspace import Workspace
from cycleisp.app.tabs.events import IN_TURN, event, stop_button, working
from cycleisp.utils.errors import UserError

NO_FILE = "Drop a photo or a camera file first."
MIDDLE = (0.5, 0.5)


def denoise_tab(workspace: Workspace) -> None:
    """Lays out the tab, inside of a page."""
    opened, middle, button = gr.State(None), gr.State(MIDDLE), gr.State(StopButton())
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            file = gr.File(label="Photo or camera file", type="filepath", height=140, elem_id="denoise-file")
            about = gr.Markdown(NO_FILE, elem_id="denoise-about")
            overview = gr.Image(
                label="Click where to look",
                interactive=False,
                buttons=[],
                height=220,
                visible=False,
                elem_id="denoise-overview",
            )
            zoom = gr.Radio(
                [(f"{each}:1", each) for each in denoising.ZOOMS], value=1, label="Zoom", elem_id="denoise-zoom"
            )
            weights = gr.Dropdown(
                weights_for("srgb"),
                label="Weights: a name or a path" if workspace.own_weights else "Weights",
                allow_custom_value=workspace.own_weights,
                elem_id="denoise-weights",
            )
            strength = gr.Slider(0, 1, 1, step=0.05, label="Strength: sets both", elem_id="denoise-strength")
            luma = gr.Slider(0, 1, 1, step=0.05, label="Luma: brightness", elem_id="denoise-luma")
            chroma = gr.Slider(0, 1, 1, step=0.05, label="Chroma: colour", elem_id="denoise-chroma")
            keep = gr.Checkbox(label="Keep brightness of large areas", elem_id="denoise-keep")
            with gr.Group(visible=False) as level:
                words = "Shot noise, variance for each unit of signal"
                shot = gr.Number(label=words, minimum=0, maximum=1, elem_id="denoise-shot")
                read = gr.Number(label="Read noise, variance", minimum=0, maximum=1, elem_id="denoise-read")
        with gr.Column(scale=3, min_width=480):
            slider = gr.ImageSlider(
                label="Before and after",
                type="filepath",
                interactive=False,
                max_height=denoising.VIEW[1],
                elem_id="denoise-slider",
                elem_classes="pixels",
            )
            with gr.Row() as beside:
                form = gr.Radio(FORMATS["srgb"], value=FORMATS["srgb"][0], label="Format", elem_id="denoise-format")
                whole = gr.Button("Denoise the whole picture", variant="primary", elem_id="denoise-whole")
            made = gr.File(label="Result", interactive=False, visible=False, elem_id="denoise-result")

    def closed(words: str) -> list[Any]:
        same, hidden = gr.update(), gr.update(visible=False)
        return [None, MIDDLE, words, hidden, same, same, hidden, None, None, same, hidden]

    def open_upload(path: str | None, chosen: str | None) -> list[Any]:
        if path is None:
            return closed(NO_FILE)
        try:
            found, small = open_file(Path(path))
        except UserError as error:
            return closed(f"**This file cannot be used.** {workspace.sentence(error)}.")
        names, forms = weights_for(found.space), FORMATS[found.space]
        return [
            found,
            MIDDLE,
            found.about,
            gr.update(value=small, visible=True),
            gr.update(choices=names, value=_weights_to_go_on_with(chosen, names)),
            gr.update(choices=forms, value=forms[0]),
            gr.update(visible=found.space == "raw"),
            found.shot_noise,
            found.read_noise,
            gr.update(visible=found.space == "srgb"),
            gr.update(visible=False),
        ]

    settings = [opened, weights, luma, chroma, keep, shot, read]

    def show_piece(
        found: Opened | None,
        weights: str | None,
        luma: float,
        chroma: float,
        keep: bool,
        shot_noise: float | None,
        read_noise: float | None,
        times: int,
        at: tuple[float, float],
        button: StopButton,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  # as Gradio wants it
    ) -> Any:
        if found is None:
            return None
        wanted = _wanted(found, weights, luma, chroma, keep, shot_noise, read_noise)
        with working(workspace, button, progress, "denoising a piece"):
            return denoising.preview(workspace, found, wanted, piece_of(found, times, *at))

    def make_whole(
        found: Opened | None,
        weights: str | None,
        luma: float,
        chroma: float,
        keep: bool,
        shot_noise: float | None,
        read_noise: float | None,
        format: str,
        button: StopButton,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  # as above
    ) -> Any:
        if found is None:
            raise gr.Error(NO_FILE, print_exception=False)
        wanted = _wanted(found, weights, luma, chroma, keep, shot_noise, read_noise)
        with working(workspace, button, progress, "denoising"):
            path = denoising.result(workspace, found, wanted, format)
        return gr.update(value=str(path), visible=True)

    view: dict[str, Any] = {
        "fn": event(workspace, show_piece),
        "inputs": [*settings, zoom, middle, button],
        "outputs": slider,
        "trigger_mode": "always_last",
        **IN_TURN,
    }
    opening = file.change(
        event(workspace, open_upload),
        [file, weights],
        [opened, middle, about, overview, weights, form, level, shot, read, keep, made],
        show_progress_on=about,
    )
    clicked = overview.select(event(workspace, _clicked_in), [opened, overview], middle)
    both = strength.release(lambda share: (share, share), strength, [luma, chroma])
    views = [each.success(**view) for each in (opening, clicked, both)]
    views += [each.release(**view) for each in (luma, chroma)]
    views += [other.input(**view) for other in (zoom, weights, keep)]
    views += [begin(**view) for number in (shot, read) for begin in (number.submit, number.blur)]
    making = whole.click(event(workspace, make_whole), [*settings, form, button], made, **IN_TURN)
    with beside:
        stop_button(button, [*views, making], "denoise-stop")


def _weights_to_go_on_with(chosen: str | None, names: list[str]) -> str:
    """Returns the weights for a new file: those that were chosen, if they can be for it."""
    shipped = {*weights_for("srgb"), *weights_for("raw")}
    return chosen if chosen and (chosen in names or chosen not in shipped) else names[0]


def _clicked_in(found: Opened | None, shown: Any, place: gr.SelectData) -> tuple[float, float]:
    """Returns where a picture was clicked, as shares of its width and height."""
    if found is None or shown is None:
        return MIDDLE
    height, width = shown.shape[:2]
    return place.index[0] / width, place.index[1] / height


def _wanted(
    found: Opened,
    weights: str | None,
    luma: float,
    chroma: float,
    keep: bool,
    shot_noise: float | None,
    read_noise: float | None,
) -> Wanted:
    """Returns what the controls say."""
    noise = noise_text(found, shot_noise, read_noise)
    return Wanted(weights or "", luma, chroma, keep and found.space == "srgb", noise)
