"""The shape of the project itself: arrows, sizes, and what may never be imported."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [path for package in ("zoo", "train", "sample") for path in sorted((ROOT / package).rglob("*.py"))]
FORBIDDEN = {"zoo": {"train", "sample"}, "train": {"sample"}, "sample": {"train"}}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", node.lineno


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_arrows(path):
    """train -> zoo <- sample, linen inside zoo only; no pickle and no tensorflow anywhere."""
    package = path.relative_to(ROOT).parts[0]
    for module, line in imports(path):
        top = module.split(".")[0]
        assert top not in FORBIDDEN[package] | {"pickle", "dill", "cloudpickle", "tensorflow"}, f"line {line}: {module}"
        assert package == "zoo" or not module.startswith("flax.linen"), f"line {line}: {module}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_read_in_one_sitting(path):
    assert len(path.read_text().splitlines()) <= 300
    assert path.stem not in {"utils", "helpers", "common", "misc"}


def test_light_imports():
    """What is heavy is imported where it is used."""
    heavy = {"matplotlib", "tensorflow_datasets", "tensorflow", "sklearn", "orbax", "PIL", "nbclient", "soundfile"}
    heavy |= {"scipy.stats", "scipy.signal", "babel", "sacrebleu"}
    script = f"import sys, zoo, train, sample; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]", done.stdout
