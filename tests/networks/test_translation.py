"""Topics through a dictionary against the dense matrix of the paper."""

import numpy as np
import torch

from octis_m3l.networks import Translation


def test_equals_the_dense_matrix_and_its_gradient() -> None:
    random = np.random.default_rng(0)
    pairs = np.unique(random.integers(0, [7, 9], (12, 2)), axis=0)
    frequencies = random.integers(0, 20, 7)
    matrix = np.zeros((7, 9))
    for source, target in pairs:
        matrix[source, target] = frequencies[source]
    matrix = (matrix + 1) / (matrix + 1).sum(axis=1, keepdims=True)
    translation = Translation(len(pairs), 7, 9).double()
    translation.fit(pairs, frequencies)
    phi = torch.from_numpy(random.normal(size=(4, 7))).requires_grad_()
    said = translation(phi)
    dense = torch.from_numpy(matrix)
    np.testing.assert_allclose(said.detach(), (phi @ dense).detach(), rtol=1e-6)
    weights = torch.from_numpy(random.normal(size=(4, 9)))
    (gradient,) = torch.autograd.grad((said * weights).sum(), phi)
    np.testing.assert_allclose(gradient, weights @ dense.T, rtol=1e-6)
