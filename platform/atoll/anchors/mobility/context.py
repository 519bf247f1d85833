"""The mobility context of a position: what routers, and the model itself, see beside the location.

MoveGCL (arXiv 2506.06694) routes by the user's radius of gyration and location entropy and by learned encodings of the
sequences of waiting times and jump distances. Here the sequences are summed up by the latest value, the running mean
and the running maximum, which need no parameters, are causal and are the same for every expert.

Shapes: B trajectories, S positions, C features, n locations, D width.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

WIDTH = 8
"""Features of a position, C."""


_BANDWIDTH = 0.5
"""Distance of standardised city embeddings, which are sqrt(D) long, at which cities are e^-1/2 alike: less than
any two of MoveGCL's six published tables are apart."""


def routing_width(hidden_size: int) -> int:
    """Features that routers see: those of a position, and as many of the city as its embedding has."""
    return WIDTH + hidden_size


def city_features(places_nD: Tensor) -> Tensor:
    """What tells a city from others, [D], float32: one linear row can single it out, and unlike cities share nothing.

    The mean of its locations' embeddings, standardised, points nearly the same way for all cities. So routers see
    random Fourier features of it (Rahimi and Recht 2007, "Random features for large-scale kernel machines"), whose
    products are a Gaussian of the distance. The directions are constants.
    """
    mean = places_nD.float().mean(0)
    width = len(mean)
    rng = np.random.default_rng(0)
    directions = torch.from_numpy(rng.standard_normal((width, width)) / _BANDWIDTH).float().to(mean.device)
    phases = torch.from_numpy(rng.uniform(0, 2 * np.pi, width)).float().to(mean.device)
    return 2**0.5 * torch.cos(directions @ functional.layer_norm(mean, (width,)) + phases)


_SCALE = (
    (2.0, 1.0),  # radius, log(1 + km): 6 km
    (1.5, 0.75),  # entropy, nats
    (1.6, 0.9),  # wait, log(1 + half hours): two hours
    (1.2, 0.9),  # jump, log(1 + km): 2 km
    (1.6, 0.7),  # running mean of wait
    (1.2, 0.6),  # running mean of jump
    (2.4, 0.9),  # running maximum of wait
    (2.0, 1.0),  # running maximum of jump
)
"""Centre and spread of each, so that features are of the order of one. They are constants, since a city's own would be
statistics that its owner has to publish: typical of a day in the life of a phone's user (radius of gyration of some
kilometres, Gonzalez et al. 2008, doi 10.1038/nature06958; entropy below 3 nats, Song et al. 2010, doi
10.1126/science.1177170)."""


def context_features(wait_BS: Tensor, jump_BS: Tensor, radius_B: Tensor, entropy_B: Tensor) -> Tensor:
    """Standardised features of every position; a position sees itself and earlier ones only.

    Args:
        wait_BS: Half-hour slots since the visit before, 0 for the first.
        jump_BS: Kilometres from the visit before, 0 for the first.
        radius_B: The user's radius of gyration, km.
        entropy_B: The user's location entropy, nats.

    Returns:
        [B, S, C], float32.
    """
    wait, jump = wait_BS.float().clamp_min(0).log1p(), jump_BS.float().clamp_min(0).log1p()
    of_user = torch.stack([radius_B.float().clamp_min(0).log1p(), entropy_B.float()], -1)
    parts = [wait, jump, _running_mean(wait), _running_mean(jump), wait.cummax(1).values, jump.cummax(1).values]
    features = torch.cat([of_user[:, None].expand(-1, wait.shape[1], -1), torch.stack(parts, -1)], -1)
    scale = torch.tensor(_SCALE, device=features.device)
    return (features - scale[:, 0]) / scale[:, 1]


def _running_mean(x_BS: Tensor) -> Tensor:
    """Mean over positions up to each one, without the first, which follows no visit."""
    steps = torch.arange(x_BS.shape[1], device=x_BS.device).clamp_min(1)
    return (x_BS.cumsum(1) - x_BS[:, :1]) / steps
