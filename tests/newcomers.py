"""Models as strangers write them: plain linen, all conditionals at once, not a line for sampling."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

import zoo


def before(x, values):
    """One-hot values of the sites before, zeros before the first."""
    return jnp.pad(jax.nn.one_hot(x, values)[:, :-1], ((0, 0), (1, 0), (0, 0)))


class Newcomer(zoo.Autoregressive):
    """The fields that all of them have."""

    site_shape: tuple[int, ...] = (12,)
    head: zoo.Head = zoo.Categorical(5)
    ordering: zoo.Ordering = zoo.Ordering()


class Image(Newcomer):
    """The same, of images."""

    site_shape: tuple[int, ...] = (6, 5)
    head: zoo.Head = zoo.Bernoulli()

    def pixels(self, x):
        return x[..., None].astype(jnp.float32)


class Dilated(Newcomer):
    """Dilated causal convolutions, residual."""

    @nn.compact
    def __call__(self, x, memory=None, *, train=False):
        h = before(x, 5)
        for d in (1, 2, 4):
            h = h + nn.Conv(5, (3,), padding="CAUSAL", kernel_dilation=(d,))(
                nn.gelu(nn.LayerNorm()(h))
            )
        return nn.Dense(5)(h)


class Attending(Newcomer):
    """Two layers of linen's attention."""

    @nn.compact
    def __call__(self, x, memory=None, *, train=False):
        h = (
            nn.Dense(8)(before(x, 5))
            + self.param("place", nn.initializers.normal(0.5), (self.num_sites, 8))[None]
        )
        for _ in range(2):
            h = h + nn.MultiHeadDotProductAttention(2)(
                nn.LayerNorm()(h), mask=nn.make_causal_mask(x)
            )
            h = h + nn.Dense(8)(nn.gelu(nn.Dense(16)(nn.LayerNorm()(h))))
        return nn.Dense(5)(h)


class Recurring(Newcomer):
    """Two of linen's recurrent layers, and a running mean."""

    @nn.compact
    def __call__(self, x, memory=None, *, train=False):
        h = before(x, 5)
        h = nn.RNN(nn.OptimizedLSTMCell(6))(h)
        h = nn.RNN(nn.GRUCell(6))(h)
        count = jnp.arange(1, self.num_sites + 1, dtype=h.dtype)[None, :, None]
        return nn.Dense(5)(jnp.concatenate([h, jnp.cumsum(h, axis=1) / count], axis=-1))


class Masked(Image):
    """Linen's convolutions with masks."""

    @nn.compact
    def __call__(self, x, memory=None, *, train=False):
        h = self.pixels(x)
        for i, n in enumerate((5, 3, 3)):
            mask = np.ones((n, n, 1, 1), np.float32)
            mask[n // 2 + 1 :] = 0
            mask[n // 2, n // 2 + (i > 0) :] = 0
            shape = (n, n, h.shape[-1], 6)
            h = nn.relu(nn.Conv(6, (n, n), mask=jnp.asarray(np.broadcast_to(mask, shape)))(h))
        return nn.Dense(1)(h)


class Mixer(Image):
    """Tokens mixed by a lower triangular matrix over the raster, channels by a dense layer."""

    @nn.compact
    def __call__(self, x, memory=None, *, train=False):
        sites = self.num_sites
        h = nn.Dense(6)(self.pixels(x).reshape(len(x), sites, 1))
        for i in range(2):
            weights = self.param(f"mix_{i}", nn.initializers.normal(0.3), (sites, sites))
            seen = jnp.tril(jnp.ones((sites, sites), bool), -1 if i == 0 else 0)
            h = jnp.einsum("ts,bsc->btc", jnp.where(seen, weights, 0), h)
            h = h + nn.Dense(6)(nn.tanh(nn.Dense(12)(h)))
        return nn.Dense(1)(h).reshape(*x.shape, 1)


class Film(Newcomer):
    """A WaveNet with gates, skips and a scale and shift of every layer by position."""

    @nn.compact
    def __call__(self, x, memory=None, *, train=False):
        h = nn.Dense(6)(before(x, 5))
        place = jnp.stack(
            [jnp.sin(jnp.arange(self.num_sites, dtype=h.dtype) / p) for p in (1.0, 3.0)], -1
        )[None]
        total = jnp.zeros((), h.dtype)
        for d in (1, 2, 4, 1):
            scale, shift = jnp.split(nn.Dense(12)(place), 2, -1)
            padded = jnp.pad(h, ((0, 0), (d, 0), (0, 0)))
            y = (nn.Dense(12)(padded[:, :-d]) + nn.Dense(12)(h)) * jnp.tile(
                1 + scale, 2
            ) + jnp.tile(shift, 2)
            a, b = jnp.split(y, 2, -1)
            z = jnp.tanh(a) * nn.sigmoid(b)
            h, total = h + nn.Dense(6)(z), total + nn.Dense(6)(z)
        return nn.Dense(5)(nn.relu(total))


class Windowed(Newcomer):
    """Attention over the last few tokens, with rotary positions, written by hand."""

    window: int = 4

    @nn.compact
    def __call__(self, x, memory=None, *, train=False):
        h, n = nn.Dense(8)(before(x, 5)), self.num_sites
        apart = jnp.arange(n)[:, None] - jnp.arange(n)[None]
        seen = (apart >= 0) & (apart < self.window)
        for _ in range(2):
            q, k, v = (nn.DenseGeneral((2, 4))(nn.LayerNorm()(h)) for _ in range(3))
            q, k = rotated(q), rotated(k)
            scores = jnp.where(
                seen[None, None], jnp.einsum("bqhd,bkhd->bhqk", q, k) / 2, -1e9 * 1e22
            )
            h = h + nn.DenseGeneral(8, (-2, -1))(
                jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores), v)
            )
            h = h + nn.Dense(8)(nn.silu(nn.Dense(8)(h)) * nn.Dense(8)(h))
        return nn.Dense(5)(h)


