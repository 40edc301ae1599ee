"""The check of an accelerator: what it plans, and how it spends its time; its processes are small
ones here.
"""

import collections
import json
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import jax
import pytest

import zoo
from benchmarks import device_check
from benchmarks.on_device import ceilings, checks, children, results, trainings
from sample.testing import suite

# A job that compiles for a while, waits for "go", takes a time for its timing, and writes its key.
STUB = """
import json, os, sys, time
part, name, compiling, timing, least = sys.argv[1:6]
def note(what):
    with open(os.environ["OUT"] + "/notes", "a") as file:
        file.write(f"{name} {what} {time.monotonic()}" + chr(10))
if float(os.environ["XLA_PYTHON_CLIENT_MEM_FRACTION"]) < float(least):
    sys.exit("RESOURCE_EXHAUSTED: no memory")
until = time.monotonic() + float(compiling)
while time.monotonic() < until:
    note("works")
    time.sleep(0.01)
print("words of a library" + chr(10) + "READY", flush=True)
sys.stdin.readline()
note("begins")
time.sleep(float(timing))
note("ends")
with open(os.environ["OUT"] + "/results.jsonl", "a") as file:
    file.write(json.dumps({"part": part, "key": name}) + chr(10))
"""


def job(name, compiling=0.0, timing=0.0, least=0.0):
    return children.Job(("stub", name, str(compiling), str(timing), str(least)), (name,))


@pytest.fixture
def out(tmp_path, monkeypatch):
    monkeypatch.setenv("OUT", str(tmp_path))
    monkeypatch.setattr(children, "COMMAND", [sys.executable, "-S", "-c", STUB])
    return tmp_path


def failures():
    return [row["key"].split("/")[:3:2] for row in results.rows() if row["part"] == "all"]


def test_the_plan_has_every_model_once():
    jobs = device_check.plan("paper")
    found = collections.Counter((job.words[0], key) for job in jobs for key in job.keys)
    assert set(found.values()) == {1}
    for name in zoo.CATALOGUE:
        wanted = {("bench", f"{name}/{batch}") for batch in (64, 256, 1024)}
        assert wanted | {("numerics", f"{name}/{each}") for each in ("default", "highest")} <= (
            found.keys()
        )


def test_one_is_timed_while_others_stand_still(out):
    children.work([job("a", 0.1, 0.4), job("b", 0.6)], 2, time.monotonic() + 20)
    assert {key for _, key in results.measured()} == {"a", "b"} and not failures()
    notes = [line.split() for line in (out / "notes").read_text().splitlines()]
    at = {(name, what): float(when) for name, what, when in notes}
    began, ended = at["a", "begins"], at["a", "ends"]
    assert at["b", "works"] > ended  # it went on
    inside = [float(when) for name, _, when in notes if name == "b"]
    assert not [when for when in inside if began + 0.1 < when < ended - 0.1]


@pytest.mark.slow
def test_a_job_without_memory_is_tried_alone_and_one_that_hangs_is_dropped(out):
    jobs = [job("large", least=0.8), job("hangs", 60), job("small")]
    children.work(jobs, 2, time.monotonic() + 4)
    assert {key for part, key in results.measured() if part == "stub"} == {"large", "small"}
    assert sorted(failures()) == [["dropped", "hangs"], ["failed", "large"]]
    (failed,) = [row for row in results.rows() if row["key"].startswith("failed")]
    assert "RESOURCE_EXHAUSTED" in failed["error"]


def test_what_is_measured_is_left_out(out):
    (out / "results.jsonl").write_text('{"part": "stub", "key": "a"}\n{"part": "stub", "ke')
    children.work([job("a"), job("b")], 1, time.monotonic() + 20)
    assert {line.split()[0] for line in (out / "notes").read_text().splitlines()} == {"b"}


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ({"devices": ["NVIDIA H200"]}, r"holds results of devices \['NVIDIA H200'\].* OUT=FOLDER"),
        ({"jax": "0.0.1"}, f"holds results of jax 0.0.1, and this is jax {jax.__version__}"),
        ({"size": "tiny"}, "holds results of size tiny, and this is size paper"),
    ],
)
def test_results_of_another_device_version_or_size_are_left_alone(out, there, said):
    ceilings.same_device("paper")
    (row,) = results.rows()
    (out / "results.jsonl").write_text(json.dumps(row | there) + "\n")
    for _ in range(2):  # what is refused leaves no trace by which it would be taken next time
        with pytest.raises(ValueError, match=said):
            ceilings.same_device("paper")
    assert results.rows() == [row | there]


def test_what_jax_or_a_child_says_ends_the_check_in_one_line(out, monkeypatch):
    for said, wanted in (
        ("error: choose it", "^choose it$"),
        ("no TPU", "jax does not start here"),
    ):
        words = [sys.executable, "-S", "-c", f"import sys; sys.exit({said!r})"]
        monkeypatch.setattr(children, "COMMAND", words)
        with pytest.raises(ValueError, match=wanted):
            device_check.everything(20, 1, "paper", None)


def test_a_line_that_was_cut_off_spoils_no_other(out):
    (out / "results.jsonl").write_text('{"part": "stub", "key": "a"}\n{"part": "stub", "ke')
    results.emit("stub", "b")
    results.emit("stub", "c", loss=float("inf"), ms=1.5)
    assert [row["key"] for row in results.rows()] == ["a", "b", "c"]
    last = (out / "results.jsonl").read_text().splitlines()[-1]
    assert '"loss": null, "ms": 1.5' in last  # JSON has no Infinity


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("OUT", str(tmp_path / "file"))
    with pytest.raises(ValueError, match=r"file cannot be written \(.*\): choose another by OUT="):
        results.make_folder()


