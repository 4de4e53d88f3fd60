"""Balance of orders, against its definition: counts of places and of neighbours."""

from collections import Counter
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pathosynth.reader.orders import balanced_orders, dealt, drawn_evenly, williams


def neighbours(orders: list[list[int]]) -> Counter[tuple[int, int]]:
    return Counter(pair for order in orders for pair in pairwise(order))


def places(orders: list[list[int]]) -> Counter[tuple[int, int]]:
    return Counter((place, item) for order in orders for place, item in enumerate(order))


@given(st.integers(2, 15))
def test_the_whole_square_is_exact(n: int) -> None:
    """Every item at every place, and after every other item, equally often."""
    rows = williams(n)
    assert len(rows) == (n if n % 2 == 0 else 2 * n)
    assert all(sorted(row) == list(range(n)) for row in rows)
    assert set(places(rows).values()) == {len(rows) // n}
    pairs = neighbours(rows)
    assert len(pairs) == n * (n - 1)
    assert len(set(pairs.values())) == 1


@settings(deadline=None)
@given(st.integers(1, 14), st.integers(1, 45), st.integers(0, 5))
def test_any_number_of_readers_is_as_even_as_it_can_be(n: int, readers: int, seed: int) -> None:
    orders = balanced_orders(n, readers, np.random.default_rng(seed))
    assert len(orders) == readers
    assert all(sorted(order) == list(range(n)) for order in orders)
    counts = places(orders)
    at = [[counts[place, item] for item in range(n)] for place in range(n)]
    assert all(max(row) - min(row) <= 1 for row in at)
    pairs = [neighbours(orders)[a, b] for a in range(n) for b in range(n) if a != b]
    assert not pairs or max(pairs) - min(pairs) <= (1 if n % 2 == 0 else 2)
    if n > 1 and readers % (n if n % 2 == 0 else 2 * n) == 0:
        assert max(pairs) == min(pairs)


def test_an_item_is_early_for_some_and_late_for_others() -> None:
    """Few readers of many images: the place of an image spreads over the whole order, as in random orders."""
    orders = balanced_orders(100, 10, np.random.default_rng(0))
    at = np.array([[order.index(item) for order in orders] for item in range(100)])
    assert np.ptp(at, axis=1).min() > 50


@settings(deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=4), st.integers(1, 6), st.integers(0, 5))
def test_every_arm_is_dealt_evenly(sizes: list[int], blocks: int, seed: int) -> None:
    members = [(f"arm{arm}", f"s{arm}-{n}") for arm, size in enumerate(sizes) for n in range(size)]
    parts = dealt(members, blocks, np.random.default_rng(seed))
    assert sorted(index for part in parts for index in part) == list(range(len(members)))
    for arm in range(len(sizes)):
        counts = [sum(members[index][0] == f"arm{arm}" for index in part) for part in parts]
        assert max(counts) - min(counts) <= 1


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(0, 20))
def test_two_images_of_a_subject_lie_in_two_blocks(pairs: int, seed: int) -> None:
    """A real image and the synthetic one made from it: an even number of pairs can always be kept apart."""
    members = [(arm, f"subject{n}") for n in range(2 * pairs) for arm in ("real", "synthetic")]
    for part in dealt(members, 2, np.random.default_rng(seed)):
        subjects = [members[index][1] for index in part]
        assert len(set(subjects)) == len(subjects)


@given(st.lists(st.integers(5, 9), min_size=1, max_size=4), st.integers(0, 20), st.integers(0, 5))
def test_drawing_takes_equally_of_every_arm(sizes: list[int], number: int, seed: int) -> None:
    arms = [str(arm) for arm, size in enumerate(sizes) for _ in range(size)]
    number = min(number, 5 * len(sizes))
    chosen = drawn_evenly(arms, number, np.random.default_rng(seed))
    counts = Counter(arms[index] for index in chosen)
    assert len(set(chosen)) == number
    assert max(counts[str(arm)] for arm in range(len(sizes))) - min(counts[str(a)] for a in range(len(sizes))) <= 1
