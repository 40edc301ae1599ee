"""The check of an accelerator: what it plans, and how it spends its time; its processes are small
ones here.
"""

import collections
import json
import sys
import time

import pytest

import zoo
from benchmarks import device_check
from benchmarks.on_device import children, results

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


def test_results_of_another_device_are_left_alone(out, monkeypatch):
    row = {"part": "env", "key": "versions", "devices": ["NVIDIA H200"], "size": "paper"}
    (out / "results.jsonl").write_text(json.dumps(row) + "\n")
    here = json.dumps(row | {"devices": ["cpu"]})
    monkeypatch.setattr(
        children,
        "COMMAND",
        [sys.executable, "-S", "-c", f"open({str(out / 'results.jsonl')!r}, 'a').write({here!r})"],
    )
    with pytest.raises(ValueError, match=r"holds results of \['NVIDIA H200'\].* OUT=FOLDER"):
        device_check.everything(20, 1, "paper", [])
