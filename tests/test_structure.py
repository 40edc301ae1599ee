"""The shape of the project itself: rooms, arrows, sizes, and what may never be imported."""

import ast
import re
import runpy
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("zoo", "train", "sample")
SOURCES = [
    path for folder in (*PACKAGES, "benchmarks") for path in sorted((ROOT / folder).rglob("*.py"))
]
FORBIDDEN = {
    "zoo": {"train", "sample"},
    "train": {"sample"},
    "sample": {"train"},
    "benchmarks": set(),
}


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in SOURCES}


def imports(path):
    """(module, line) of every import, wherever it stands; `from a import b` is a.b where that is a
    module.
    """
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield from (
                (whole if (whole := f"{module}.{alias.name}") in MODULES else module, node.lineno)
                for alias in node.names
            )


def map_of_rooms():
    """The table in docs/architecture.md: {room: rooms that it may import}."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| `([\w/]+)` \|[^|]*\| ([^|]+) \|$", page, re.M)
    rooms = [room for room, _ in rows]
    allowed = {}
    for room, words in rows:
        allowed[room] = {room, *re.findall(r"`([\w/]+)`", words)}
        if words.startswith("every room"):
            tops = allowed[room] if " of " in words else [*PACKAGES, room]
            allowed[room] |= {
                other for other in rooms for top in tops if f"{other}/".startswith(f"{top}/")
            }
    return allowed


ROOMS = map_of_rooms()


def room_of(path):
    """The innermost room of the map in which a file lies."""
    folder = path.relative_to(ROOT).parent.as_posix()
    return max((room for room in ROOMS if f"{folder}/".startswith(f"{room}/")), key=len)


def allows(room, other):
    """Whether the map lets a file of `room` import one of `other`; another package stands for all
    its rooms.
    """
    top = other.split("/")[0]
    return other in ROOMS[room] or (top in ROOMS[room] and top != room.split("/")[0])


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_arrows(path):
    """train -> zoo <- sample, and rooms as mapped; linen inside zoo only; no pickle, no tensorflow,
    no benchmarks.
    """
    package, room = path.relative_to(ROOT).parts[0], room_of(path)
    for module, line in imports(path):
        top = module.split(".")[0]
        assert top not in FORBIDDEN[package] | {"pickle", "dill", "cloudpickle", "tensorflow"}, (
            f"line {line}: {module}"
        )
        assert package in ("zoo", "benchmarks") or not module.startswith("flax.linen"), (
            f"line {line}: {module}"
        )
        assert top != "benchmarks" or package == "benchmarks", f"line {line}: {module}"
        if top in (*PACKAGES, "benchmarks"):
            assert module in MODULES, f"line {line}: there is no {module}"
            other = room_of(MODULES[module])
            assert allows(room, other), (
                f"line {line}: {room} may not import {other} (docs/architecture.md)"
            )


def test_every_folder_is_on_the_map():
    folders = {path.relative_to(ROOT).parent.as_posix() for path in SOURCES}
    assert folders - {"train/data/own", "train/data/sources"} == set(ROOMS)


def test_no_circle_of_imports():
    graph = {
        name: {module for module, _ in imports(path) if module in MODULES} - {name}
        for name, path in MODULES.items()
    }
    assert len(list(TopologicalSorter(graph).static_order())) == len(
        MODULES
    )  # CycleError names the circle


@pytest.mark.parametrize("package", ["zoo", "train", "train.data", "sample"])
def test_no_module_has_the_name_of_a_public_function(package):
    path = MODULES[package]
    tree = ast.parse(path.read_text())
    public = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assigned = [node for node in tree.body if isinstance(node, ast.Assign)]
    listed = [node.value for node in assigned if ast.unparse(node.targets[0]) == "__all__"]
    if listed:
        public = set(ast.literal_eval(listed[0]))
    stems = {
        other.stem if other.stem != "__init__" else other.parent.name
        for other in path.parent.rglob("*.py")
    }
    # `python -m train.evaluate` is a command beside the function: its module puts the function in
    # its own place when it is imported (tests/test_fit.py).
    forwarders = {"evaluate"} if package == "train" else set()
    assert not public & stems - forwarders


def test_folders_are_seen_at_a_glance():
    for folder in {path.parent for path in SOURCES}:
        markers = {"__pycache__", "__init__.py", "py.typed"}
        entries = [entry.name for entry in folder.iterdir() if entry.name not in markers]
        assert len(entries) <= 15, (folder, entries)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_read_in_one_sitting(path):
    assert len(path.read_text().splitlines()) <= 300 or path.parent.name == "benchmarks"
    assert path.stem not in {"utils", "helpers", "common", "misc"}


def test_light_imports():
    """What is heavy is imported where it is used."""
    heavy = {
        "matplotlib",
        "tensorflow_datasets",
        "tensorflow",
        "sklearn",
        "orbax",
        "PIL",
        "nbclient",
        "soundfile",
    }
    heavy |= {"scipy.stats", "scipy.signal", "babel", "sacrebleu"}
    script = f"import sys, zoo, train, sample; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.strip() == "[]", done.stdout


@pytest.mark.parametrize(
    "command",
    ["sample.bench", "sample.lengths", "train.bench", "train.evaluate", "train.reproduce"],
)
@pytest.mark.filterwarnings("ignore:.* found in sys.modules:RuntimeWarning")
def test_commands_keep_their_names(command, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["-m", "--help"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_module(command, run_name="__main__", alter_sys=True)
    assert not caught.value.code and "usage: python -m " in capsys.readouterr().out


def test_benchmarks_are_not_installed(tmp_path):
    """Away from the project's folder the old names of the benchmarks say where they are."""
    script = f"import sys; sys.path[0] = {str(tmp_path)!r}; import zoo.cli, importlib.util as util"
    script += "; util.find_spec = lambda name: None; zoo.cli.forward('benchmarks.sampling')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1 and done.stderr.startswith(
        "error: benchmarks.sampling is not installed"
    ), done.stderr
    assert len(done.stderr.splitlines()) == 1
