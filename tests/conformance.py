"""What it means to be a model of the zoo: checks that hold for every entry of the catalogue.

Each check takes an entry and raises AssertionError where the entry's tiny instance breaks the
contract. They know no model: all they use is the public contract.
"""

import functools
import itertools
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import sample
import zoo

DRAWS = 20_000
BATCH = 32  # of most checks, so that they share what is compiled
POINTS, CELLS = (
    600,
    60,
)  # of the quadrature along a real-valued site, and how many cells they make for a law
SPREAD = 4.0  # real values x are laid out evenly in sigmoid(x / SPREAD)
# standard deviations by which a chi-square statistic may exceed its mean: one in a million and less
FAR = 6.0


@functools.cache
def variables_of(model, seed=0):
    """Random variables, so large that every dependence shows, but not so large that a law has a
    single peak.
    """
    x, context = zoo.example(model, BATCH)
    shapes = jax.eval_shape(
        functools.partial(zoo.init, model, x=x, context=context), jax.random.key(0)
    )
    random = np.random.RandomState(seed)
    noise = jax.tree.map(lambda leaf: random.normal(size=leaf.shape).astype(np.float32), shapes)
    smooth = model.head.num_values is None  # densities that the quadrature can follow
    for scale in (0.3, 0.2) if smooth else (0.8, 0.5, 0.3, 0.2, 0.1):
        variables = jax.tree.map(lambda leaf: jnp.asarray(np.float32(scale) * leaf), noise)  # noqa: B023
        if zoo.conditionals(model, variables, x, context).std() < 2:
            break
    return variables


def example_of(entry, batch):
    """The entry's example: values that vary from row to row, and its context."""
    x, context = entry.example(entry.tiny, batch)
    return jnp.asarray(x), context


def same_context(entry, num):
    """The first row of the entry's context, `num` times."""
    _, context = entry.example(entry.tiny, 1)
    return jax.tree.map(lambda leaf: jnp.repeat(jnp.asarray(leaf), num, axis=0), context)


def by_rank(model, params):
    return params.reshape(len(params), model.num_sites, -1)[:, model.sites]


def space_of(model):
    """Every value there is, or where values are real the points of a quadrature: [size,
    *site_shape,
      *event_shape].
    """
    event = (*model.site_shape, *model.head.event_shape)
    if model.head.num_values is None:
        points = SPREAD * np.log(_places() / (1 - _places()))
        return jnp.asarray(
            np.stack(np.meshgrid(*[points] * math.prod(event), indexing="ij"), -1).reshape(
                -1, *event
            )
        )
    values = itertools.product(range(model.head.num_values), repeat=math.prod(event))
    return jnp.asarray(np.array(list(values), np.int32).reshape(-1, *event))


def probabilities(entry):
    """The probability of every value in the space, or of the surroundings of every point."""
    space = space_of(entry.tiny)
    log_probs = zoo.log_prob(
        entry.tiny, variables_of(entry.tiny), space, same_context(entry, len(space))
    )
    densities = np.exp(np.asarray(log_probs, np.float64))
    if entry.tiny.head.num_values is not None:
        return densities
    widths = SPREAD / (_places() * (1 - _places())) / POINTS
    return densities * functools.reduce(np.multiply.outer, [widths] * entry.tiny.num_dims).ravel()


def law_of(model, probabilities):
    """The probability of every cell of `codes`, given those of the points of the space."""
    return np.bincount(codes(model, space_of(model)), probabilities)


def codes(model, x):
    """The index of each value within `space_of`; where values are real, of the cell that it falls
    into.
    """
    digits, base = np.asarray(x).reshape(len(x), -1), model.head.num_values
    if base is None:
        base = CELLS
        digits = (CELLS / (1 + np.exp(-digits / SPREAD))).astype(int).clip(0, CELLS - 1)
    return digits @ (base ** np.arange(digits.shape[1])[::-1])


def _places():
    return (np.arange(POINTS, dtype=np.float32) + 0.5) / POINTS