def rotated(x):
    """Rotary positions."""
    angle = jnp.arange(x.shape[1])[:, None].astype(jnp.float32) / jnp.array([[1.0, 10.0]])
    cos, sin = jnp.cos(angle)[None, :, None], jnp.sin(angle)[None, :, None]
    a, b = x[..., ::2], x[..., 1::2]
    return jnp.stack([a * cos - b * sin, a * sin + b * cos], -1).reshape(x.shape)


class RowConvLSTM(Image):
    """A convolutional LSTM down the rows, which reads the row above; within a row a causal convolution."""

    @nn.compact
    def __call__(self, x, memory=None, *, train=False):
        pixels = self.pixels(x)
        above = jnp.pad(pixels, ((0, 0), (1, 0), (0, 0), (0, 0)))[:, :-1]
        left = jnp.pad(pixels, ((0, 0), (0, 0), (1, 0), (0, 0)))[:, :, :-1]
        cell = nn.ConvLSTMCell(6, (3,))
        state = nn.RNN(cell, time_major=False)(above)
        row = nn.Conv(6, (1, 3), padding=((0, 0), (2, 0)))(left)
        return nn.Dense(1)(nn.tanh(nn.Dense(8)(jnp.concatenate([state, row], -1))))


class UShaped(Image):
    """Down by a strided convolution of the rows above, up by repetition, with a shortcut."""

    site_shape: tuple[int, ...] = (8, 6)

    @nn.compact
    def __call__(self, x, memory=None, *, train=False):
        pixels = self.pixels(x)
        # Shifted down by two rows, so that a coarse place never sees the fine ones that it covers.
        above = jnp.pad(pixels, ((0, 0), (2, 0), (0, 0), (0, 0)))[:, :-2]
        fine = nn.relu(nn.Conv(4, (3, 3), padding=((2, 0), (1, 1)))(above))
        coarse = nn.relu(nn.Conv(6, (2, 2), strides=(2, 2), padding="VALID")(fine))
        coarse = nn.relu(nn.Conv(6, (3, 3), padding=((2, 0), (1, 1)))(coarse))
        up = jnp.repeat(jnp.repeat(coarse, 2, 1), 2, 2)
        up = jnp.pad(up, ((0, 0), (2, 0), (0, 0), (0, 0)))[:, :-2]
        mask = np.zeros((3, 3, 1, 1), np.float32)
        mask[:1] = 1
        mask[1, :1] = 1
        near = nn.Conv(4, (3, 3), mask=jnp.asarray(np.broadcast_to(mask, (3, 3, 1, 4))))(pixels)
        return nn.Dense(1)(nn.relu(nn.Dense(8)(jnp.concatenate([fine, up, near], -1))))