@pytest.mark.parametrize(
    "words",
    [
        "numerics", "numerics made", "numerics made fast", "numerics made default x", "env",
        "env big", "bench made tiny", "bench made tiny 0", "bench made tiny 64 many",
        "update made tiny 64 float8", "nopart", "--seconds nan", "--seconds inf", "--seconds -3",
        "--parallel 0", "--train",
    ],
)  # fmt: skip
def test_wrong_words_end_in_one_line(words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["device_check", *words.split()])
    with pytest.raises(SystemExit) as stop:
        device_check.parse()
    lines = capsys.readouterr().err.splitlines()
    assert stop.value.code == 2 and len(lines) == 1
    assert lines[0].startswith("error: ") and lines[0].endswith("--help")


def test_right_words_are_taken(monkeypatch):
    for words in (
        "", "all", "all made vae", "env tiny", "numerics made highest", "bench made tiny 64 4096",
        "update made paper 64 bfloat16", "--size tiny --train made --steps auto",
    ):  # fmt: skip
        monkeypatch.setattr(sys, "argv", ["device_check", *words.split()])
        device_check.parse()
    monkeypatch.setattr(sys, "argv", ["device_check", "all", "mada"])
    with pytest.raises(ValueError, match="Did you mean 'made'"):
        device_check.parse()


def test_the_words_of_a_training_are_read_before_anything_is_measured():
    words, where = trainings.read_training(["made", "--steps", "auto"])
    assert where == Path("runs/device-made")
    assert words == ["made", "--steps", "auto", "--run-dir", str(where)]
    assert trainings.read_training(["made", "--run-dir=x"]) == (["made", "--run-dir=x"], Path("x"))
    with pytest.raises(ValueError, match="Did you mean 'made'"):
        trainings.read_training(["mada"])


def test_what_a_child_finds_in_its_environment(monkeypatch):
    monkeypatch.setattr(Path, "glob", lambda *_: iter(["/dev/nvidia0"]))
    made = children.environment({"JAX_PLATFORMS": "cuda", "XLA_FLAGS": "--a=1"}, 0.25)
    assert made["JAX_PLATFORMS"] == "cuda,cpu"  # numerics compares with the CPU
    assert made["XLA_FLAGS"] == f"--a=1 {children.AUTOTUNE}=0"
    assert made["XLA_PYTHON_CLIENT_MEM_FRACTION"] == "0.250"
    chosen = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": f"{children.AUTOTUNE}=4"}
    assert children.environment(chosen, 0.25).items() >= chosen.items()
    assert "JAX_PLATFORMS" not in children.environment({}, 0.25)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_a_child_that_stands_still_ends_with_its_parent():
    child = f"""
import os, sys, time
sys.path.insert(0, {str(children.ROOT)!r})
from benchmarks.on_device.children import end_with_parent
end_with_parent()
print(os.getpid(), flush=True)
time.sleep(60)
"""
    parent = f"""
import os, signal, subprocess, sys
words = [sys.executable, "-S", "-c", {child!r}]
pipes = {{"stdout": subprocess.PIPE, "text": True, "start_new_session": True}}
child = subprocess.Popen(words, env={{**os.environ, {children.PARENT!r}: str(os.getpid())}}, **pipes)
print(child.stdout.readline(), flush=True)
os.kill(child.pid, signal.SIGSTOP)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-S", "-c", parent], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL
    status = Path(f"/proc/{int(done.stdout)}/stat")
    until = time.monotonic() + 10
    while status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < until, "it is still there"
        time.sleep(0.01)


def test_a_child_that_is_told_to_stop_before_it_has_compiled_anything_has_not_failed(out):
    child = types.SimpleNamespace(
        alive=False, late=True, end=lambda: 0, job=job("slow"), worked=3.0, last=""
    )
    assert children._ended(child)
    assert failures() == [["dropped", "slow"]]
    child.end = lambda: 1
    assert not children._ended(child)
    assert failures()[1:] == [["failed", "slow"]]


def test_checks_of_numerics_are_written_one_by_one_and_not_made_again(out, monkeypatch):
    """An error of the device, such as for want of memory, is no outcome: it is tried again."""
    made, errors = [], [jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED"), AssertionError("2")]

    def check_step(entry):
        made.append("step")

    def check_engines(entry):
        made.append("engines")
        if errors:
            raise errors.pop(0)

    monkeypatch.setattr(suite, "checks_of", lambda model: (check_step, check_engines))
    monkeypatch.setattr(checks, "_compare_with_cpu", lambda entry: "within 0 nats")
    before = jax.config.jax_default_matmul_precision
    try:
        for _ in range(2):
            checks.numerics("made", "default")
            assert made[:2] == ["step", "engines"]
            said = [row for row in results.rows() if row["part"] == "numerics"]
            assert (("numerics", "made/default") in results.measured()) == (len(said) == 2)
    finally:
        jax.config.update("jax_default_matmul_precision", before)
    assert made == ["step", "engines", "engines"]
    assert results.failed() == ["made/default/engines: failed: AssertionError: 2"]
    assert said[1]["as_on_cpu"] == "ok: within 0 nats" and said[0]["engines"] == "error"
