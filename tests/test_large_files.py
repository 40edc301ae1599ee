"""Files larger than the memory that a process may take are scored a batch at a time."""

import subprocess
import sys

import numpy as np
import pytest

FEW = 2**23  # bytes of a file of some batches
MEMORY = 128 * 2**20  # bytes that scoring may take beyond what it takes for such a file
SIZE = 3 * MEMORY  # of the files
SCRIPT = """
import resource, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import jax, numpy as np
import sample, sample.score_file, zoo
from zoo.formats.vocabulary import BYTES, SPECIAL

WORDS = (*SPECIAL, "a", "b")
MODELS = {
    ".npy": zoo.FVSBN((64, 64)),
    ".csv": zoo.RNADE((64,), hidden=1, head=zoo.MixtureOfGaussians(1)),
    ".txt": zoo.GRU((512,), features=2, layers=1, vocabulary=BYTES, head=zoo.Categorical(256)),
    ".tsv": zoo.Seq2Seq(
        (128,), features=2, head=zoo.Categorical(5), vocabulary=WORDS, end=1, pad=0,
        source_vocabulary=WORDS, source_values=5,
    ),
}
few, many = map(Path, sys.argv[1:3])
model = MODELS[few.suffix]
variables = zoo.init(model, jax.random.key(0), *model.example(1))
run = few.parent / "run"
run.mkdir()
zoo.save(run / "model.safetensors", model, variables)
command = lambda path: sample.score_file.main([str(run), str(path), "--batch-size", "1024"])
command(few)  # compiles
is_done = threading.Event()


def held():
    # The memory of this process in bytes.
    lines = open("/proc/self/status").read().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if "VmData" in line)


def highest():
    # The most that it holds until it is done.
    most = 0
    while not is_done.is_set():
        most = max(most, held())
        time.sleep(0.002)
    return most


with ThreadPoolExecutor() as pool:
    most = pool.submit(highest)
    command(few)
    is_done.set()
limit = max(most.result(), held()) + int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
try:
    np.ones(limit - held() + 2**25, np.uint8)  # the limit is one
except MemoryError:
    command(many)
    print("scored", sum(1 for _ in open(run / "scores.csv")) - 1)
"""


def write(path, size):
    """A file of about so many bytes; returns how many examples it holds."""
    if path.suffix == ".npy":
        rows = size // 64**2
        np.lib.format.open_memmap(path, "w+", "uint8", (rows, 64, 64)).flush()
        return rows
    lines = {
        ".csv": ",".join(f"{i / 7:.12f}" for i in range(64)),
        ".txt": "b" * 511,
        ".tsv": "ab" * 60 + "\t" + "ba" * 60,
    }
    line = lines[path.suffix] + "\n"
    rows = size // len(line)
    with path.open("w") as file:
        for start in range(0, rows, 10_000):
            file.write(line * min(10_000, rows - start))
    return rows


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limit of memory is that of Linux")
@pytest.mark.parametrize("suffix", [".npy", ".csv", ".txt", ".tsv"])
def test_files_larger_than_memory(tmp_path, suffix):
    write(tmp_path / f"few{suffix}", FEW)
    rows = write(tmp_path / f"many{suffix}", SIZE)
    words = [sys.executable, "-c", SCRIPT, tmp_path / f"few{suffix}", tmp_path / f"many{suffix}"]
    done = subprocess.run([*words, str(MEMORY)], capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == f"scored {rows}"
