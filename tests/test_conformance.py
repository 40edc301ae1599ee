"""Every model of the catalogue keeps the contract."""

import conformance
import pytest

import zoo
from sample.testing import suite

# For `make test-slow`: those that share all but a cell, a head or an encoder with another; and, of
# those that share layers with another, what hardly depends on the model.
TWINS = {
    "frames",
    "probe",
    "wavenet_16bit",
    "captioner",
    "seq2seq",
    "rnn",
    "gru",
    "iwae",
    "autoencoder",
}
WHOLLY = {
    "fvsbn",
    "nade",
    "made",
    "rnade",
    "gated_pixel_cnn",
    "lstm",
    "transformer",
    "seq2seq_attention",
}
OF_THE_MODEL = {
    conformance.check_normalised,
    conformance.check_causal,
    conformance.check_alive,
    conformance.check_context,
    conformance.check_step,
    conformance.check_engines,
    conformance.check_gradients,
    conformance.check_precision,
    suite.check_rows,
    suite.check_bound,
    conformance.check_checkpoint,
}


def cases():
    """All checks of a model in turn, which share its compiled functions."""
    every = [
        (name, check)
        for name, entry in sorted(zoo.CATALOGUE.items())
        for check in suite.checks_of(entry.tiny)
    ]
    for name, check in every:
        if check is conformance.check_completion and zoo.CATALOGUE[name].tiny.num_sites == 1:
            continue  # there is nothing to complete
        if check is conformance.check_derived and suite.why_skipped(check, zoo.CATALOGUE[name]):
            continue  # it has no step
        fast = name not in TWINS and (name in WHOLLY or check in OF_THE_MODEL)
        if check is conformance.check_derived:  # test_derive.py has the rest
            fast = name == "lstm"
        marks = () if fast else pytest.mark.slow
        yield pytest.param(
            name, check, marks=marks, id=f"{check.__name__.removeprefix('check_')}-{name}"
        )


@pytest.mark.parametrize(("name", "check"), list(cases()))
def test_conformance(name, check):
    assert check(zoo.CATALOGUE[name]) is None
