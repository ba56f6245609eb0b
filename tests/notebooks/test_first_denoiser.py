"""The notebook runs from its first cell to its last, with two steps of training, in Jupyter's own
kernel.
"""

from pathlib import Path

import pytest

from tests.support.paths import ROOT

nbformat = pytest.importorskip("nbformat", reason="notebooks run in the developers' environment")
nbclient = pytest.importorskip("nbclient", reason="notebooks run in the developers' environment")
pytest.importorskip("ipykernel", reason="notebooks run in the developers' environment")
NOTEBOOK = ROOT / "notebooks" / "first_denoiser.ipynb"


def test_the_notebook_trains_a_denoiser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"STEPS": "2", "FOLDER": "mine"}.items():
        monkeypatch.setenv(f"CYCLEISP_NOTEBOOK_{name}", value)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert (tmp_path / "mine" / "run" / "weights.safetensors").is_file()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    said = "".join(output.get("text", "") for cell in code for output in cell.outputs)
    assert "finished" in said and "yours" in said
    pictures = [output for cell in code for output in cell.outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 2


def test_the_stored_notebook_has_no_results() -> None:
    """Results would change with every run, and a reader should get their own."""
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        assert cell.cell_type == "markdown" or (cell.outputs == [] and cell.execution_count is None)
