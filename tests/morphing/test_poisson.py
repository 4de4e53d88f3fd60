"""The solver against closed forms, a direct solver, and its own promise of few iterations."""

import numpy as np
import pytest
import scipy.ndimage as ndi
import scipy.sparse as sp
import scipy.sparse.linalg as spla

from pathosynth.morphing import poisson


def cosine_error(n: int, c: float) -> float:
    """Largest error for p = cos(pi x) cos(2 pi y) cos(pi z) on the unit cube, which has zero flux on its walls."""
    h = 1.0 / n
    x, y, z = np.meshgrid(*[(np.arange(n) + 0.5) * h] * 3, indexing="ij")
    exact = np.cos(np.pi * x) * np.cos(2 * np.pi * y) * np.cos(np.pi * z)
    levels = poisson.build_levels(np.ones((n, n, n), bool), (h, h, h))
    operator = poisson.assemble(levels, 1.0, np.full(n**3, c), np.float64)
    solution = poisson.solve(operator, ((6 * np.pi**2 + c) * exact).ravel(), tolerance=1e-10)
    return float(np.abs(solution.p - exact.ravel()).max())


@pytest.mark.parametrize("c", [5.0, 0.0], ids=["screened", "no screening: determined up to a constant"])
def test_second_order_convergence_to_a_manufactured_solution(c):
    errors = [cosine_error(n, c) for n in (8, 16, 32)]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert np.all(np.abs(orders - 2.0) < 0.15), (errors, orders)


def test_anisotropic_blocks_converge_at_second_order_too():
    def error(n):
        h = (1.0 / n, 2.0 / n, 1.0 / n)
        x, y, z = np.meshgrid(*[(np.arange(n) + 0.5) * s for s in h], indexing="ij")
        exact = np.cos(np.pi * x) * np.cos(np.pi * y / 2) * np.cos(np.pi * z)
        operator = poisson.assemble(poisson.build_levels(np.ones((n,) * 3, bool), h), 1.0, np.ones(n**3), np.float64)
        source = (np.pi**2 * 2.25 + 1.0) * exact
        return np.abs(poisson.solve(operator, source.ravel(), tolerance=1e-10).p - exact.ravel()).max()

    assert np.log2(error(8) / error(16)) == pytest.approx(2.0, abs=0.15)


def random_problem(rng, shape=(23, 18, 21)):
    mask = rng.random(shape) < 0.85
    mask[5:15, 4:12, 6:16] = True
    pieces, _ = ndi.label(mask)
    mask = pieces == np.bincount(pieces[mask]).argmax()
    kappa = rng.uniform(0.1, 1.0, mask.sum())
    c = np.where(rng.random(mask.sum()) < 0.3, rng.uniform(0, 0.2, mask.sum()), 0.0) + 1e-6
    return mask, kappa, c, rng.standard_normal(mask.sum())


def dense_operator(mask, kappa, c, spacing):
    """The same equation written down voxel by voxel."""
    number = -np.ones(mask.shape, int)
    number[mask] = np.arange(mask.sum())
    matrix = np.diag(c)
    for voxel in np.argwhere(mask):
        for axis in range(3):
            other = voxel.copy()
            other[axis] += 1
            if other[axis] < mask.shape[axis] and mask[tuple(other)]:
                a, b = number[tuple(voxel)], number[tuple(other)]
                w = 2 / (1 / kappa[a] + 1 / kappa[b]) / spacing[axis] ** 2
                matrix[[a, b], [a, b]] += w
                matrix[a, b] -= w
                matrix[b, a] -= w
    return matrix


def test_equals_a_direct_solver_on_a_ragged_mask(rng):
    mask, kappa, c, source = random_problem(rng, (9, 8, 10))
    matrix = dense_operator(mask, kappa, c, (1.0, 2.0, 0.5))
    operator = poisson.assemble(poisson.build_levels(mask, (1.0, 2.0, 0.5)), kappa, c, np.float64)
    found = poisson.solve(operator, source, tolerance=1e-12).p
    np.testing.assert_allclose(found, np.linalg.solve(matrix, source), rtol=1e-6, atol=1e-8)