def assert_law(counts, expected):
    """Chi-square of counts against expected counts; rare cells are merged."""
    order = np.argsort(expected)
    cells = np.searchsorted(
        np.cumsum(expected[order]), np.arange(1, 1 + int(expected.sum() // 10)) * 10.0
    )
    edges = np.unique(np.concatenate([[0], cells[:-1]]))
    counts, expected = (
        np.add.reduceat(counts[order], edges),
        np.add.reduceat(expected[order], edges),
    )
    chi_square, freedom = ((counts - expected) ** 2 / expected).sum(), len(expected) - 1
    assert freedom > 3, "too few cells to judge a law"
    assert chi_square < freedom + FAR * math.sqrt(2 * freedom), (
        f"chi-square {chi_square:.0f} with {freedom} cells"
    )


def assert_law_of(model, x, law):
    """Draws follow the law; what it excludes is never drawn."""
    counts, possible = np.bincount(codes(model, x), minlength=len(law)), law > 0
    assert counts[~possible].sum() == 0, "values without probability were drawn"
    assert_law(counts[possible], law[possible] * len(x))


def check_normalised(entry):
    """The probabilities of the whole space sum to 1."""
    total = probabilities(entry).sum()
    assert abs(total - 1) < 1e-4, f"probabilities sum to {total:.6f}"


def check_initial(entry):
    """Fresh variables are finite and give finite likelihoods; another key gives others, the same
    key the same.
    """
    model, (x, context) = entry.tiny, example_of(entry, BATCH)
    first, again, other = (zoo.init(model, jax.random.key(seed), x, context) for seed in (0, 0, 1))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(first)), (
        "an initial value is not finite"
    )
    assert all(map(np.array_equal, jax.tree.leaves(first), jax.tree.leaves(again))), (
        "init is not a function of its key"
    )
    assert not all(map(np.array_equal, jax.tree.leaves(first), jax.tree.leaves(other))), (
        "init ignores its key"
    )
    assert np.isfinite(zoo.log_prob(model, first, x, context)).all()


def check_causal(entry):
    """A site moves no params at its own rank or before, and none of any other row, not by one bit."""
    model, (x, context) = entry.tiny, example_of(entry, BATCH)
    other, variables = _another_value(model, x), variables_of(model)

    def params(x):
        return zoo.conditionals(model, variables, x, context)

    before = by_rank(model, params(x))
    for rank, site in enumerate(model.sites):
        flat = x.reshape(len(x), model.num_sites, *model.head.event_shape)
        moved = flat.at[1, site].set(other.reshape(flat.shape)[1, site]).reshape(x.shape)
        after = by_rank(model, params(moved))
        assert (after[1, : rank + 1] == before[1, : rank + 1]).all(), (
            f"rank {rank} is seen at or before itself"
        )
        assert (after[0] == before[0]).all() and (after[2:] == before[2:]).all(), (
            "a row sees another row"
        )


def check_alive(entry):
    """Each rank depends on every rank before it, but for as many pairs as the entry declares blind."""
    model, (x, context) = entry.tiny, example_of(entry, BATCH)
    other, variables = _another_value(model, x), variables_of(model)

    def params(x):
        return zoo.conditionals(model, variables, x, context)

    before, dead = by_rank(model, params(x)), []
    for rank, site in enumerate(model.sites):
        flat = x.reshape(len(x), model.num_sites, *model.head.event_shape)
        moved = flat.at[:, site].set(other.reshape(flat.shape)[:, site]).reshape(x.shape)
        changed = (by_rank(model, params(moved)) != before).any((0, 2))
        dead += [(rank, later) for later in range(rank + 1, model.num_sites) if not changed[later]]
    assert len(dead) == entry.blind, (
        f"{len(dead)} pairs of ranks do not depend, {entry.blind} declared: {dead[:5]}"
    )


def check_context(entry):
    """Params depend on the context, each row on its own."""
    model, (x, context) = entry.tiny, example_of(entry, BATCH)
    if context is None:
        return
    params = zoo.conditionals(model, variables_of(model), x, context)
    rolled = jax.tree.map(lambda leaf: jnp.concatenate([leaf[1:2], leaf[1:]]), context)
    after = zoo.conditionals(model, variables_of(model), x, rolled)
    assert (after[0] != params[0]).any(), "params do not depend on the context"
    assert (after[1:] == params[1:]).all(), "a row sees the context of another"


def check_step(entry):
    """Step by step under teacher forcing, with junk in the future, gives what the whole network
    gives at once.
    """
    model, (x, context) = entry.tiny, example_of(entry, BATCH)
    variables, ranks = (
        variables_of(model),
        model.ordering.ranks(model.site_shape).reshape(model.site_shape),
    )
    whole = by_rank(model, zoo.conditionals(model, variables, x, context))
    decoder = zoo.decoder(model, variables, len(x), context)
    cache, enter, step = decoder.init(), jax.jit(decoder.enter), jax.jit(decoder.step)
    later = ranks.reshape(*ranks.shape, *[1] * len(model.head.event_shape))[None]
    for rank in range(model.num_sites):
        canvas = jnp.where(later < rank, x, jnp.asarray(7, x.dtype))
        if rank % decoder.block == 0:
            cache = enter(cache, canvas, jnp.asarray(rank))
        params, cache = step(cache, canvas, jnp.asarray(rank))
        np.testing.assert_allclose(
            params, whole[:, rank], rtol=1e-4, atol=2e-5, err_msg=f"step differs at rank {rank}"
        )


def check_engines(entry):
    """The same key gives the same tokens from every engine, batch size and chunk, each with its own
    likelihood.
    """
    model, variables, key, num = entry.tiny, variables_of(entry.tiny), jax.random.key(11), 50
    context = entry.example(model, num)[1]
    draws = functools.partial(sample.draw, model, variables, key)
    cached = draws(num, context=context)
    for engine in ("recompute", "jacobi"):
        other = draws(num, context=context, engine=engine)
        assert _same(model, cached.x, other.x), f"{engine} draws other values than cached"
        np.testing.assert_allclose(other.log_prob, cached.log_prob, rtol=1e-5, atol=1e-4)
    assert _same(model, draws(num, context=context, batch_size=1).x, cached.x), (
        "values depend on the chunks"
    )
    first = jax.tree.map(lambda leaf: leaf[:1], context)
    assert _same(model, draws(1, context=first).x, cached.x[:1]), "values depend on the batch size"
    scored = zoo.log_prob(model, variables, cached.x, context)
    np.testing.assert_allclose(
        cached.log_prob, scored, rtol=1e-5, atol=1e-4, err_msg="samples are scored wrongly"
    )


def check_law(entry):
    """Samples follow the model's own probabilities."""
    drawn = sample.draw(
        entry.tiny,
        variables_of(entry.tiny),
        jax.random.key(5),
        DRAWS,
        context=same_context(entry, DRAWS),
        batch_size=5000,
    )
    assert_law_of(entry.tiny, drawn.x, law_of(entry.tiny, probabilities(entry)))


def check_completion(entry):
    """Completions keep the prefix and follow the exact posterior; what is no prefix is refused."""
    model, context = entry.tiny, same_context(entry, DRAWS)
    first = model.ordering.ranks(model.site_shape).reshape(model.site_shape) < max(
        1, model.num_sites // 3
    )
    space, law = space_of(model), probabilities(entry)
    full = np.broadcast_to(
        first.reshape(*first.shape, *[1] * len(model.head.event_shape)), space.shape[1:]
    )
    possible = np.flatnonzero(law > 0)
    given = np.asarray(
        space[possible[len(possible) // 3] if model.head.num_values else law.argmax()]
    )
    drawn = sample.draw(
        model,
        variables_of(model),
        jax.random.key(6),
        DRAWS,
        context=context,
        prefix=(given, first),
        batch_size=5000,
    )
    assert (np.asarray(drawn.x)[:, full] == given[full]).all(), "the prefix is not kept"
    law = law_of(model, np.where((np.asarray(space)[:, full] == given[full]).all(1), law, 0))
    assert_law_of(model, drawn.x, law / law.sum())
    try:
        sample.draw(
            model,
            variables_of(model),
            jax.random.key(6),
            1,
            context=same_context(entry, 1),
            prefix=(given, ~first),
        )
    except ValueError as error:
        assert "no prefix of the ordering" in str(error)
    else:
        raise AssertionError("known sites that are no prefix were accepted")


def gradient_of(model):
    """The gradient of the loss by (variables, x, context)."""

    def loss(variables, x, context):
        return zoo.training_loss(model, variables, x, context, key=jax.random.key(0)).mean()

    return jax.grad(loss)


def check_gradients(entry):
    """Gradients of the loss are finite and somewhere not zero."""
    gradient = jax.jit(gradient_of(entry.tiny))(variables_of(entry.tiny), *example_of(entry, 2))
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient)), (
        "a gradient is not finite"
    )
    assert any((leaf != 0).any() for leaf in jax.tree.leaves(gradient)), "all gradients are zero"


def check_parallel(entry):
    """pmap gives the mean of the gradients that jit gives on each part."""
    model, (x, context), variables = entry.tiny, example_of(entry, 4), variables_of(entry.tiny)
    num = min(2, jax.local_device_count())
    split = jax.tree.map(
        lambda leaf: jnp.asarray(leaf).reshape(num, -1, *leaf.shape[1:]), (x, context)
    )
    single = jax.jit(gradient_of(model))
    each = [single(variables, *jax.tree.map(lambda leaf, i=i: leaf[i], split)) for i in range(num)]
    gradient = jax.tree.map(lambda *leaves: sum(leaves) / num, *each)
    copies = jax.tree.map(lambda leaf: jnp.stack([leaf] * num), variables)

    def mean(variables, x, context):
        return jax.lax.pmean(gradient_of(model)(variables, x, context), "data")

    parallel = jax.pmap(mean, "data", devices=jax.local_devices()[:num])(copies, *split)
    parallel = jax.tree.map(lambda leaf: np.asarray(leaf)[0], jax.block_until_ready(parallel))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), parallel, gradient
    )


