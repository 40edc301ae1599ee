"""What a program compiled for another device does, and whether that has grown."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

import zoo
from benchmarks import compile_check
from benchmarks.absent_devices.programs import count_program
from benchmarks.compile_check import Options, grown

ROOT = Path(__file__).resolve().parents[1]
LOOP = """HloModule jit_f, entry_computation_layout={(f32[8]{0})->f32[8]{0}}

%inner (p: f32[8]) -> f32[8] {
  %p = f32[8]{0} parameter(0)
  ROOT %add = f32[8]{0} add(%p, %p)
}

%body (arg: (s32[], f32[64,784])) -> (s32[], f32[64,784]) {
  %arg = (s32[], f32[64,784]{1,0:T(8,128)}) parameter(0)
  %i = s32[] get-tuple-element(%arg), index=0
  %x = f32[64,784]{1,0:T(8,128)} get-tuple-element(%arg), index=1
  %big = f32[64,784]{1,0:T(8,128)S(1)} copy(%x)
  %small = f32[8]{0} copy(%y)
  %chosen = f32[64,784]{1,0} conditional(%i, %x, %x), branch_computations={%one, %two}
  ROOT %t = (s32[], f32[64,784]{1,0:T(8,128)}) tuple(%i, %chosen)
}

%test (arg: (s32[], f32[64,784])) -> pred[] {
  %arg = (s32[], f32[64,784]{1,0}) parameter(0)
  ROOT %less = pred[] compare(%i, %n), direction=LT
}

%one (a: f32[64,784]) -> f32[64,784] {
  ROOT %f = f32[64,784]{1,0} fusion(%a), kind=kLoop, calls=%inner
}

%two (a: f32[64,784]) -> f32[64,784] {
  %g = f32[64,784]{1,0} fusion(%a), kind=kLoop, calls=%inner
  ROOT %h = f32[64,784]{1,0} custom-call(%g), custom_call_target="gemm"
}

ENTRY %main (a: f32[8]) -> f32[64,784] {
  %a = f32[8]{0} parameter(0)
  %called = f32[8]{0} call(%a), to_apply=%inner
  %loop = (s32[], f32[64,784]{1,0}) while(%init), condition=%test, body=%body, backend_config={"known_trip_count":{"n":"10"}}
  ROOT %out = f32[64,784]{1,0} get-tuple-element(%loop), index=1
}
"""


COUNTER = """  %i = s32[] get-tuple-element(%arg), index=0
  %n = s32[] constant(10)
"""
START = """  %zero = s32[] constant(0)
  %first = s32[] copy(%zero)
  %init = (s32[], f32[64,784]{1,0}) tuple(%first, %called)
"""


def test_loops_branches_and_copies_are_counted():
    """10 times: two copies and the longer branch; once: what is called. Without a known number of
    turns a test as well.
    """
    found = count_program(LOOP)
    assert found["kernels"] == 10 * (2 + 2) + 1
    assert (
        found["conditionals"] == 10 and not found["waits"] and found["copied"] == 10 * 4 * 64 * 784
    )
    once = count_program(LOOP.replace("known_trip_count", "unknown"))
    assert once["kernels"] == 6 and once["conditionals"] == once["waits"] == 1
    counted = (  # i from 0 on, while i < 10
        LOOP.replace("known_trip_count", "unknown")
        .replace("  ROOT %less", COUNTER + "  ROOT %less")
        .replace("  %loop", START + "  %loop")
    )
    assert count_program(counted) == found | {"kernels": 42}  # with the copy


def test_growth_is_named():
    stored = {"kernels": 100.0, "copied": 0, "conditionals": 2, "temporary": 1000}
    assert grown(stored, stored) == []
    assert grown(stored | {"kernels": 101.0, "temporary": 1090}, stored) == []
    assert grown(stored | {"kernels": 103.0, "copied": 1}, stored) == [
        "kernels 103.0, stored 100.0",
        "copied 1, stored 0",
    ]
    assert grown(stored | {"conditionals": 3, "temporary": 1200}, stored) == [
        "conditionals 3, stored 2",
        "temporary 1200, stored 1000",
    ]
    assert grown(stored, {}) == []


def test_the_stored_table_has_every_program_of_the_command():
    options = Options()
    table = json.loads(compile_check.TABLE.read_text())[f"{options.size}/{options.batch}"]
    for name, entry in zoo.CATALOGUE.items():
        for device in options.devices:
            found = {what for what in compile_check.WHATS if f"{device}/{name}/{what}" in table}
            missing = set() if entry.tiny.knows != "none" else {"likelihood"}
            assert found == set(compile_check.WHATS) - missing, (device, name)


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A stored table with one program, and what a compiler says of two."""
    path = tmp_path / "programs.json"
    stored = {"kernels": 10.0, "copied": 0, "conditionals": 0, "waits": 0, "temporary": 8}
    path.write_text(json.dumps({"jax": "0.0.1", "tiny/8": {"tpu/made/draw": stored}}))
    said = [{"key": "tpu/made/draw", **stored}, {"key": "tpu/made/update", **stored}]
    monkeypatch.setattr(compile_check, "TABLE", path)
    monkeypatch.setattr(compile_check, "found_by", lambda *_: (dict(each) for each in said))
    return said


