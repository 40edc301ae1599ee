"""Executes notebooks and keeps their outputs: `make notebooks`.

Each runs from top to bottom in notebooks/, so it finds the runs that were trained there. Progress
bars, warnings, times and numbers of executions are not kept: two executions differ in nothing else
than their results.
"""

import base64
import io
import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "notebooks"
WIDTH, COLOURS = 900, 128  # of a saved picture


def execute(path, folder):
    """The notebook at `path` with the outputs that it has when it runs in `folder`."""
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    notebook = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": str(folder)}}
    NotebookClient(
        notebook, timeout=None, kernel_name="python3", coalesce_streams=True, resources=where
    ).execute()
    return tidy(notebook)


def tidy(notebook):
    """Drops what an execution leaves beside its results."""
    notebook.metadata.pop("language_info", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.execution_count = None
            cell.outputs = [each for each in cell.outputs if each.get("name") != "stderr"]
            for output in cell.outputs:
                if output.output_type == "execute_result":
                    output.execution_count = None
                if "image/png" in output.get("data", {}):
                    output.data["image/png"] = small(output.data["image/png"])
    return notebook


def small(packed):
    """A PNG in base64, at most WIDTH pixels wide and of at most COLOURS colours."""
    picture = Image.open(io.BytesIO(base64.b64decode(packed))).convert("RGBA")
    flat = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    flat.thumbnail((WIDTH, flat.height), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    flat.quantize(COLOURS).save(file, format="PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]) if sys.argv[1:] else sorted(FOLDER.glob("*.ipynb")):
        print(f"executing {path.name}", flush=True)
        nbformat.write(execute(path.resolve(), FOLDER), path)