def check_compiles_once(entry):
    """Calls of the same shapes, and of an equal model, share one compiled function."""
    model, (x, context), variables = entry.tiny, example_of(entry, BATCH), variables_of(entry.tiny)

    def use(model, seed):
        sample.draw(model, variables, jax.random.key(seed), 50, context=entry.example(model, 50)[1])
        zoo.log_prob(model, variables, x, context)

    use(model, 0)
    with jax.log_compiles(), compilations() as seen:
        use(model.clone(), 1)
    assert not seen, f"compiled again: {seen}"


def check_checkpoint(entry, folder: Path):
    """load(save(m)) == m: the model, its hash, its arrays and so its likelihoods."""
    model, (x, context), variables = entry.tiny, example_of(entry, BATCH), variables_of(entry.tiny)
    zoo.save(folder / "model.safetensors", model, variables)
    loaded, arrays = zoo.load(folder)
    assert loaded == model and hash(loaded) == hash(model)
    jax.tree.map(np.testing.assert_array_equal, arrays, variables)
    same = zoo.log_prob(loaded, arrays, x, context) == zoo.log_prob(model, variables, x, context)
    assert same.all()


def check_precision(entry):
    """Every matmul and convolution of a likelihood and of a draw asks for full float32, whatever a
    device's default is.
    """
    model, (x, context), variables = entry.tiny, example_of(entry, 2), variables_of(entry.tiny)
    u = jnp.full((model.num_sites, 2, model.head.uniforms), 0.3)

    def score(variables):
        return zoo.log_prob(model, variables, x, context)

    def draw(make, variables):
        return sample.ancestral(model, make(model, variables, 2, context), u)

    def prefill(variables):
        decoder = zoo.decoder(model, variables, 2, context)
        return decoder.prefill(decoder.init(), x[:, :1])

    programs = [score, functools.partial(draw, zoo.decoder), functools.partial(draw, zoo.recompute)]
    for program in [*programs, prefill] if model.prefills else programs:
        with jax.default_matmul_precision("bfloat16"):
            traced = jax.make_jaxpr(program)(variables)
        asked = [
            _highest(each.params["precision"])
            for each in _equations(traced.jaxpr)
            if each.primitive.name in DOTS
        ]
        assert all(asked), (
            f"{program}: {asked.count(False)} of {len(asked)} matmuls and convolutions may be "
            "rounded"
        )


