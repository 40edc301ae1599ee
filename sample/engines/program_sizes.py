"""Sizes for which programs are compiled: few, so that most requests reuse one."""

_PREFILLED = 32  # fewer known ranks are not worth a separate pass


def few(num: int) -> int:
    """Rounds `num` up to the next of 1, 2, 4, 8, 16, 32, 48, 64, 96, 128, 192, ..."""
    power = 1 << (num - 1).bit_length()
    return power * 3 // 4 if power >= 64 and num <= power * 3 // 4 else power


def few_known(known: int) -> int:
    """Rounds `known` ranks down to the number that is read in one pass.

    The result is one of a few numbers, at most a fifth less; 0 if there are few ranks.
    """
    unit = max(_PREFILLED, 1 << max(0, known.bit_length() - 3))
    return known // unit * unit
