"""Orderings as data: in which order the chain rule visits the sites."""

import dataclasses
import functools
import itertools
import math
from typing import Literal

import numpy as np

from zoo.foundation.arguments import array, checked, convert_fields
from zoo.foundation.registry import register

Scan = Literal["raster", "reversed", "columns", "snake", "diagonal", "spiral", "random"]


@register
@dataclasses.dataclass(frozen=True)
class Ordering:
    """A permutation s of the sites: p(x) = prod_t p(x[s_t] | x[s_<t]).

    Sites are numbered in row-major order of `site_shape`, whatever the scan. An ordering knows no
    shape: the same one serves every `site_shape` that its scan is defined for.

    Attributes:
      scan: how the sites are visited. `raster` row by row; `reversed` the raster backwards;
        `columns` column by column; `snake` rows left to right and right to left in turn; `diagonal`
        along the anti-diagonals; `spiral` from the first corner inwards (the last three need two
        axes); `random` a permutation drawn from `seed`.
      seed: seed of the `random` scan; no other scan reads it.
      permutation: the sites themselves, in the order in which they are visited; replaces `scan`
        when given.
      mirror: which mirror image of the grid is scanned. Bit i of it says that axis i runs
        backwards, the bit after those that the axes then change places: of two axes there are 8. No
        `random` scan and no permutation reads it.

    Example:
      >>> import zoo
      >>> zoo.Ordering("snake").sites((2, 3)).tolist()
      [0, 1, 2, 5, 4, 3]
      >>> zoo.Ordering("reversed").ranks((4,)).tolist()
      [3, 2, 1, 0]
    """

    scan: Scan = "raster"
    seed: int = 0
    permutation: tuple[int, ...] | None = None
    mirror: int = 0

    def __post_init__(self):
        """Refuses what is no scan and no permutation."""
        convert_fields(self)

    @checked()
    def sites(self, site_shape: tuple[int, ...]) -> np.ndarray:
        """The site of every rank, int32 [num_sites]: `sites[t]` is the flat index of s_t."""
        return _sites(self, tuple(site_shape))

    @checked()
    def ranks(self, site_shape: tuple[int, ...]) -> np.ndarray:
        """The rank of every site, int32 [num_sites]: the inverse permutation of `sites`."""
        return np.argsort(self.sites(site_shape)).astype(np.int32)

    @checked(num=1)
    def variants(
        self, num: int, site_shape: tuple[int, ...], mirrors: bool = False
    ) -> list["Ordering"]:
        """`num` different orderings, or all that the sites have: this one, with `mirrors` its
        images, then random ones.

        A `random` scan and a permutation have no mirror images.

        Example:
          >>> [ordering.sites((2,)).tolist() for ordering in Ordering().variants(2, (2,))]
          [[0, 1], [1, 0]]
        """
        num = min(num, math.factorial(math.prod(site_shape)))
        images = (
            _num_mirrors(site_shape)
            if mirrors and self.permutation is None and self.scan != "random"
            else 1
        )
        candidates = itertools.chain(
            (dataclasses.replace(self, mirror=self.mirror ^ k) for k in range(images)),
            (Ordering("random", seed=seed) for seed in itertools.count(1)),
        )
        different: dict[bytes, Ordering] = {}
        while len(different) < num:
            ordering = next(candidates)
            different.setdefault(ordering.sites(site_shape).tobytes(), ordering)
        return list(different.values())

    def known_first(self, known: np.ndarray) -> "Ordering":
        """Visits the sites `known` (bool, [*site_shape]) first, and otherwise keeps this ordering's
        order.

        Example:
          >>> Ordering().known_first(np.array([False, False, True, True])).permutation
          (2, 3, 0, 1)
        """
        known = array(known, "known")
        if known.dtype != bool:
            raise ValueError(f"known must be boolean, a mask of the sites; got {known.dtype}.")
        sites = self.sites(known.shape)
        first = known.reshape(-1)[sites]
        return Ordering(permutation=tuple(np.concatenate([sites[first], sites[~first]]).tolist()))


@functools.lru_cache(maxsize=256)
def _sites(ordering: Ordering, site_shape: tuple[int, ...]) -> np.ndarray:
    num_sites = int(np.prod(site_shape, dtype=np.int64))
    if ordering.permutation is not None:
        sites = np.asarray(ordering.permutation, np.int32)
        if not np.array_equal(np.sort(sites), np.arange(num_sites)):
            raise ValueError(
                f"Ordering.permutation must hold each of the sites 0..{num_sites - 1} of "
                f"site_shape {site_shape} once; "
                f"got {sites.size} entries, {np.unique(sites).size} of them different."
            )
    elif ordering.scan == "random" and not 0 <= ordering.seed < 2**32:
        raise ValueError(f"Ordering.seed must be in 0..2**32 - 1; got {ordering.seed}.")
    elif ordering.scan in _SCANS:
        sites = _SCANS[ordering.scan](
            ordering, _mirrored(ordering.mirror, np.arange(num_sites).reshape(site_shape))
        )
    else:
        raise ValueError(
            f"Ordering.scan must be one of {', '.join(_SCANS)}; got {ordering.scan!r}."
        )
    sites = np.ascontiguousarray(sites, np.int32)
    sites.setflags(write=False)
    return sites


def _num_mirrors(site_shape: tuple[int, ...]) -> int:
    return 2 ** (len(site_shape) + (len(site_shape) > 1))


def _mirrored(mirror: int, grid: np.ndarray) -> np.ndarray:
    if not 0 <= mirror < _num_mirrors(grid.shape):
        last = _num_mirrors(grid.shape) - 1
        raise ValueError(
            f"Ordering.mirror must be in 0..{last} for a site_shape of {grid.ndim} axes; got "
            f"{mirror}."
        )
    grid = np.flip(grid, tuple(axis for axis in range(grid.ndim) if mirror >> axis & 1))
    return grid.T if mirror >> grid.ndim else grid


def _snake(grid: np.ndarray) -> np.ndarray:
    _two_axes("snake", grid)
    return np.concatenate([row[:: 1 - 2 * (i % 2)] for i, row in enumerate(grid)])


def _diagonal(grid: np.ndarray) -> np.ndarray:
    _two_axes("diagonal", grid)
    row, column = np.indices(grid.shape)
    return grid.ravel()[np.lexsort((row.ravel(), (row + column).ravel()))]


def _spiral(grid: np.ndarray) -> np.ndarray:
    _two_axes("spiral", grid)
    pieces = []
    while grid.size:
        pieces.append(grid[0])
        grid = np.rot90(grid[1:])
    return np.concatenate(pieces)


def _two_axes(scan: str, grid: np.ndarray) -> None:
    if grid.ndim != 2:
        raise ValueError(
            f"the {scan!r} scan needs a site_shape of two axes (height, width); got {grid.shape}."
        )


# RandomState's stream is frozen by numpy's compatibility policy, so `random` means the same sites
# for ever.
_SCANS = {
    "raster": lambda _, grid: grid.ravel(),
    "reversed": lambda _, grid: grid.ravel()[::-1],
    "columns": lambda _, grid: grid.T.ravel(),
    "snake": lambda _, grid: _snake(grid),
    "diagonal": lambda _, grid: _diagonal(grid),
    "spiral": lambda _, grid: _spiral(grid),
    "random": lambda ordering, grid: np.random.RandomState(ordering.seed).permutation(grid.size),
}
