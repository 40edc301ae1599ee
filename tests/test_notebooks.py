"""Every notebook runs from top to bottom, and is committed without outputs."""

import os
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def slow_if_long(path):
    return pytest.param(path, marks=pytest.mark.slow) if path.stem != "01_sample" else path


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stripped(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert cells and not any(cell.outputs or cell.execution_count for cell in cells)


@pytest.mark.filterwarnings("ignore")  # jupyter's own
@pytest.mark.parametrize(
    "path", [slow_if_long(path) for path in NOTEBOOKS], ids=lambda path: path.stem
)
def test_notebook_runs(path, tmp_path, monkeypatch):
    """In an empty folder, as after a first installation, with fewer steps of training."""
    from nbclient import NotebookClient

    monkeypatch.setenv("NOTEBOOK_STEPS", "20")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    outputs = [
        output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs
    ]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 2
    assert not any(output.output_type == "error" for output in outputs)