class Experts(Newcomer):
    """Tokens go to two of four experts, behind a causal convolution."""

    @nn.compact
    def __call__(self, x, memory=None, *, train=False):
        h = nn.Dense(8)(before(x, 5))
        h = h + nn.Conv(8, (4,), padding="CAUSAL")(h)
        chance, chosen = jax.lax.top_k(jax.nn.softmax(nn.Dense(4)(h)), 2)
        gate = (jax.nn.one_hot(chosen, 4) * chance[..., None]).sum(-2)
        init = nn.initializers.normal(0.4)
        widen, narrow = self.param("widen", init, (4, 8, 6)), self.param("narrow", init, (4, 6, 8))
        each = jnp.einsum("btef,efd->bted", nn.relu(jnp.einsum("btd,edf->btef", h, widen)), narrow)
        return nn.Dense(5)(nn.LayerNorm()(h + (gate[..., None] * each).sum(-2)))


class Shifted(Image):
    """Features that know their own pixel, moved on by one at the end."""

    @nn.compact
    def __call__(self, x, memory=None, *, train=False):
        h = self.pixels(x)
        for _ in range(2):
            mask = np.zeros((3, 3, 1, 1), np.float32)
            mask[0] = 1
            mask[1, :2] = 1
            h = nn.tanh(
                nn.Conv(5, (3, 3), mask=jnp.asarray(np.broadcast_to(mask, (3, 3, h.shape[-1], 5))))(
                    h
                )
            )
        flat = h.reshape(len(x), self.num_sites, 5)
        return nn.Dense(1)(jnp.pad(flat, ((0, 0), (1, 0), (0, 0)))[:, :-1].reshape(h.shape))


class Columns(Image):
    """Linear in everything before, in an ordering of its own."""

    ordering: zoo.Ordering = zoo.Ordering("snake")

    @nn.compact
    def __call__(self, x, memory=None, *, train=False):
        sites, ranks = self.sites, self.ordering.ranks(self.site_shape)
        h = self.pixels(x).reshape(len(x), -1)[:, sites]
        h = jnp.pad(h, ((0, 0), (1, 0)))[:, :-1, None]
        h = nn.RNN(nn.GRUCell(5))(h)
        return nn.Dense(1)(h)[:, ranks].reshape(*x.shape, 1)


class Linear(Newcomer):
    """A linear recurrence by an associative scan."""

    @nn.compact
    def __call__(self, x, memory=None, *, train=False):
        h = nn.Dense(6)(before(x, 5))
        decay = nn.sigmoid(nn.Dense(6)(h))

        def join(a, b):
            return a[0] * b[0], a[1] * b[0] + b[1]

        _, state = jax.lax.associative_scan(join, (decay, h), axis=1)
        return nn.Dense(5)(nn.relu(state))


class Summed(Newcomer):
    """Attention without softmax, by running sums of outer products."""

    @nn.compact
    def __call__(self, x, memory=None, *, train=False):
        h = nn.Dense(6)(before(x, 5))
        q, k, v = (nn.Dense(4)(h) for _ in range(3))
        state = jnp.cumsum(nn.elu(k)[..., :, None] * v[..., None, :], axis=1)
        return nn.Dense(5)(jnp.einsum("btk,btkv->btv", nn.elu(q), state))


class Pooled(Newcomer):
    """Down by pooling, up by repetition, with a shortcut."""

    @nn.compact
    def __call__(self, x, memory=None, *, train=False):
        h = nn.Dense(6)(before(x, 5))
        fine = h + nn.Conv(6, (3,), padding="CAUSAL")(nn.silu(h))
        coarse = nn.Conv(6, (2,), padding="CAUSAL")(
            nn.pool(fine, 0.0, jax.lax.add, (2,), (2,), "VALID")
        )
        coarse = coarse + nn.max_pool(fine, (3,), (2,), padding=((2, 0),))
        coarse = jnp.pad(coarse, ((0, 0), (1, 0), (0, 0)))[:, :-1]
        return nn.Dense(5)(jnp.repeat(coarse, 2, 1) + fine)


