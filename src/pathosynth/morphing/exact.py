"""Last-voxel exactness: move the least certain boundary voxels until every label has its exact voxel count."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse.csgraph as csgraph

from pathosynth.morphing.counting import contact_matrix, facing, label_counts
from pathosynth.morphing.topology import flip_keeps_topology, neighbours, parity
from pathosynth.morphing.warp import label_weights

_ROUNDS = 12
_SPARE = 4  # candidates tested per voxel wanted; most boundary voxels may be flipped


@dataclass(frozen=True)
class Exact:
    """The adjusted map, the voxels flipped into or out of each class, and the voxels each class still misses."""

    classes: np.ndarray
    flips: dict[int, int]
    missing: dict[int, int]


def flip_to_counts(
    classes: np.ndarray,
    source: np.ndarray,
    displacement: np.ndarray,
    counts: dict[int, int],
    slack: tuple[int, ...],
    frozen: tuple[int, ...] = (),
    apart: tuple[tuple[int, int], ...] = (),
) -> Exact:
    """Flip boundary voxels between touching classes until the counts hold; no flip changes a class's topology.

    A surplus is passed on from class to class over the widest contacts until it meets a deficit or the slack. In each
    contact the voxels go first whose interpolated weights of the two classes are nearest to each other. Background
    takes part only where `counts` has it.

    Args:
        classes: (I, J, K) the warped map; not changed.
        source: (I, J, K) the map before warping, for the interpolated weights.
        displacement: (3, I, J, K) backward, in voxels.
        counts: wanted voxels of each constrained class.
        slack: classes that take or give the difference; not in `counts`.
        frozen: classes no voxel of which may change.
        apart: pairs of classes that pass no voxel to each other, the halves of one label.
    """
    out = np.ascontiguousarray(np.pad(classes, 1))  # written through its flat view
    size = max([int(classes.max()), *counts]) + 1
    now = label_counts(classes, size)
    surplus = {index: int(now[index]) - wanted for index, wanted in counts.items()}
    flips = dict.fromkeys(range(size), 0)
    for giver, taker, amount in _transfers(classes, surplus, slack, frozen, apart):
        moved = _transfer(out, source, displacement, giver, taker, amount)
        flips[giver] += moved
        flips[taker] += moved
    inner = out[1:-1, 1:-1, 1:-1]
    found = label_counts(inner, size)
    missing = {index: int(wanted - found[index]) for index, wanted in counts.items()}
    return Exact(np.ascontiguousarray(inner), flips, missing)


def _transfers(
    classes: np.ndarray,
    surplus: dict[int, int],
    slack: tuple[int, ...],
    frozen: tuple[int, ...],
    apart: tuple[tuple[int, int], ...],
) -> list[tuple[int, int, int]]:
    """Voxels to pass between touching classes, (giver, taker, voxels), so that every surplus becomes 0."""
    size = max([int(classes.max()), *surplus]) + 1
    graph = _contacts(classes, size, closed=frozen if 0 in surplus else (0, *frozen))
    for a, b in apart:
        graph[a, b] = graph[b, a] = 0.0
    distance, previous = csgraph.shortest_path(graph, directed=False, return_predecessors=True)
    left, net = dict(surplus), dict[tuple[int, int], int]()
    for giver in sorted(left, key=lambda index: -abs(left[index])):
        while left[giver]:
            partners = [i for i in left if left[i] * left[giver] < 0] + [i for i in slack if i < len(distance)]
            partners = [i for i in partners if np.isfinite(distance[giver, i])]
            if not partners:
                break
            taker = min(partners, key=lambda index: distance[giver, index])
            amount = abs(left[giver]) if taker in slack else min(abs(left[giver]), abs(left[taker]))
            sign = 1 if left[giver] > 0 else -1
            at = taker
            while at != giver:
                before = int(previous[giver, at])
                net[before, at] = net.get((before, at), 0) + sign * amount
                at = before
            left[giver] -= sign * amount
            if taker not in slack:
                left[taker] += sign * amount
    return _directed(net)


def _directed(net: dict[tuple[int, int], int]) -> list[tuple[int, int, int]]:
    """Cancel opposite transfers and turn negative ones round."""
    pairs: dict[tuple[int, int], int] = {}
    for (a, b), amount in net.items():
        key, sign = ((a, b), 1) if a < b else ((b, a), -1)
        pairs[key] = pairs.get(key, 0) + sign * amount
    return [(a, b, n) if n > 0 else (b, a, -n) for (a, b), n in pairs.items() if n]


def _contacts(classes: np.ndarray, size: int, *, closed: tuple[int, ...]) -> np.ndarray:
    """Cost of passing voxels between two classes: one over their shared faces; 0 means they do not touch."""
    cost = np.zeros((size, size))
    counted = contact_matrix(classes, size)
    counted[list(closed)], counted[:, list(closed)] = 0, 0
    touching = counted > 0
    cost[touching] = 1.0 / counted[touching]
    return cost


def _transfer(
    padded: np.ndarray, source: np.ndarray, displacement: np.ndarray, giver: int, taker: int, amount: int
) -> int:
    """Move up to `amount` voxels from one class to a touching one, in place. Returns how many moved."""
    moved = 0
    for _ in range(_ROUNDS):
        candidates = facing(padded, giver, taker)
        order = np.argsort(_certainty(padded, source, displacement, candidates, giver, taker), kind="stable")
        candidates = candidates[order[: _SPARE * (amount - moved) + _SPARE]]
        chosen = candidates[flip_keeps_topology(padded, candidates, taker)][: amount - moved]
        before = moved
        for lattice in range(8):
            part = chosen[parity(chosen, padded.shape) == lattice]
            part = part[flip_keeps_topology(padded, part, taker)]
            padded.ravel()[part] = taker
            moved += len(part)
        if moved in (amount, before):
            break
    return moved


def _certainty(
    padded: np.ndarray, source: np.ndarray, displacement: np.ndarray, voxels: np.ndarray, giver: int, taker: int
) -> np.ndarray:
    """How much more a voxel is the giver's than the taker's; neighbours break ties, so that walls stay smooth."""
    inner = np.ravel_multi_index(tuple(i - 1 for i in np.unravel_index(voxels, padded.shape)), source.shape)
    own, other = label_weights(source, displacement, inner, np.array([giver, taker]))
    around = neighbours(padded, voxels)
    return np.asarray(own - other + 0.01 * ((around == giver).sum(axis=1) - (around == taker).sum(axis=1)))
