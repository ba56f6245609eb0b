"""The page as a whole: its tabs, its queue, and its looks."""

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before Gradio is imported
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

import gradio as gr

from cycleisp import __version__
from cycleisp.app.actions.workspace import KEPT, Workspace
from cycleisp.app.tabs.colors import colors_tab
from cycleisp.app.tabs.denoise import denoise_tab
from cycleisp.app.tabs.pairs import pairs_tab

WAITING = 16  # events that may wait in the queue
STYLE = """
.pixels img { image-rendering: pixelated; }
.gradio-container { max-width: 1400px !important; }
"""


def build(workspace: Workspace) -> gr.Blocks:
    """Returns the page. One event is worked on at a time, and others wait in a queue."""
    os.environ["GRADIO_TEMP_DIR"] = str(workspace.uploads)  # so that uploads are removed with the page
    kept = int(KEPT)
    with gr.Blocks(title="CycleISP", analytics_enabled=False, delete_cache=(kept, kept)) as page:
        gr.Markdown(f"# CycleISP {__version__}\nEverything stays on the computer that runs this page.")
        with gr.Tab("Denoise"):
            denoise_tab(workspace)
        with gr.Tab("Make a pair"):
            pairs_tab(workspace)
        with gr.Tab("Match colours"):
            colors_tab(workspace)
    return page.queue(max_size=WAITING, default_concurrency_limit=1, api_open=False)


def theme() -> gr.Theme:
    """Returns the looks of the page, with the fonts of the computer instead of Google's."""
    return gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])
