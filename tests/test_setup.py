"""Set-up: the two locks, which target needs which, and what installs them."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RUNNING, DEVELOPING = ROOT / "requirements.lock", ROOT / "requirements-dev.lock"


def versions(lock):
    return dict(re.findall(r"^([\w.-]+)==(\S+)", lock.read_text(), re.M))


def extras():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def names(requirements):
    return {re.match(r"[\w.-]+", each)[0].replace("_", "-").lower() for each in requirements}


def test_running_is_a_part_of_developing():
    running, developing = versions(RUNNING), versions(DEVELOPING)
    assert running.items() <= developing.items() and len(running) < len(developing)
    for extra in ("data", "text", "plots", "audio"):
        assert names(extras()[extra]) <= set(running)
    assert names(extras()["dev"]) <= set(developing)
    assert not {"pytest", "mypy", "ruff"} & set(running)
    for extra in ("bench", "cuda", "tpu"):  # large, and not for every machine
        own = names(extras().get(extra, ())) - {"jax"}
        assert not own & set(developing)
    assert not [name for name in developing if name.startswith(("nvidia", "jax-cuda", "libtpu"))]


@pytest.mark.parametrize("lock", [RUNNING, DEVELOPING], ids=lambda lock: lock.stem)
def test_a_lock_has_hashes_and_no_hosts(lock):
    text = lock.read_text()
    assert "://" not in text and "--index" not in text
    requirements = re.split(r"\n(?=[\w.-]+==)", text)[1:]
    assert all("--hash=sha256:" in each for each in requirements)


@pytest.fixture
def project(tmp_path):
    """The files that set-up reads, an interpreter that only looks like one, and a uv that writes
    down how it is called.
    """
    for name in ("Makefile", "pyproject.toml", RUNNING.name, DEVELOPING.name, ".ci"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    python = '#!/bin/sh\necho python "$@" >> called\n'
    python += '[ "$1" != -m ] || [ "$2" != venv ] || { mkdir -p $3/bin; cp $0 $3/bin/python; }\n'
    uv = '#!/bin/sh\necho uv "$@" >> called\n'
    uv += '[ "$1" != venv ] || { mkdir -p .venv/bin; cp ./python .venv/bin/python; }\n'
    uv += '[ ! -e offline ] || [ "$1" = venv ]\n'
    for name, script in (("python", python), ("uv", uv)):
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)

    def make(*words, uv="./uv"):
        (tmp_path / "called").write_text("")
        command = ["make", f"UV={uv}", "PYTHON=./python", *words]
        # Only these: a make around the tests exports its own variables, such as ARGS.
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, env=environment
        )
        return done, (tmp_path / "called").read_text()

    return make


def test_running_is_set_up_once_and_developing_adds_to_it(project):
    done, called = project("train", "MODEL=made")
    assert done.returncode == 0, done.stderr
    assert "once: downloads" in done.stdout and "of disk" in done.stdout
    assert f"--requirement {RUNNING.name}" in called and "-dev" not in called
    assert called.endswith("python -m train made\n")
    assert "uv" not in project("train", "MODEL=made")[1]
    assert f"--requirement {DEVELOPING.name}" in project("lint")[1]
    for target in ("train", "lint"):
        assert "uv" not in project(target)[1]


@pytest.mark.parametrize("target", ["test", "lint", "notebooks", "format", "test-slow"])
def test_developing_alone_is_enough(project, target):
    done, called = project(target)
    assert done.returncode == 0, done.stderr
    assert f"--requirement {DEVELOPING.name}" in called and f"{RUNNING.name}\n" not in called
    assert "uv" not in project("sample", "RUN=x")[1]


def test_without_uv_pip_installs(project):
    done, called = project("setup", uv="")
    assert done.returncode == 0, done.stderr
    assert "uv" not in called and "python -m venv .venv" in called
    assert (
        f"-m pip install --disable-pip-version-check --progress-bar off --requirement {RUNNING.name}"
        in called
    )


def test_what_failed_is_set_up_again(project, tmp_path):
    (tmp_path / "offline").touch()
    assert project("setup")[0].returncode != 0
    (tmp_path / "offline").unlink()
    done, called = project("setup")
    assert done.returncode == 0 and f"--requirement {RUNNING.name}" in called


def test_no_python_is_one_line(project):
    done, _ = project("setup", "PYTHON=")
    assert done.returncode != 0 and "error: Python >= 3.11 is needed" in done.stderr


def test_help_is_aligned_and_whole(project):
    done, _ = project("help")
    lines = [line for line in done.stdout.splitlines() if line.startswith("  make ")]
    # two columns: every sentence begins where the others do
    assert len(lines) > 15 and {len(re.match(r"  make \S+ +", line)[0]) for line in lines} == {23}
    assert any("model.hidden=200|500" in line for line in lines)