class Scattered(Image):
    """Attention in a random ordering, whose params are put back in their places by an update; its
    masked scores are -1e9, as most networks have them."""

    ordering: zoo.Ordering = zoo.Ordering("random", seed=4)

    @nn.compact
    def __call__(self, x, memory=None, *, train=False):
        sites, n = np.asarray(self.sites), self.num_sites
        seen = x.reshape(len(x), -1)[:, sites]
        h = nn.Embed(3, 6)(jnp.pad(seen, ((0, 0), (1, 0)), constant_values=2)[:, :-1])
        place = self.param("place", nn.initializers.normal(1.0), (n, 6))
        h = h + place[sites][None]
        masked = (1 - np.tril(np.ones((n, n), np.float32))) * -1e9
        scores = jnp.einsum("bqc,bkc->bqk", nn.Dense(6)(h), nn.Dense(6)(h)) + masked[None]
        h = nn.Dense(1)(nn.gelu(h + jax.nn.softmax(scores) @ h))
        return jnp.zeros((len(x), n, 1)).at[:, sites].set(h).reshape(*x.shape, 1)


class Switched(Newcomer):
    """Each token goes to the expert with the greatest gate, whose weights are looked up."""

    @nn.compact
    def __call__(self, x, memory=None, *, train=False):
        h = nn.Dense(6)(before(x, 5))
        h = h + nn.MultiHeadDotProductAttention(2)(h, mask=nn.make_causal_mask(x))
        gate = nn.softmax(nn.Dense(3)(h))
        chosen = jnp.argmax(gate, -1)
        experts = self.param("experts", nn.initializers.normal(0.4), (3, 6, 6))
        each = jnp.einsum("btd,btdf->btf", h, experts[chosen])
        return nn.Dense(5)(h + each * jnp.take_along_axis(gate, chosen[..., None], -1))


class StateSpace(Newcomer):
    """A linear recurrence with complex eigenvalues, by an associative scan."""

    @nn.compact
    def __call__(self, x, memory=None, *, train=False):
        h = nn.Dense(6)(before(x, 5))
        size, angle = (
            self.param(name, nn.initializers.uniform(1.0), (6,)) for name in ("size", "angle")
        )
        decay = jnp.exp(jax.lax.complex(-jnp.exp(size), angle))

        def join(a, b):
            return a[0] * b[0], a[1] * b[0] + b[1]

        u = nn.Dense(6)(h).astype(jnp.complex64)
        _, state = jax.lax.associative_scan(join, (jnp.broadcast_to(decay, u.shape), u), axis=1)
        return nn.Dense(5)(h + nn.Dense(6)(jnp.concatenate([state.real, state.imag], -1)))


class Token(Newcomer):
    """A function of one token, mapped over all of them; and running sums."""

    @nn.compact
    def __call__(self, x, memory=None, *, train=False):
        h = nn.Dense(6)(jax.nn.one_hot(x, 5))
        h = jnp.where(jnp.arange(self.num_sites)[None, :, None] > 0, jnp.roll(h, 1, axis=1), 0)
        h = jax.lax.map(lambda a: jnp.tanh(a * 1.5), h.swapaxes(0, 1)).swapaxes(0, 1)
        return nn.Dense(5)(jax.lax.cumlogsumexp(h, axis=1))


class Layers(Newcomer):
    """Layers by `nn.scan` over `nn.remat`, with functions whose gradients are given."""

    @nn.compact
    def __call__(self, x, memory=None, *, train=False):
        @jax.custom_jvp
        def double(a):
            return jnp.tanh(a) * 2

        double.defjvp(lambda primals, tangents: (double(*primals), tangents[0]))
        h = nn.Dense(6)(before(x, 5))
        layers = nn.scan(
            nn.remat(Layer), variable_axes={"params": 0}, split_rngs={"params": True}, length=3
        )
        h, _ = layers()(h, None)
        return nn.Dense(5)(jax.checkpoint(lambda a: double(a) + jax.jit(jnp.cos)(a))(h))


class Layer(nn.Module):
    """Attention and a network of each token."""

    @nn.compact
    def __call__(self, h, _):
        mask = nn.make_causal_mask(jnp.ones(h.shape[:2]))
        h = h + nn.MultiHeadDotProductAttention(2)(nn.RMSNorm()(h), mask=mask)
        return h + nn.Dropout(0.5, deterministic=True)(nn.Dense(6)(nn.silu(h))), None


