"""Fitting a prior to the latents of texts."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.covariance import ledoit_wolf
from sklearn.mixture import GaussianMixture

from textvae.modeling_textvae.priors import LatentPrior

from ..common.errors import UserError
from ..common.files import fingerprint

MIXTURE_ITERATIONS = 200
VARIANCE_FLOOR = 1e-3  # added to a component's variances, of latents whose own are about 1


def fit_prior(
    latents: torch.Tensor, class_ids: torch.Tensor | None = None, components: int = 1, seed: int = 0
) -> LatentPrior:
    """A Gaussian with full covariance a class, or a mixture of `components` of them.

    One Gaussian's covariance is shrunk towards a multiple of the identity as far as the number of latents asks for
    (Ledoit and Wolf 2004), so that a hundred latents of two hundred dimensions give a prior, too. A mixture is
    fitted by expectation maximisation, in float64.

    Args:
        latents: (N, Z) draws from the posteriors of texts: draws, not means, because the prior is to cover where
            latents are, not only where posteriors are centred.
        class_ids: (N,) of the texts; one class where there are none.

    Raises:
        UserError: a class has fewer latents than a Gaussian or a mixture needs.
    """
    classes = torch.zeros(len(latents), dtype=torch.long) if class_ids is None else class_ids.cpu()
    points = latents.double().cpu().numpy()
    log_weights, means, covariances = [], [], []
    for label in range(int(classes.max()) + 1):
        rows = points[(classes == label).numpy()]
        if len(rows) < 2 * components:
            raise UserError(
                f"fit_prior: class {label} has {len(rows)} latents, fewer than {2 * components}; "
                "give more texts of it or fewer components"
            )
        if components == 1:
            log_weights.append([0.0])
            means.append(rows.mean(0)[None])
            covariances.append(ledoit_wolf(rows)[0][None])
        else:
            mixture = GaussianMixture(
                components, reg_covar=VARIANCE_FLOOR, max_iter=MIXTURE_ITERATIONS, random_state=seed
            ).fit(rows)
            log_weights.append(np.log(mixture.weights_))
            means.append(mixture.means_)
            covariances.append(mixture.covariances_)
    facts = {
        "kind": "gaussian" if components == 1 else "mixture",
        "components": components,
        "latents": torch.bincount(classes).tolist(),
        "labelled": class_ids is not None,
        "data": fingerprint(points.tobytes().hex(), classes.tolist()),
    }
    scales = torch.linalg.cholesky(torch.from_numpy(np.array(covariances)))
    return LatentPrior(torch.tensor(np.array(log_weights)), torch.from_numpy(np.array(means)), scales, facts)
