"""The conformance suite kills broken models and broken samplers; each mutant is a mistake somebody
has made.
"""

import dataclasses
import functools

import conformance
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import zoo
from sample.engines import sampler
from zoo.heads import Affine


class SelfSeeing(zoo.FVSBN):
    """The mask lets a site see itself."""

    def __call__(self, x, memory=None, *, train=False):
        return super().__call__(x) + x[..., None].astype(jnp.float32)


class Constant(zoo.FVSBN):
    """Causal, but nothing depends on anything."""

    def __call__(self, x, memory=None, *, train=False):
        return super().__call__(jnp.zeros_like(x))

    def step(self, x, t, memory=None):
        return zoo.core.model.site_params(self, self(x), t)


class BlindToFirst(zoo.FVSBN):
    """No site sees the one at rank 0."""

    def __call__(self, x, memory=None, *, train=False):
        return super().__call__(x.at[:, 0, 0].set(0))


class Leaking(zoo.FVSBN):
    """Statistics over the batch make a row depend on the others."""

    def __call__(self, x, memory=None, *, train=False):
        params = super().__call__(x)
        return params - params.mean(0, keepdims=True)


class StaleCache(zoo.NADE):
    """The running sum is read, and never written back."""

    def step(self, x, t, memory=None):
        kept = self.get_variable("cache", "before", jnp.zeros((len(x), self.hidden)))
        params = super().step(x, t)
        self.put_variable("cache", "before", kept)
        return params


class UntoldWhenDrawn(zoo.MADE):
    """The masks are an input of the likelihood, and not of the draw."""

    def encode(self, context):
        return list(self.network.biases)


class PeekingStep(zoo.FVSBN):
    """`step` reads the canvas beyond rank t: right only while the future happens to be zeros."""

    def step(self, x, t, memory=None):
        return super().step(x, t) + x.reshape(len(x), -1)[:, -1:].astype(jnp.float32)


class Rounding(zoo.FVSBN):
    """A matmul that is as precise as the device likes."""

    def __call__(self, x, memory=None, *, train=False):
        params = super().__call__(x)
        return (
            params
            + 0
            * jnp.matmul(params[..., 0], jnp.ones((3, 3)), precision=jax.lax.Precision.DEFAULT)[
                ..., None
            ]
        )


@dataclasses.dataclass(frozen=True)
class SharpQuantile(zoo.Bernoulli):
    """Draws at temperature 0.7, scores at 1."""

    def quantile(self, params, u):
        return super().quantile(params / 0.7, u)


@dataclasses.dataclass(frozen=True)
class Argmax(zoo.Bernoulli):
    """Takes the mode for a draw."""

    def quantile(self, params, u):
        return (params[..., 0] > 0).astype(self.dtype)


@dataclasses.dataclass(frozen=True)
class SigmoidTwice(zoo.Bernoulli):
    """A probability where a logit belongs, but only for ones."""

    def log_prob(self, params, x):
        return jnp.where(
            x > 0, super().log_prob(jax.nn.sigmoid(params), x), super().log_prob(params, x)
        )


@dataclasses.dataclass(frozen=True)
class OneUniform(zoo.MixtureOfGaussians):
    """Picks the component and the place in it by the same number."""

    def quantile(self, params, u):
        return super().quantile(params, jnp.repeat(u[..., :1], 2, axis=-1))


@dataclasses.dataclass(frozen=True)
class VarianceForScale(zoo.MixtureOfGaussians):
    """Scores with sigma, draws with its square."""

    def quantile(self, params, u):
        logits, means, raw = jnp.split(params, 3, axis=-1)
        variance = self.min_scale + jnp.square(jax.nn.softplus(raw + jnp.log(jnp.e - 1)))
        raw = jnp.log(jnp.expm1(variance - self.min_scale)) - jnp.log(jnp.e - 1)
        return super().quantile(jnp.concatenate([logits, means, raw], -1), u)


@dataclasses.dataclass(frozen=True)
class MeanForDraw(zoo.MixtureOfGaussians):
    """Takes the mean of the component for a draw."""

    def quantile(self, params, u):
        return super().quantile(params, jnp.stack([u[..., 0], jnp.full_like(u[..., 1], 0.5)], -1))


class NoJacobian(zoo.Standardised):
    """Scores the standardised values and forgets to divide by the scale."""

    @property
    def head(self):
        return _WithoutJacobian(self.model.head)


@dataclasses.dataclass(frozen=True)
class _WithoutJacobian(Affine):
    def log_prob(self, params, x):
        return super().log_prob(params, x) + params[..., 1]


def _rnade(head):
    return zoo.RNADE((2,), hidden=5, head=head)


