"""Going back to where one has been: visits so far as candidates of their own.

Most visits are returns (Song, Koren, Wang and Barabási 2010, doi 10.1038/nphys1760), and a tower over features cannot
tell a home from the house next to it. CopyNet's mixture (Gu et al. 2016, arXiv 1603.06393, equations 4 to 6) makes
one softmax over all candidates and all positions so far, in which the score of a location is

    log(exp(candidate's score) + sum over its visits s so far of exp(score of copying visit s))

so that a place counts the more the more often it was visited, which is preferential return.

Shapes: B trajectories, S positions, T of them asked about, n locations, D width.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

_NEVER = -1e4
"""Log of what is not to be copied; finite, so that gradients are."""


class Pointer(nn.Module):
    """Scores of copying earlier visits."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, states_BSD: Tensor, location_BS: Tensor) -> Tensor:
        """Logarithm of the summed copies, [B, S, S], float32.

        Entry (t, f) is of the location of visit f, over its visits up to t, where f is the first of them; nothing
        elsewhere.
        """
        positions = states_BSD.shape[1]
        so_far = torch.ones(positions, positions, dtype=torch.bool, device=states_BSD.device).tril()
        same = location_BS[:, :, None] == location_BS[:, None, :]
        first = ~(same & so_far.tril(-1)).any(-1)
        keys = self.key(states_BSD).transpose(1, 2)
        scores = (self.query(states_BSD) @ keys / math.sqrt(states_BSD.shape[-1]) + self.bias).float()
        highest = scores.masked_fill(~so_far, _NEVER).amax(-1, keepdim=True).detach()
        # The smallest that float32 holds without losing digits: what is rarer is not copied.
        summed = ((scores - highest).clamp_max(0).exp() * so_far) @ same.float()
        copies: Tensor = highest + summed.clamp_min(torch.finfo(torch.float32).tiny).log()
        return copies.masked_fill(~(so_far & first[:, None]), _NEVER)


def with_copies(scores_BTn: Tensor, copies_BTS: Tensor, location_BS: Tensor) -> Tensor:
    """Candidates' scores with the copies added, [B, T, n]; in place where no gradient is asked for."""
    index = location_BS[:, None].expand(-1, scores_BTn.shape[1], -1)
    # log(e^a + e^b) - a, which is 0 where nothing is copied, and so for all but the first visit of a location.
    gained = functional.softplus(copies_BTS - scores_BTn.gather(2, index).float()).to(scores_BTn.dtype)
    if torch.is_grad_enabled() and (scores_BTn.requires_grad or gained.requires_grad):
        return scores_BTn.scatter_add(2, index, gained)
    return scores_BTn.scatter_add_(2, index, gained)
