"""Orderings are permutations, and mean what they say."""

from typing import get_args

import numpy as np
import pytest

import zoo
from zoo.core.orderings import Scan


@pytest.mark.parametrize("scan", get_args(Scan))
@pytest.mark.parametrize("shape", [(1, 1), (3, 4), (5, 2), (28, 28)])
def test_ranks_invert_sites(scan, shape):
    ordering = zoo.Ordering(scan, seed=3)
    sites, ranks = ordering.sites(shape), ordering.ranks(shape)
    assert (np.sort(sites) == np.arange(np.prod(shape))).all()
    assert (ranks[sites] == np.arange(np.prod(shape))).all()


@pytest.mark.parametrize(
    ("scan", "sites"),
    [
        ("raster", [0, 1, 2, 3, 4, 5]),
        ("reversed", [5, 4, 3, 2, 1, 0]),
        ("columns", [0, 3, 1, 4, 2, 5]),
        ("snake", [0, 1, 2, 5, 4, 3]),
        ("diagonal", [0, 1, 3, 2, 4, 5]),
        ("spiral", [0, 1, 2, 5, 4, 3]),
    ],
)
def test_scans_of_two_rows(scan, sites):
    assert zoo.Ordering(scan).sites((2, 3)).tolist() == sites


def test_spiral_turns_inwards():
    assert zoo.Ordering("spiral").sites((3, 3)).tolist() == [0, 1, 2, 5, 8, 7, 6, 3, 4]


def test_random_is_frozen():
    """These numbers may never change: checkpoints depend on them."""
    assert zoo.Ordering("random", seed=5).sites((2, 4)).tolist() == [7, 2, 4, 1, 0, 5, 6, 3]
    assert (
        zoo.Ordering("random", seed=1).sites((28, 28))
        != zoo.Ordering("random", seed=2).sites((28, 28))
    ).any()


def test_permutation_is_taken_as_given():
    assert zoo.Ordering(permutation=(2, 0, 1)).sites((3,)).tolist() == [2, 0, 1]
    with pytest.raises(
        ValueError, match=r"each of the sites 0\.\.2 .* 3 entries, 2 of them different"
    ):
        zoo.Ordering(permutation=(0, 1, 1)).sites((3,))


@pytest.mark.parametrize(
    ("mirror", "sites"),
    [
        (0, [0, 1, 2, 3, 4, 5]),
        (1, [3, 4, 5, 0, 1, 2]),
        (2, [2, 1, 0, 5, 4, 3]),
        (3, [5, 4, 3, 2, 1, 0]),
        (4, [0, 3, 1, 4, 2, 5]),
        (7, [5, 2, 4, 1, 3, 0]),
    ],
)
def test_mirror_images_of_two_rows(mirror, sites):
    assert zoo.Ordering(mirror=mirror).sites((2, 3)).tolist() == sites
    with pytest.raises(
        ValueError, match=r"mirror must be in 0\.\.7 for a site_shape of 2 axes; got 8"
    ):
        zoo.Ordering(mirror=8).sites((2, 3))


@pytest.mark.parametrize(
    ("ordering", "shape", "images"),
    [
        (zoo.Ordering(), (2, 3), 8),
        (zoo.Ordering("spiral", mirror=5), (2, 3), 8),
        (zoo.Ordering(), (6,), 2),
        (zoo.Ordering("random", seed=2), (2, 3), 1),
        (zoo.Ordering(permutation=(5, 0, 1, 2, 3, 4)), (6,), 1),
    ],
)
def test_variants_are_mirror_images_then_random(ordering, shape, images):
    variants = ordering.variants(images + 3, shape, mirrors=True)
    assert variants[0] == ordering and len(
        {each.sites(shape).tobytes() for each in variants}
    ) == len(variants)
    assert all(each.scan == ordering.scan for each in variants[:images])
    assert all(each.scan == "random" for each in variants[images:])
    assert (
        ordering.variants(1, shape) == [ordering]
        and len(ordering.variants(images, shape, mirrors=True)) == images
    )
    assert (
        ordering.variants(4, shape)[1:]
        == ordering.variants(images + 3, shape, mirrors=True)[images:]
    )


def test_there_are_no_more_variants_than_permutations():
    for ordering in (zoo.Ordering(), zoo.Ordering("random", seed=1)):
        sites = [tuple(each.sites((1, 3))) for each in ordering.variants(100, (1, 3), mirrors=True)]
        assert len(sites) == len(set(sites)) == 6


def test_unfit_scans_are_refused():
    with pytest.raises(ValueError, match="needs a site_shape of two axes"):
        zoo.Ordering("spiral").sites((8,))
    with pytest.raises(ValueError, match="must be one of raster"):
        _unchecked("zigzag").sites((8,))


def _unchecked(scan):
    ordering = zoo.Ordering()
    object.__setattr__(ordering, "scan", scan)
    return ordering


def test_known_sites_come_first_and_the_rest_keeps_its_order():
    known = np.array([[False, True, False], [True, False, False]])
    ordering = zoo.Ordering("reversed").known_first(known)
    assert ordering.sites((2, 3)).tolist() == [3, 1, 5, 4, 2, 0]
    assert ordering.known_first(known) == ordering
    assert zoo.Ordering().known_first(np.zeros((2, 3), bool)).sites((2, 3)).tolist() == list(
        range(6)
    )
