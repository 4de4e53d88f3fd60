"""Orders that balance: Latin squares of Williams dealt to any number of readers, and cases dealt over blocks.

Williams EJ. Experimental designs balanced for the estimation of residual effects of treatments. Aust J Sci Res A 1949.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np


def williams(n: int) -> list[list[int]]:
    """Orders of 0 to n - 1: n of them for even n, 2n for odd n.

    Every item stands at every place equally often, and every item follows every other one equally often.
    """
    return [_row(n, number) for number in range(n if n % 2 == 0 or n == 1 else 2 * n)]


def balanced_orders(n: int, readers: int, rng: np.random.Generator) -> list[list[int]]:
    """One order of 0 to n - 1 for every reader; which item is which in the squares is drawn.

    For any number of readers the counts of two items at one place differ by at most 1. How often one item follows
    another differs by at most 1 for even n and 2 for odd n. Where n divides the readers (2n for odd n), all are equal.
    What is left over after whole squares takes rows that lie far apart, so that an item is early for some and late for
    others.
    """
    chosen: list[list[int]] = []
    for start in range(0, readers, max(n, 1)):
        left = min(readers - start, n)
        chosen += [_row(n, start + index * n // left) for index in range(left)]
    names = rng.permutation(n)
    return [[int(names[item]) for item in chosen[index]] for index in rng.permutation(readers)] if n else [[]] * readers


def dealt(members: Sequence[tuple[str, str]], blocks: int, rng: np.random.Generator) -> list[list[int]]:
    """Divide cases over blocks: every arm evenly, and cases of one subject apart as far as that allows.

    Args:
        members: arm and subject of every case.
        blocks: how many.
        rng: decides among equals.

    Returns:
        Indices into `members`, per block. The counts of an arm in two blocks differ by at most 1.
    """
    made: list[list[int]] = [[] for _ in range(blocks)]
    for arm in sorted({arm for arm, _ in members}):
        own = [int(index) for index in rng.permutation(len(members)) if members[index][0] == arm]
        room = Counter({block: len(own) // blocks for block in range(blocks)})
        for block in sorted(range(blocks), key=lambda block: len(made[block]))[: len(own) % blocks]:
            room[block] += 1
        for index in own:
            kin = [sum(members[other][1] == members[index][1] for other in block) for block in made]
            _, _, chosen = min((kin[block], -left, block) for block, left in room.items() if left)
            room[chosen] -= 1
            made[chosen].append(index)
    return made


def drawn_evenly(arms: Sequence[str], number: int, rng: np.random.Generator) -> list[int]:
    """Indices of `number` cases, about equally many of every arm: counts differ by at most 1 while no arm runs out."""
    taken: Counter[str] = Counter()
    ranks = {}
    for index in rng.permutation(len(arms)):
        arm = arms[int(index)]
        ranks[int(index)] = (taken[arm], rng.random())
        taken[arm] += 1
    return sorted(ranks, key=lambda index: ranks[index])[:number]


def _row(n: int, number: int) -> list[int]:
    """Row of the squares: 0, 1, n-1, 2, n-2, … moved on by the row; for odd n every second square is mirrored."""
    square, row = divmod(number, n)
    places = [(row + ((place + 1) // 2 if place % 2 else -(place // 2))) % n for place in range(n)]
    return places[::-1] if n % 2 and square % 2 else places
