"""The networks of van de Ven and Tolias's comparison: a perceptron that classifies, and a variational autoencoder.

Shapes: B samples, X values of a sample, H units, Z latent values, C classes.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


def perceptron(shape: tuple[int, ...], hidden: int, classes: int) -> nn.Sequential:
    """Two hidden layers of rectified units (van de Ven and Tolias 2019, arXiv 1904.07734)."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(math.prod(shape), hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, classes),
    )


class Autoencoder(nn.Module):
    """A symmetric variational autoencoder of pixels (Kingma and Welling 2014, arXiv 1312.6114) with a standard normal
    prior, as the generator of deep generative replay (van de Ven and Tolias 2019).
    """

    def __init__(self, shape: tuple[int, ...], hidden: int, latent: int) -> None:
        super().__init__()
        self.shape = shape
        self.latent = latent
        size = math.prod(shape)
        self.encoder = nn.Sequential(
            nn.Flatten(), nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()
        )
        self.statistics = nn.Linear(hidden, 2 * latent)
        self.decoder = nn.Sequential(
            nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, size)
        )

    def loss(self, x: Tensor) -> Tensor:
        """Negative evidence lower bound in nats, a mean over samples: binary cross-entropy and divergence.

        Args:
            x: Pixels [B, ...] from 0 to 1.
        """
        mean_BZ, log_variance_BZ = self.statistics(self.encoder(x)).chunk(2, 1)
        drawn_BZ = mean_BZ + torch.randn_like(mean_BZ) * (log_variance_BZ / 2).exp()
        said_BX = self.decoder(drawn_BZ)
        reconstruction = functional.binary_cross_entropy_with_logits(said_BX, x.flatten(1), reduction="sum")
        divergence = 0.5 * (mean_BZ.square() + log_variance_BZ.exp() - log_variance_BZ - 1).sum()
        bound: Tensor = (reconstruction + divergence) / len(x)
        return bound

    @torch.no_grad()
    def sample(self, count: int) -> Tensor:
        """Pixels [count, ...] of draws from the prior: what the decoder expects, without its noise."""
        z = torch.randn(count, self.latent, device=self.statistics.weight.device)
        pixels: Tensor = self.decoder(z).sigmoid().reshape(count, *self.shape)
        return pixels
