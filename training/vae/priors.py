"""Fitting a prior to the latents of texts."""

from __future__ import annotations

import math

import numpy as np
import torch
from sklearn.covariance import ledoit_wolf
from sklearn.mixture import GaussianMixture

from textvae.modeling_textvae.chunk_prior import ChunkPrior
from textvae.modeling_textvae.posterior import Posterior
from textvae.modeling_textvae.priors import ClassChunkPrior, MixturePrior

from ..common.errors import UserError
from ..common.files import fingerprint

MIXTURE_ITERATIONS = 200
VARIANCE_FLOOR = 1e-3  # added to a component's variances, of latents whose own are about 1
CHUNK_EPOCHS, CHUNK_BATCH, CHUNK_LEARNING_RATE = 6, 64, 5e-4
CLASS_STD = 0.02
UNKNOWN_SHARE = 0.2  # of the rows whose class is hidden, so that guidance knows what no class looks like


def fit_prior(
    latents: torch.Tensor, class_ids: torch.Tensor | None = None, components: int = 1, seed: int = 0
) -> MixturePrior:
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
    return MixturePrior(torch.tensor(np.array(log_weights)), torch.from_numpy(np.array(means)), scales, facts)


def fit_class_chunk_prior(
    prior: ChunkPrior, posterior: Posterior, class_ids: torch.Tensor, guidance: float = 1.0, seed: int = 0
) -> ClassChunkPrior:
    """A copy of a VAE's own prior that has learned, from labelled texts, what their classes do to latents.

    Args:
        prior: the model's; it stays as it is.
        posterior: (N, Z) of the texts, of which a draw is taken each time a text is read.
        class_ids: (N,)
        guidance: of the draws, see `ChunkPrior.sample`.
    """
    num_classes, generator = int(class_ids.max()) + 1, torch.Generator().manual_seed(seed)
    own = ChunkPrior(prior.chunks, prior.size, num_classes).to(prior.place.device)
    own.load_state_dict(prior.state_dict(), strict=False)
    # Not zero: where the head is, too, neither would ever move.
    torch.nn.init.normal_(own.classes.weight, std=CLASS_STD, generator=generator)
    optimizer = torch.optim.AdamW(own.parameters(), lr=CHUNK_LEARNING_RATE)
    steps = CHUNK_EPOCHS * math.ceil(len(class_ids) / CHUNK_BATCH)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    for _ in range(CHUNK_EPOCHS):
        drawn, labels = posterior.sample(generator=generator), class_ids.clone()
        labels[torch.rand(len(labels), generator=generator) < UNKNOWN_SHARE] = num_classes
        for rows in torch.randperm(len(labels), generator=generator).split(CHUNK_BATCH):
            loss = -own.log_density(drawn[rows], labels[rows]).mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(own.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    facts = {
        "kind": "autoregressive",
        "latents": torch.bincount(class_ids).tolist(),
        "labelled": True,
        "data": fingerprint(posterior.mean.cpu().numpy().tobytes().hex(), class_ids.tolist()),
    }
    return ClassChunkPrior(own.eval(), guidance, facts)
