"""Every notebook runs from top to bottom; saved outputs are small, and nothing but results."""

import os
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
KOREAN = [path for path in NOTEBOOKS if path.stem.endswith("_ko")]  # the same code as the English


def slow_if_long(path):
    return pytest.param(path, marks=pytest.mark.slow) if path.stem != "01_sample" else path


def code_of(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_saved_outputs_are_small_and_nothing_but_results(path):
    """`make notebooks` writes them so."""
    assert path.stat().st_size < 400_000
    cells = code_of(path)
    assert cells and not any(cell.execution_count for cell in cells)
    outputs = [output for cell in cells for output in cell.outputs]
    assert not any(output.output_type == "error" for output in outputs)
    assert not any(output.get("name") == "stderr" for output in outputs)
    assert not any(str(Path.home()) in str(output) for output in outputs)
    if path.stem.startswith("lecture"):
        assert sum("image/png" in output.get("data", {}) for output in outputs) >= 4


@pytest.mark.parametrize("korean", KOREAN, ids=lambda path: path.stem)
def test_both_languages_have_the_same_code_and_outputs(korean):
    english = korean.with_stem(korean.stem.removesuffix("_ko"))
    books = [nbformat.read(path, as_version=4).cells for path in (english, korean)]
    assert [cell.cell_type for cell in books[0]] == [cell.cell_type for cell in books[1]]
    for ours, theirs in zip(*map(code_of, (english, korean)), strict=True):
        assert (ours.source, ours.outputs) == (theirs.source, theirs.outputs)
    for ours, theirs in zip(*books, strict=True):
        formulas = [re.findall(r"\$\$(.*?)\$\$", cell.source, re.S) for cell in (ours, theirs)]
        assert len(formulas[0]) == len(formulas[1])


@pytest.mark.filterwarnings("ignore")  # jupyter's own
@pytest.mark.parametrize(
    "path",
    [slow_if_long(path) for path in NOTEBOOKS if path not in KOREAN],
    ids=lambda path: path.stem,
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
