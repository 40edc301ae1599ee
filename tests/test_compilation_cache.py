"""Compiled programs on disk: where they lie, and that nothing depends on them."""

import os
import subprocess
import sys
from pathlib import Path

import filelock
import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

import zoo
from zoo.foundation.compilation_cache import SETTINGS

ROOT = Path(__file__).resolve().parents[1]
NAMES = ["jax_compilation_cache_dir", *SETTINGS]
DRAW = """
import contextlib, platform, resource, jax, numpy as np, zoo
from train.__main__ import main as train
from zoo.cli import shell
import sample
assert jax.config.jax_compilation_cache_dir is None, "an import changes the settings"
model = zoo.NADE((3, 4), hidden=5)
with shell():
    variables = zoo.init(model, jax.random.key(0), np.zeros((1, 3, 4), np.int32))
    drawn = sample.draw(model, variables, jax.random.key(1), 7)
    print(np.asarray(drawn.x).tolist(), [nats.hex() for nats in np.asarray(drawn.log_prob).tolist()])
if platform.libc_ver()[0] == "glibc":
    with contextlib.redirect_stdout(None):
        train(["list"])
    b"." * 2**26  # freed at once
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    b"." * 2**26
    pages = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    assert pages < 1_000, f"{pages} pages of freed memory were given back and taken again"
"""


@pytest.fixture
def settings(monkeypatch):
    """The settings of this process, which come back after the test; the cache is on by default."""
    before = {name: getattr(jax.config, name) for name in NAMES}
    for name in ("ZOO_COMPILATION_CACHE", "JAX_COMPILATION_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    yield monkeypatch
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


def programs(folder):
    return {path.name: path.read_bytes() for path in Path(folder).rglob("*-cache")}


def test_where_programs_are_kept(settings, tmp_path):
    settings.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    settings.setenv("HOME", str(tmp_path / "home"))
    where = zoo.cache_compilations()
    assert where.parent == tmp_path / "cache" / "autoregressive-zoo" / "compiled"
    assert jax.config.jax_compilation_cache_dir == str(where)
    jax.config.update("jax_compilation_cache_dir", None)
    settings.setenv("XDG_CACHE_HOME", "not/absolute")
    assert zoo.cache_compilations() == (
        tmp_path / "home" / ".cache" / "autoregressive-zoo" / "compiled" / where.name
    )
    assert zoo.cache_compilations(tmp_path / "given") == tmp_path / "given"
    # What jax was told by the user stays, its folder and its least time.
    settings.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "3")
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 3.0)
    assert zoo.cache_compilations() == tmp_path / "given"
    assert jax.config.jax_persistent_cache_min_compile_time_secs == 3.0


def test_programs_are_kept_and_broken_ones_removed(settings, tmp_path):
    zoo.cache_compilations(tmp_path)
    double = jax.jit(lambda x: x * 2 + 21)
    double(1)
    kept = programs(tmp_path)
    assert kept
    (name,) = kept
    program, used = tmp_path / name, tmp_path / name.replace("-cache", "-atime")
    used.unlink()  # as another program of jax leaves it, which sets no limit
    zoo.cache_compilations(tmp_path)
    assert programs(tmp_path) == kept
    date = int.from_bytes(used.read_bytes(), "little")
    assert date == program.stat().st_mtime_ns, "jax writes nothing while a program has no date"
    program.write_bytes(kept[name][:-9])  # as if killed before it was complete
    used.unlink()
    zoo.cache_compilations(tmp_path)
    assert not programs(tmp_path) and not used.exists()
    program.write_bytes(bytes(99))  # as after a loss of power
    used.write_bytes(date.to_bytes(8, "little"))
    zoo.cache_compilations(tmp_path)
    assert not programs(tmp_path) and not used.exists()
    jax.clear_caches()
    assert int(double(2)) == 25 and programs(tmp_path).keys() == kept.keys()


def test_a_folder_that_jax_was_given_has_the_limit_of_jax_and_keeps_what_it_holds(
    settings, tmp_path
):
    (tmp_path / "another-cache").write_bytes(b"of another version")
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    jax.config.update("jax_compilation_cache_max_size", -1)
    assert zoo.cache_compilations() == tmp_path
    assert jax.config.jax_compilation_cache_max_size == -1
    assert [path.name for path in tmp_path.iterdir()] == ["another-cache"]
    assert zoo.cache_compilations(tmp_path / "ours") and (
        jax.config.jax_compilation_cache_max_size == 2**31
    )


def test_a_folder_that_a_stopped_process_has_locked_is_left_alone(
    settings, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(zoo.foundation.compilation_cache, "WAIT", 0.01)
    with filelock.FileLock(tmp_path / ".lockfile"):
        assert zoo.cache_compilations(tmp_path) is None
    assert "are not kept (The file lock" in capsys.readouterr().err
    assert zoo.cache_compilations(tmp_path) == tmp_path


@pytest.mark.parametrize("value", ["0", "off", "OFF"])
def test_it_can_be_turned_off(settings, tmp_path, value):
    settings.setenv("XDG_CACHE_HOME", str(tmp_path))
    settings.setenv("ZOO_COMPILATION_CACHE", value)
    assert zoo.cache_compilations() is None and not list(tmp_path.iterdir())


@pytest.mark.parametrize("obstacle", ["file", "homeless", "file of jax"])
def test_a_folder_that_cannot_be_does_no_harm(settings, tmp_path, capsys, obstacle):
    (tmp_path / "file").write_text("in the way")
    if obstacle == "file":
        settings.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    elif obstacle == "file of jax":
        jax.config.update("jax_compilation_cache_dir", str(tmp_path / "file"))
    else:
        settings.setattr(
            Path, "expanduser", lambda path: (_ for _ in ()).throw(RuntimeError("no home"))
        )
    assert zoo.cache_compilations() is None
    told = capsys.readouterr()
    assert not told.out and told.err.startswith("note: compiled programs are not kept (")
    advice = "JAX_COMPILATION_CACHE_DIR" if obstacle == "file of jax" else "ZOO_COMPILATION_CACHE=0"
    assert len(told.err.splitlines()) == 1 and advice in told.err
    assert jax.config.jax_compilation_cache_dir is None, "jax would warn for every program"


@pytest.mark.slow
def test_commands_draw_the_same_with_an_empty_and_a_full_cache(tmp_path):
    """Two processes at once fill one cache; a third takes everything from it; a fourth has none."""
    usual = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    usual.pop("ZOO_COMPILATION_CACHE")

    def start(**environment):
        words = [sys.executable, "-W", "error", "-c", DRAW]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(words, env=usual | environment, cwd=tmp_path, **pipes)

    def told(process):
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0 and not err, err
        return out

    first = [start(), start()]
    outputs = [told(each) for each in first]
    kept = programs(tmp_path)
    outputs += [told(start())]
    assert len(kept) > 3 and programs(tmp_path) == kept, "compiled again"
    outputs += [told(start(ZOO_COMPILATION_CACHE="0"))]
    assert len(set(outputs)) == 1
