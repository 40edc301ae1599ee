"""The checks of `sample.testing`, by the names that the tests use."""

# ruff: noqa: F401
import zoo
from sample.testing.distribution_checks import (
    check_completion,
    check_distribution,
    check_engines,
    check_normalised,
)
from sample.testing.network_checks import (
    check_alive,
    check_causal,
    check_context,
    check_derived,
    check_gradients,
    check_initial,
    check_step,
)
from sample.testing.program_checks import (
    check_checkpoint,
    check_compiles_once,
    check_parallel,
    check_precision,
    check_wide,
    compilations,
    is_highest,
)
from sample.testing.spaces import assert_follows, codes, distribution_of, probabilities, space_of
from sample.testing.subject import by_rank, example_of, same_context, variables_of
from sample.testing.suite import CHECKS, why_skipped

AUTOREGRESSIVE = {
    name: entry
    for name, entry in zoo.CATALOGUE.items()
    if isinstance(entry.tiny, zoo.Autoregressive)
}

check_law, law_of, assert_law_of = check_distribution, distribution_of, assert_follows
