"""What an autoencoder's codes follow: a mixture of Gaussians fitted to those of the training images."""

from __future__ import annotations

import warnings

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from torch import Tensor

from textvae.modeling_digit_autoencoder.modeling_digit_autoencoder import DigitAutoencoderModel

from ..common.errors import UserError
from .data import Digits
from .passes import codes

ITERATIONS = 100


def fit_mixture(
    model: DigitAutoencoderModel, train: Digits, components: int, seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Shares (K,), means (K, Z) and covariances (K, Z, Z), as `model.set_prior` takes them.

    Raises:
        UserError: more Gaussians than images.
    """
    if components > len(train):
        raise UserError(f"'prior_components' is {components}, there are {len(train)} training images; lower it")
    mixture = GaussianMixture(components, max_iter=ITERATIONS, reg_covar=1e-4, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # after so many iterations little is left to gain
        mixture.fit(codes(model, train.images).double().numpy())
    return tuple(map(torch.from_numpy, (mixture.weights_, mixture.means_, mixture.covariances_)))
