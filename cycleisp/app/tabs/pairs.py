"""The tab that makes a noisy/clean pair of a photo."""

from pathlib import Path
from typing import Any

import gradio as gr

from cycleisp.app.actions import pairs
from cycleisp.app.actions.running import StopButton
from cycleisp.app.actions.workspace import Workspace
from cycleisp.app.tabs.events import IN_TURN, event, stop_button, working
from cycleisp.utils.raw.noise import FixedNoise

START = FixedNoise(shot_noise=0.01, read_noise=0.0005)  # of a level of one's own


def pairs_tab(workspace: Workspace) -> None:
    """Lays out the tab, inside of a page."""
    button = gr.State(StopButton())
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            file = gr.File(label="Clean photo", type="filepath", height=140, elem_id="pair-file")
            noise = gr.Dropdown(pairs.NOISES, label="Noise profile", elem_id="pair-noise")
            with gr.Group(visible=False) as level:
                shot = gr.Number(START.shot_noise, label="Shot noise, variance for each unit of signal")
                read = gr.Number(START.read_noise, label="Read noise, variance")
            seed = gr.Number(0, label="Seed", precision=0, minimum=0, elem_id="pair-seed")
            part = gr.Radio((pairs.PIECE, pairs.WHOLE), value=pairs.PIECE, label="Part of the photo")
            with gr.Row() as beside:
                make = gr.Button("Make the pair", variant="primary", elem_id="pair-make")
            archive = gr.File(label="The pair", interactive=False, visible=False, elem_id="pair-result")
        with gr.Column(scale=3, min_width=480):
            srgb = gr.ImageSlider(
                label="sRGB: clean and noisy", interactive=False, format="png", max_height=640, elem_id="pair-srgb"
            )
            raw = gr.ImageSlider(
                label="RAW: clean and noisy", interactive=False, format="png", max_height=640, elem_id="pair-raw"
            )
            statistics = gr.HTML(elem_id="pair-statistics")

    def make_pair(
        path: str | None,
        profile: str,
        shot_noise: float | None,
        read_noise: float | None,
        number: int | None,
        which: str,
        button: StopButton,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  # as Gradio wants it
    ) -> list[Any]:
        if path is None:
            raise gr.Error("Drop a clean photo first.", print_exception=False)
        with working(workspace, button, progress, "making the pair"):
            level = pairs.noise_of(profile, shot_noise, read_noise)
            pair = pairs.make_pair(workspace, Path(path), level, number or 0, which)
        return [pair.srgb, pair.raw, pair.statistics, gr.update(value=str(pair.archive), visible=True)]

    noise.input(lambda name: gr.update(visible=name == pairs.OWN_LEVEL), noise, level)
    settings, shown = [file, noise, shot, read, seed, part, button], [srgb, raw, statistics, archive]
    making = make.click(event(workspace, make_pair), settings, shown, **IN_TURN)
    with beside:
        stop_button(button, [making], "pair-stop")
