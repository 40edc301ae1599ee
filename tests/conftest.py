"""Every test runs strictly: no silent promotion of dtypes or ranks, warnings are errors, shapes are
checked, 4 devices.
"""

import os
from pathlib import Path

import jax
import pytest
from jaxtyping import install_import_hook

# Tests compile much and compute little: half the time went into optimising machine code that runs
# once, and a fifth of the rest into emitting fused loops by way of MLIR.
FLAGS = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
if jax.__version_info__ < (0, 12):  # later releases end at a flag that they no longer have
    FLAGS += " --xla_cpu_use_fusion_emitters=false"
os.environ.setdefault("XLA_FLAGS", FLAGS)
os.environ["ZOO_COMPILATION_CACHE"] = "0"  # commands leave the user's cache alone

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# Packages whose annotations are checked at run time; the loop and its commands are not.
CHECKED = ["zoo", "sample", "train.data", "train.kinds"]

with install_import_hook(CHECKED, "beartype.beartype"):
    import sample  # noqa: F401
    import train  # noqa: F401
    import zoo  # noqa: F401


@pytest.fixture(scope="module", autouse=True)
def forget_what_was_compiled():
    """After each module: thousands of compiled functions exhaust the memory maps that a process may
    have.
    """
    yield
    jax.clear_caches()


@pytest.fixture(scope="session")
def standard_data() -> Path:
    """The folder with the standard data sets, where there is one."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(reason="the standard data sets are not at ../shared/data")
    return folder