def check_wide(entry):
    """With `jax_enable_x64` on: the same initial values, likelihoods and draws, bit for bit; in a
      caller's jit the same
    gradients, but for rounding.
    """
    model, (x, context), key = entry.tiny, entry.example(entry.tiny, 4), jax.random.key(2)
    variables = variables_of(model)

    def loss(variables, x, context):
        return zoo.training_loss(model, variables, x, context, key=key).mean()

    def results(x, context):
        yield zoo.init(model, key, x, context)
        yield zoo.log_prob(model, variables, x, context)
        yield sample.draw(
            model,
            variables,
            key,
            50,
            context=jax.tree.map(lambda leaf: leaf[np.arange(50) % 4], context),
        )
        yield jax.jit(jax.value_and_grad(loss))(variables, x, context)

    usual = list(results(x, context))
    with zoo.foundation.precision._x64.enable_x64(True):
        wide = list(results(*jax.tree.map(_as_wide, (x, context))))
    jax.tree.map(np.testing.assert_array_equal, wide[:-1], usual[:-1])
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-5), wide[-1], usual[-1]
    )
    dtypes = [jax.tree.map(lambda leaf: leaf.dtype, each) for each in (wide, usual)]
    assert dtypes[0] == dtypes[1], "a dtype depends on the mode"


