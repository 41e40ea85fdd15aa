"""From the encoder's guess of a posterior to a better one, by gradient steps on the text itself."""

from __future__ import annotations

from collections.abc import Callable

import torch

from .posterior import Posterior

LEARNING_RATE = 0.05
FINAL_SHARE = 0.1  # of the learning rate, reached on a line


def refine(
    posterior: Posterior,
    loss: Callable[[Posterior, torch.Tensor], torch.Tensor],
    steps: int,
) -> Posterior:
    """The posterior after `steps` of Adam on its own mean and log-variance (semi-amortised, Kim et al. 2018).

    An encoder has to guess in one pass what the decoder will make of a latent; the decoder's gradient knows. The model
    does not change. A text's result does not depend on the texts beside it but for rounding, nor on any generator.

    Args:
        posterior: the encoder's, (B, Z).
        loss: (posterior, one draw of it (B, Z)) → (B,), of a draw that gradients pass through.
    """
    mean = posterior.mean.detach().clone().requires_grad_()
    log_variance = posterior.log_variance.detach().clone().requires_grad_()
    refined = Posterior(mean, log_variance)
    optimizer = torch.optim.Adam([mean, log_variance], lr=LEARNING_RATE, betas=(0.9, 0.95))
    generator = torch.Generator().manual_seed(0)
    # On a GPU the fused GRU gives no gradient outside training mode.
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        for step in range(steps):
            noise = torch.randn(mean.shape[1], generator=generator).to(mean.device)
            total = loss(refined, refined.at(noise)).sum()
            mean.grad, log_variance.grad = torch.autograd.grad(total, (mean, log_variance))
            optimizer.param_groups[0]["lr"] = LEARNING_RATE * (1 - (1 - FINAL_SHARE) * step / steps)
            optimizer.step()
    return Posterior(mean.detach(), log_variance.detach())