class FromTheRight(Newcomer):
    """A recurrence from the last site to the first, which starts again in every row (of an image, or
    of `width` tokens); a site reads what it left in the row above, and the sites beside it."""

    width: int = 4

    @nn.compact
    def __call__(self, x, memory=None, *, train=False):
        width = x.shape[2] if x.ndim == 3 else self.width
        h = nn.Dense(5)(jax.nn.one_hot(x.reshape(len(x), -1), 5))
        goes_on = (np.arange(self.num_sites) % width < width - 1).astype(np.float32)
        init = nn.initializers.normal(0.5)
        weights = self.param("weights", init, (5, 5))

        def left(state, each):
            token, on = each
            state = jnp.tanh(token + on * (state @ weights))
            return state, state

        tokens = h.swapaxes(0, 1), goes_on
        _, row = jax.lax.scan(left, jnp.zeros_like(h[:, 0]), tokens, reverse=True)
        above = jnp.pad(row, ((width, 0), (0, 0), (0, 0)))[:-width].swapaxes(0, 1)
        beside = nn.Conv(5, (2,), padding="CAUSAL")(before(x.reshape(len(x), -1), 5))
        return nn.Dense(5)(nn.relu(nn.Dense(5)(above) + beside)).reshape(*x.shape, 5)


class Subpixels(Image):
    """Colours as sites: each of a pixel's reads those before it, by layers of its own."""

    site_shape: tuple[int, ...] = (4, 5, 3)
    head: zoo.Head = zoo.Categorical(4)

    @nn.compact
    def __call__(self, x, memory=None, *, train=False):
        colours = jax.nn.one_hot(x, 4)
        mask = np.ones((3, 3, 12, 8), np.float32)
        mask[2:] = mask[1, 1:] = 0
        h = nn.relu(nn.Conv(8, (3, 3), mask=mask)(colours.reshape(*x.shape[:3], 12)))
        seen = [
            jnp.concatenate([h, *(colours[:, :, :, j] for j in range(i))], -1) for i in range(3)
        ]
        return jnp.stack([nn.Dense(4)(each) for each in seen], 3)


class Documents(Newcomer):
    """Attention within the document that a token lies in, and to what is no padding."""

    @nn.compact
    def __call__(self, x, memory=None, *, train=False):
        n = self.num_sites
        last = jnp.pad(x, ((0, 0), (1, 0)), constant_values=4)[:, :-1]
        h = nn.Embed(5, 8)(last)
        document = jnp.cumsum(last == 4, axis=1)
        causal = np.tri(n, dtype=bool)[None]
        same = (document[:, :, None] == document[:, None]) & causal
        h = h + nn.softmax(jnp.where(same, h @ h.swapaxes(1, 2), -jnp.inf)) @ nn.Dense(8)(h)
        padding = (last == 2)[:, None] & ~np.eye(n, dtype=bool)[None]
        scores = jnp.where(padding | ~causal, -jnp.inf, h @ h.swapaxes(1, 2))
        h = h + nn.softmax(scores) @ nn.Dense(8)(h)
        seen = (last != 3) | (np.arange(n) == 0)[None]
        seen = nn.make_attention_mask(jnp.ones_like(seen), seen, jnp.logical_and)
        mask = nn.combine_masks(nn.make_causal_mask(x), seen)
        h = h + nn.MultiHeadDotProductAttention(2)(h, mask=mask)
        return nn.Dense(5)(h)


class Edges(Newcomer):
    """Convolutions of which one repeats the first site, and parts of no width at all."""

    @nn.compact
    def __call__(self, x, memory=None, *, train=False):
        h = jnp.pad(before(x, 5), ((0, 0), (3, 0), (0, 0)), mode="edge")
        h = nn.WeightNorm(nn.Conv(5, (4,), padding="VALID"))(h)
        return nn.Dense(5)(jnp.concatenate([h, jnp.diff(h, axis=1, prepend=h[:, :1])], -1))


MODELS = {
    each.__name__: each()
    for each in (
        Dilated, Attending, Recurring, Masked, Mixer, Film, Windowed, RowConvLSTM, UShaped, Experts, Shifted, Columns,
        Linear, Summed, Pooled, Scattered, Switched, StateSpace, Token, Layers, Subpixels,
        Documents, Edges,
    )
}  # fmt: skip
MODELS["FromTheRight"] = FromTheRight((4, 5))