def _as_wide(leaf):
    """An array of 64 bits, where whole numbers make one."""
    leaf = np.asarray(leaf)
    return jnp.asarray(leaf.astype(np.int64) if np.issubdtype(leaf.dtype, np.integer) else leaf)


DOTS = ("dot_general", "conv_general_dilated", "ragged_dot", "ragged_dot_general")


def _highest(precision):
    each = precision if isinstance(precision, tuple) else (precision,)
    return all(one == jax.lax.Precision.HIGHEST for one in each)


def _equations(jaxpr):
    """The equations of a program and of all programs inside it."""
    for equation in jaxpr.eqns:
        yield equation
        for value in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda leaf: hasattr(leaf, "eqns")
        ):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from _equations(inner)


CHECKS = (
    check_initial,
    check_normalised,
    check_causal,
    check_alive,
    check_context,
    check_step,
    check_engines,
    check_law,
    check_completion,
    check_gradients,
    check_parallel,
    check_compiles_once,
    check_precision,
    check_wide,
)


def _same(model, a, b):
    if model.head.num_values is None:
        return np.allclose(a, b, rtol=1e-4, atol=1e-4)
    return bool((a == b).all())


def _another_value(model, x):
    """A valid value different from `x` at every site."""
    return (x + 1) % model.head.num_values if model.head.num_values else x + 1.0


class compilations:
    """Collects the names of what jax compiles meanwhile."""

    def __enter__(self):
        import logging

        self.seen, self.logger = [], logging.getLogger("jax._src.interpreters.pxla")
        self.handler = logging.Handler()
        self.handler.emit = lambda record: self.seen.append(record.getMessage().split(" with ")[0])
        self.logger.addHandler(self.handler)
        self.propagate, self.logger.propagate = self.logger.propagate, False
        return self.seen

    def __exit__(self, *exception):
        self.logger.removeHandler(self.handler)
        self.logger.propagate = self.propagate