def test_equals_spsolve_through_several_levels(rng):
    mask, kappa, c, source = random_problem(rng)
    levels = poisson.build_levels(mask, (1.6, 1.6, 1.6))
    assert len(levels) > 2
    direct = spla.spsolve(sp.csc_matrix(dense_operator(mask, kappa, c + 0.01, (1.6, 1.6, 1.6))), source)
    found = poisson.solve(poisson.assemble(levels, kappa, c + 0.01, np.float64), source, tolerance=1e-11).p
    np.testing.assert_allclose(found, direct, rtol=1e-6, atol=1e-7)
    single = poisson.solve(poisson.assemble(levels, kappa, c + 0.01), source, tolerance=1e-5)
    assert single.residual < 1e-5
    assert np.linalg.norm(single.p - direct) < 1e-4 * np.linalg.norm(direct)


def test_iterations_do_not_grow_with_the_grid():
    def iterations(n):
        x, y, z = np.meshgrid(*[np.linspace(-1, 1, n)] * 3, indexing="ij")
        mask = x**2 + y**2 + z**2 < 1
        screened = (x**2 + y**2 + z**2 > 0.7)[mask] * (16.0 / n) ** 2 * 0.02
        operator = poisson.assemble(poisson.build_levels(mask, (1.0, 1.0, 1.0)), 1.0, screened)
        return poisson.solve(operator, (x**2 + y**2 < 0.05)[mask].astype(float), tolerance=1e-6).iterations

    assert iterations(24) <= 14
    assert iterations(64) <= 16


def test_a_good_first_guess_saves_iterations_and_leads_to_the_same_solution(rng):
    mask, kappa, c, source = random_problem(rng)
    operator = poisson.assemble(poisson.build_levels(mask, (1.0, 1.0, 1.0)), kappa, c + 0.01, np.float64)
    cold = poisson.solve(operator, source, tolerance=1e-8)
    warm = poisson.solve(operator, source, cold.p * 1.001, tolerance=1e-8)
    assert warm.iterations < cold.iterations
    np.testing.assert_allclose(warm.p, cold.p, rtol=1e-4, atol=1e-6)


def test_without_a_source_nothing_moves():
    mask = np.ones((6, 6, 6), bool)
    operator = poisson.assemble(poisson.build_levels(mask, (1.0, 1.0, 1.0)), 1.0, np.zeros(216))
    solution = poisson.solve(operator, np.zeros(216), np.ones(216), tolerance=1e-6)
    assert not solution.p.any()
    assert solution.iterations == 0


def test_mean_flux_is_the_gradient_seen_from_both_faces(rng):
    mask = rng.random((7, 6, 8)) < 0.7
    kappa, p = rng.uniform(0.1, 1.0, mask.sum()), rng.standard_normal(mask.sum())
    spacing = (1.0, 2.0, 0.5)
    operator = poisson.assemble(poisson.build_levels(mask, spacing), kappa, np.ones(mask.sum()), np.float64)
    full_kappa, full_p = np.zeros(mask.shape), np.zeros(mask.shape)
    full_kappa[mask], full_p[mask] = kappa, p
    for axis, h in enumerate(spacing):
        expected = np.zeros(mask.shape)
        for here, there, sign in ((slice(1, None), slice(None, -1), -1), (slice(None, -1), slice(1, None), 1)):
            a, b = (tuple(part if n == axis else slice(None) for n in range(3)) for part in (here, there))
            both = mask[a] & mask[b]
            weight = 2 / (1 / full_kappa[a][both] + 1 / full_kappa[b][both]) / h**2
            expected[a][both] += -0.5 * sign * weight * (full_p[b][both] - full_p[a][both])
        np.testing.assert_allclose(poisson.mean_flux(operator, p)[:, axis], expected[mask], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("trace", [0.0, 1e-9])
def test_a_piece_without_an_outlet_does_not_spoil_the_rest(rng, trace):
    """Two separate boxes, the small one with next to no screening and a source that nothing can take up."""
    mask = np.zeros((20, 12, 12), bool)
    mask[:12], mask[14:16, 3:5, 3:5] = True, True
    small = np.broadcast_to((np.arange(20) > 12)[:, None, None], mask.shape)[mask]
    c, s = np.where(small, trace, 0.05), rng.standard_normal(int(mask.sum()))
    s[small] = 1.0
    levels = poisson.build_levels(mask, (1.0, 1.0, 1.0))
    found = poisson.solve(poisson.assemble(levels, 1.0, c), s, tolerance=1e-4)
    alone = poisson.build_levels(mask[:12], (1.0, 1.0, 1.0))
    expected = poisson.solve(poisson.assemble(alone, 1.0, c[~small]), s[~small], tolerance=1e-5)
    np.testing.assert_allclose(found.p[~small], expected.p, atol=2e-3 * np.abs(expected.p).max())
    np.testing.assert_allclose(found.p[small], 0.0, atol=2e-3 * np.abs(expected.p).max())