def test_a_program_without_a_stored_one_is_new_and_one_that_grew_is_named(table, capsys):
    options = Options(("made",), devices=("tpu",))
    compile_check.main(options)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["ok", "new"]
    assert lines[2] == "1 of 2 programs have no stored one to compare with; --store adds them."
    table[0]["kernels"], table[1] = 12.0, {"key": "tpu/made/update", "error": "ValueError: no"}
    grown = r"^2 of 2 .*tpu/made/draw \(kernels 12.0, stored 10.0\); .*ValueError: no.* --store\. They were stored by jax 0.0.1, and"
    with pytest.raises(ValueError, match=grown):
        compile_check.main(options)
    assert json.loads(compile_check.TABLE.read_text())["jax"] == "0.0.1"
    del table[1]
    compile_check.main(Options(("made",), devices=("tpu",), store=True))
    compile_check.main(options)
    assert capsys.readouterr().out.splitlines()[-1].startswith("ok    tpu/made/draw kernels=12.0")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (Options(("mada",)), "Did you mean 'made'"),
        (Options(batch=0), "--batch must be at least 1; got 0"),
        (Options(("mine.py:Net",), store=True), "--store is for models of the catalogue"),
        (Options(("absent.py:Net",)), "absent.py"),
    ],
)
def test_what_cannot_be_compiled_is_refused_before_anything_is(options, said, monkeypatch):
    monkeypatch.setattr(compile_check, "found_by", None)
    with pytest.raises(ValueError, match=said):
        compile_check.main(options)


def test_an_absent_compiler_is_named_with_what_installs_it(monkeypatch):
    def absent(device):
        raise RuntimeError("no plugin")

    monkeypatch.setattr(compile_check, "absent", absent)
    with pytest.raises(ValueError, match=r"no compiler for cuda .*pip install 'jax\[cuda12\]=="):
        compile_check.compile_all("cuda", Options())


def test_an_error_while_a_program_is_made_is_one_line(capsys):
    with compile_check.reported("tpu/made/draw"):
        raise KeyError("w")
    found = json.loads(capsys.readouterr().out)
    assert found["key"] == "tpu/made/draw" and found["error"] == "KeyError: 'w'"


@pytest.mark.slow
@pytest.mark.parametrize(("device", "plugin"), [("tpu", "libtpu"), ("cuda", "jax_cuda12_plugin")])
def test_programs_compile_for_a_device_that_is_not_there(device, plugin):
    if importlib.util.find_spec(plugin) is None:
        pytest.skip(reason=f"the extra {device} is not installed")
    words = ["-m", "benchmarks.compile_check", "--devices", device]
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=3600
    )
    assert not done.returncode and f"{device}/made/update" in done.stdout, (
        done.stdout[-2000:] + done.stderr[-500:]
    )
