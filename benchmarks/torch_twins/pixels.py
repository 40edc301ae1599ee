"""The pixel models in PyTorch, as functions of our weights.

Each takes the model (for its sizes), its weights as tensors by name, and images of bits [batch,
channels, height, width], scaled to [-1, 1]. It returns logits [batch, height, width]. Memory is
channels-last, which is the faster layout here too.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import zoo

Weights: TypeAlias = dict[str, Any]


def _conv(
    w: Weights, name: str, x: Tensor, kernel_size: tuple[int, int] = (1, 1), mask: str = "B"
) -> Tensor:
    """A masked convolution of one group, like `zoo.layers.convolutions.MaskedConv`."""
    kernel, (height, width) = w[f"{name}/kernel"], kernel_size
    seen = np.ones(kernel.shape, np.float32)
    seen[-1, width // 2 + (mask == "B") :] = 0
    used = width if height > 1 else width // 2 + 1
    kernel = (kernel * torch.from_numpy(seen))[:, :used].permute(3, 2, 0, 1)
    x = (
        x
        if kernel_size == (1, 1)
        else F.pad(x, (width // 2, used - 1 - width // 2, height // 2, 0))
    )
    return F.conv2d(x, kernel, w[f"{name}/bias"])


def _above(w: Weights, name: str, x: Tensor, strict: bool) -> Tensor:
    """A convolution over the rows above, like `zoo.layers.convolutions.RowsAbove`."""
    kernel = w[f"{name}/kernel"].permute(3, 2, 0, 1)
    side = kernel.shape[3] // 2
    return F.conv2d(F.pad(x, (side, side, side, -int(strict))), kernel, w[f"{name}/bias"])


def _readout(w: Weights, h: Tensor) -> Tensor:
    return _conv(w, "readout/params_of", F.relu(_conv(w, "readout/hidden", F.relu(h))))[:, 0]


def pixel_cnn(model: zoo.PixelCNN, w: Weights, x: Tensor) -> Tensor:
    """PixelCNN."""
    h = _conv(w, "first", x, (7, 7), "A")
    for i in range(model.blocks):
        y = _conv(
            w, f"convolve_{i}", F.relu(_conv(w, f"reduce_{i}", F.relu(h))), (model.kernel_size,) * 2
        )
        h = h + _conv(w, f"expand_{i}", F.relu(y))
    return _readout(w, h)


def _gate(y):
    a, b = y.chunk(2, 1)
    return torch.tanh(a) * torch.sigmoid(b)


def gated_pixel_cnn(model: zoo.GatedPixelCNN, w: Weights, x: Tensor) -> Tensor:
    """Gated PixelCNN."""
    v, h = x, _conv(w, "first", x, (1, 7), "A")
    for i in range(1 + model.layers):
        above = _above(w, f"vertical_{i}", v, i == 0)
        down = F.conv2d(above, w[f"down_{i}/kernel"].T[:, :, None, None], w[f"down_{i}/bias"])
        y = (h if i == 0 else _conv(w, f"horizontal_{i - 1}", h, (1, model.kernel_size))) + down
        v, y = _gate(above), _conv(w, f"residual_{i}", _gate(y))
        h = y if i == 0 else h + y
    return _readout(w, h)


def _cell(gates, c):
    i, f, o, g = gates.chunk(4, -1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def row_lstm(model: zoo.RowLSTM, w: Weights, x: Tensor) -> Tensor:
    """Row LSTM with a Python loop over the rows."""
    h, side = _conv(w, "first", x, (7, 7), "A"), model.kernel_size // 2
    for i in range(model.layers):
        gates = _conv(w, f"recur_{i}/of_input", h, (1, model.kernel_size)).permute(2, 0, 3, 1)
        kernel, rows = w[f"recur_{i}/kernel"], []
        y = c = gates.new_zeros(*gates.shape[1:3], model.features)
        for gate in gates:
            padded = F.pad(y, (0, 0, side, side))
            taps = [padded[:, tap : tap + y.shape[1]] for tap in range(model.kernel_size)]
            y, c = _cell(gate + torch.cat(taps, -1) @ kernel, c)
            rows.append(y)
        h = h + _conv(w, f"expand_{i}", torch.stack(rows).permute(1, 3, 0, 2))
    return _readout(w, h)


def diagonal_bilstm(model: zoo.DiagonalBiLSTM, w: Weights, x: Tensor) -> Tensor:
    """Diagonal BiLSTM with a Python loop over the diagonals, both directions at once."""
    h, (rows, columns) = _conv(w, "first", x, (7, 7), "A"), model.site_shape
    for i in range(model.layers):
        left = _conv(w, f"recur_{i}/from_left", h).permute(2, 3, 0, 1)
        right = torch.cat([h, x], 1).permute(2, 3, 0, 1).flip(1) @ w[f"recur_{i}/from_right/kernel"]
        right = right + w[f"recur_{i}/from_right/bias"]
        gates = torch.stack([left, right], 2)  # rows, columns, directions, batch, gates
        skewed = torch.stack(
            [F.pad(gates[r], (0, 0, 0, 0, 0, 0, r, rows - 1 - r)) for r in range(rows)]
        )
        kernel, outputs = w[f"recur_{i}/kernel"], []
        side = c = gates.new_zeros(2, rows * len(x), model.features)
        for column in skewed.permute(1, 2, 0, 3, 4).reshape(
            rows + columns - 1, 2, rows * len(x), -1
        ):
            above = F.pad(side, (0, 0, len(x), 0))[:, : side.shape[1]]
            side, c = _cell(column + torch.cat([side, above], -1) @ kernel, c)
            outputs.append(side)
        whole = torch.stack(outputs).reshape(-1, 2, rows, len(x), model.features)
        whole = torch.stack([whole[r : r + columns, :, r] for r in range(rows)])
        below = F.pad(whole[:-1, :, 1], (0, 0, 0, 0, 0, 0, 1, 0)).flip(1)
        h = h + _conv(w, f"expand_{i}", (whole[:, :, 0] + below).permute(2, 3, 0, 1))
    return _readout(w, h)


def pixel_transformer(model: zoo.PixelTransformer, w: Weights, x: Tensor) -> Tensor:
    """Pixel Transformer with fused attention, and a dense mask if attention is strided."""

    def dense(name, h):
        return F.linear(h, w[f"{name}/kernel"].T, w.get(f"{name}/bias"))

    def norm(name, h):
        return F.layer_norm(h, h.shape[-1:], w[f"{name}/scale"], w[f"{name}/bias"], 1e-6)

    bits = (x.permute(0, 2, 3, 1).flatten(1, 2) + 1) / 2
    h = _conv(w, "around", x, (model.kernel_size,) * 2, "A").permute(0, 2, 3, 1).flatten(1, 2)
    h = (
        h
        + dense("before", F.pad(bits, (0, 0, 1, 0))[:, :-1])
        + (w["row"][:, None] + w["place"]).flatten(0, 1)
    )
    seen = None
    if model.attention == "strided":
        apart = torch.arange(model.num_sites)[:, None] - torch.arange(model.num_sites)
        seen = (apart >= 0) & ((apart < model.block) | (apart % model.block == 0))
    for block in (f"blocks_{i}" for i in range(model.layers)):
        qkv = dense(f"{block}/attention/qkv", norm(f"{block}/norms_0", h)).unflatten(
            -1, (3, model.heads, -1)
        )
        y = F.scaled_dot_product_attention(
            *qkv.permute(2, 0, 3, 1, 4), attn_mask=seen, is_causal=seen is None
        )
        y = y.transpose(1, 2).flatten(2)
        h = h + dense(f"{block}/attention/out", y)
        wide = F.gelu(dense(f"{block}/widen", norm(f"{block}/norms_1", h)), approximate="tanh")
        h = h + dense(f"{block}/narrow", wide)
    return dense("params_of", norm("norm", h)).reshape(len(x), *model.site_shape)


NETWORKS: dict[type, Callable] = {
    zoo.PixelCNN: pixel_cnn,
    zoo.GatedPixelCNN: gated_pixel_cnn,
    zoo.RowLSTM: row_lstm,
    zoo.DiagonalBiLSTM: diagonal_bilstm,
    zoo.PixelTransformer: pixel_transformer,
}
