"""The character models in idiomatic PyTorch, with our weights.

`module(before, cache=None)` takes the tokens before those to predict, [batch, length], with `start`
before the first. It returns logits [batch, length, values] and the state or cache for the next
call.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.sequences.lstm import LSTM
from zoo.sequences.transformer import Transformer


class CharLSTM(nn.Module):
    """`torch.nn.LSTM` over one-hot tokens or learned embeddings, and a linear layer."""

    def __init__(self, model: LSTM, w: dict[str, Tensor]) -> None:
        super().__init__()
        self.start, self.dropout = model.start, model.dropout
        self.embed = nn.Parameter(w["embedding"]) if model.embedding else None
        self.recur = nn.LSTM(
            model.embedding or model.start,
            model.features,
            model.layers,
            batch_first=True,
            dropout=model.dropout if model.layers > 1 else 0.0,  # between layers
        )
        for i in range(model.layers):
            name = f"recur_{i}"
            for theirs, ours in (
                ("weight_ih", w[f"{name}/of_input/kernel"].T),
                ("weight_hh", w[f"{name}/kernel"].T),
                ("bias_ih", w[f"{name}/of_input/bias"]),
            ):
                i_, f, o, g = ours.chunk(4)
                getattr(self.recur, f"{theirs}_l{i}").data = torch.cat([i_, f, g, o])
            getattr(self.recur, f"bias_hh_l{i}").data.zero_()
        self.out = nn.Linear(model.features, model.start)
        self.out.weight.data, self.out.bias.data = (
            w["params_of/kernel"].T.contiguous(),
            w["params_of/bias"],
        )

    def forward(
        self, before: Tensor, cache: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple]:
        x = (
            F.one_hot(before, self.start + 1)[..., :-1].float()
            if self.embed is None
            else self.embed[before]
        )
        h, cache = self.recur(x, cache)
        return self.out(F.dropout(h, self.dropout, self.training)), cache


class CharGPT(nn.Module):
    """A pre-norm Transformer with rotary positions, fused attention, and cached keys and values."""

    def __init__(self, model: Transformer, w: dict[str, Tensor]) -> None:
        super().__init__()
        if model.positions != "rotary" or not model.tied:
            raise ValueError(
                "only a Transformer with rotary positions and tied weights has a PyTorch twin."
            )
        self.start, self.layers, self.heads, self.window = (
            model.start,
            model.layers,
            model.heads,
            model.window,
        )
        self.dropout = model.dropout
        self.w = nn.ParameterDict(
            {name.replace("/", "-"): nn.Parameter(value) for name, value in w.items()}
        )

    def forward(self, before: Tensor, cache: list | None = None) -> tuple[Tensor, list]:
        first = 0 if cache is None else cache[0][0].shape[2]
        h, kept = self._drop(self.w["embedding"][before]), []
        for i in range(self.layers):
            name = f"blocks_{i}"
            qkv = self._dense(f"{name}-attention-qkv", self._norm(f"{name}-norms_0", h))
            q, k, v = qkv.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
            q, k = _apply_rotary(q, first), _apply_rotary(k, first)
            if cache is not None:
                k, v = (torch.cat([old, new], 2) for old, new in zip(cache[i], (k, v), strict=True))
            kept.append((k, v))
            y = self._attend(q, k, v, cache is None).transpose(1, 2).flatten(2)
            h = h + self._drop(self._dense(f"{name}-attention-out", y))
            wide = F.gelu(
                self._dense(f"{name}-widen", self._norm(f"{name}-norms_1", h)), approximate="tanh"
            )
            h = h + self._drop(self._dense(f"{name}-narrow", wide))
        return self._norm("norm", h) @ self.w["embedding"][: self.start].T, kept

    def _attend(self, q, k, v, whole):
        if whole and k.shape[2] > self.window:
            apart = torch.arange(k.shape[2])[:, None] - torch.arange(k.shape[2])
            return F.scaled_dot_product_attention(
                q, k, v, attn_mask=(apart >= 0) & (apart < self.window)
            )
        k, v = k[:, :, -self.window :], v[:, :, -self.window :]
        return F.scaled_dot_product_attention(q, k, v, is_causal=whole)

    def _drop(self, h):
        return F.dropout(h, self.dropout, self.training)

    def _dense(self, name, x):
        return F.linear(x, self.w[f"{name}-kernel"].T, self.w[f"{name}-bias"])

    def _norm(self, name, x):
        return F.layer_norm(x, x.shape[-1:], self.w[f"{name}-scale"], self.w[f"{name}-bias"], 1e-6)


def _apply_rotary(x: Tensor, first: int) -> Tensor:
    """Applies rotary positions from `first` on to x [batch, heads, tokens, d]."""
    half = x.shape[-1] // 2
    angles = torch.arange(first, first + x.shape[2])[:, None] * 10_000.0 ** (
        -torch.arange(half) / half
    )
    a, b = x.chunk(2, -1)
    return torch.cat([a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos()], -1)


MODULES: dict[type, type] = {LSTM: CharLSTM, Transformer: CharGPT}