SHAPE = (2, 3)
MODELS = {
    "self-seeing": (SelfSeeing(SHAPE), "check_causal", "seen at or before itself"),
    "constant": (Constant(SHAPE), "check_alive", "do not depend"),
    "blind": (BlindToFirst(SHAPE), "check_alive", "5 pairs"),
    "leaking batch": (Leaking(SHAPE), "check_causal", "another row"),
    "stale cache": (StaleCache(SHAPE, hidden=4), "check_step", "step differs at rank 2"),
    "stale cache, drawn": (StaleCache(SHAPE, hidden=4), "check_engines", "other values"),
    "untold step": (
        UntoldWhenDrawn(SHAPE, hidden=(4,), masks_as_input=True),
        "check_step",
        "step differs at rank 1",
    ),
    "peeking step": (PeekingStep(SHAPE), "check_step", "step differs at rank 0"),
    "rounding": (
        Rounding(SHAPE),
        "check_precision",
        "1 of . matmuls and convolutions may be rounded",
    ),
    "temperature": (zoo.FVSBN(SHAPE, SharpQuantile()), "check_law", "chi-square"),
    "temperature, completed": (zoo.FVSBN(SHAPE, SharpQuantile()), "check_completion", "chi-square"),
    "argmax": (zoo.FVSBN(SHAPE, Argmax()), "check_law", "chi-square"),
    "one uniform for two": (_rnade(OneUniform(3, 0.3)), "check_law", "chi-square"),
    "variance for scale": (_rnade(VarianceForScale(3, 0.3)), "check_law", "chi-square"),
    "variance for scale, completed": (
        _rnade(VarianceForScale(3, 0.3)),
        "check_completion",
        "chi-square",
    ),
    "mean for draw": (_rnade(MeanForDraw(3, 0.3)), "check_law", "chi-square"),
    "no jacobian": (
        NoJacobian(_rnade(zoo.MixtureOfGaussians(3, 0.3)), (0.0, 0.0), (2.0, 1.5)),
        "check_normalised",
        "sum to (3.0|2.99)",
    ),
    "sigmoid twice": (zoo.FVSBN(SHAPE, SigmoidTwice()), "check_normalised", "sum to"),
}


@pytest.mark.parametrize("mutant", MODELS)
def test_suite_kills_model(mutant):
    model, check, why = MODELS[mutant]
    with pytest.raises(AssertionError, match=why):
        getattr(conformance, check)(zoo.Entry(model, model))


def _reused_key(key, indices, num_sites, per_site):
    u = jax.vmap(
        lambda index: jax.random.uniform(jax.random.fold_in(key, index), (1, per_site)), out_axes=1
    )(indices)
    return jnp.broadcast_to(u, (num_sites, len(indices), per_site))


def _key_of_batch(key, indices, num_sites, per_site):
    return jax.random.uniform(key, (num_sites, len(indices), per_site))


SAMPLERS = {
    "reused key": ("uniforms", _reused_key, "check_law", "chi-square"),
    "noise of the batch": ("uniforms", _key_of_batch, "check_engines", "values depend"),
}


@pytest.mark.parametrize("mutant", SAMPLERS)
def test_suite_kills_sampler(mutant, monkeypatch):
    name, function, check, why = SAMPLERS[mutant]
    model = zoo.FVSBN(
        (2, 3), ordering=zoo.Ordering("snake", seed=sorted(SAMPLERS).index(mutant))
    )  # compiled afresh
    monkeypatch.setattr(sampler, name, function)
    with pytest.raises(AssertionError, match=why):
        getattr(conformance, check)(zoo.Entry(model, model))


def test_suite_kills_unscored_samples(monkeypatch):
    right = sampler.finish

    @functools.wraps(right)
    def unscored(*arguments):
        drawn = right(*arguments)
        return drawn._replace(log_prob=drawn.log_prob * 0.5)

    monkeypatch.setattr(sampler, "finish", unscored)
    model = zoo.FVSBN((2, 3), ordering=zoo.Ordering("snake", seed=77))
    with pytest.raises(AssertionError):
        conformance.check_engines(zoo.Entry(model, model))


def test_averaged_logits_are_no_likelihood():
    """The mixture of whole-image probabilities sums to 1; averaging logits over orderings does not
    follow it.
    """
    entry = zoo.CATALOGUE["made"]
    variables, space = conformance.variables_of(entry.tiny), conformance.space_of(entry.tiny)
    mixture = zoo.ensemble_log_prob(entry.tiny.members(), variables, space)
    np.testing.assert_allclose(np.exp(mixture).sum(), 1, rtol=1e-4)
    each = np.stack([zoo.log_prob(member, variables, space) for member in entry.tiny.members()])
    np.testing.assert_allclose(np.exp(mixture), np.exp(each).mean(0), rtol=1e-4)
    logits = np.mean(
        [zoo.conditionals(member, variables, space) for member in entry.tiny.members()], axis=0
    )
    averaged = entry.tiny.head.log_prob(jnp.asarray(logits), space).reshape(len(space), -1).sum(-1)
    assert abs(float(np.exp(averaged).sum()) - 1) > 1e-3
