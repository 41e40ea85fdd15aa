"""Fitting a prior to the latents of texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix, diags
from sklearn.covariance import ledoit_wolf
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import normalize

from textvae.modeling_textvae.decoder import NUM_SPECIAL, LatentDecoder
from textvae.modeling_textvae.priors import MixturePrior, ResampledPrior

from ..common.errors import UserError
from ..common.files import fingerprint

MIXTURE_ITERATIONS = 200
VARIANCE_FLOOR = 1e-3  # added to a component's variances, of latents whose own are about 1
WORDS_INVERSE_PENALTY = 10.0


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


def fit_resampled_prior(
    decoder: LatentDecoder,
    tokenizer: Any,
    texts: list[str],
    class_ids: list[int],
    candidates: int,
    sharpness: float = 1.0,
) -> ResampledPrior:
    """Logistic regression of texts' classes on which of the decoder's tokens they have.

    Args:
        candidates: draws a wanted text.
        sharpness: exponent of p(class | text); 1 as the texts have it, more for plainer classes.

    Raises:
        UserError: fewer than two classes, or one without texts.
    """
    counts = np.bincount(class_ids)
    if len(counts) < 2 or not counts.all():
        raise UserError(
            f"fit_resampled_prior: the classes have {counts.tolist()} texts; give some of each, of two or more"
        )
    ids = tokenizer(texts, padding=True, padding_side="right", return_tensors="pt")["input_ids"]
    tokens = decoder.respell(ids.to(decoder.respelling.device)).cpu()
    rows = np.arange(len(tokens)).repeat(tokens.shape[1])
    found = csr_matrix((np.ones(len(rows)), (rows, tokens.flatten().numpy())), (len(tokens), len(decoder.bias)))
    found.data[:] = 1.0
    found = found @ diags((np.arange(len(decoder.bias)) >= NUM_SPECIAL).astype(float))
    fitted = LogisticRegression(C=WORDS_INVERSE_PENALTY, max_iter=1000).fit(normalize(found), class_ids)
    weight, bias = torch.from_numpy(fitted.coef_).T, torch.from_numpy(fitted.intercept_)
    if weight.shape[1] == 1:  # of two classes scikit-learn tells the second from the first
        weight, bias = torch.cat([-weight, weight], 1) / 2, torch.cat([-bias, bias]) / 2
    facts = {
        "kind": "resampled",
        "candidates": candidates,
        "sharpness": sharpness,
        "texts": counts.tolist(),
        "labelled": True,
        "data": fingerprint(texts, class_ids),
    }
    return ResampledPrior(weight.contiguous(), bias, facts)
