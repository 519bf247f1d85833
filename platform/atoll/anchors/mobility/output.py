"""What the mobility model says, scored when it is asked for.

Shapes: B trajectories, S positions, T of them asked about, n locations of the city, D width.
"""

from dataclasses import dataclass, field

from torch import Tensor

from atoll.anchors.mobility.pointer import with_copies


@dataclass(eq=False, slots=True)
class MobilityOutput:
    """Where each trajectory goes next, after each of its positions.

    All scores of a batch are B times S times n numbers: 114 MB for 32 trajectories of 144 visits among Los Angeles'
    6,198 locations, and several times that in training. So they are made when they are asked for, and
    :meth:`scores` makes those of some positions only.

    Attributes:
        states: [B, S, D], what is held against the candidates.
        candidates: [n, D].
        copies: [B, S, S], see :class:`atoll.anchors.mobility.pointer.Pointer`.
        location: int64 [B, S], what was read.
    """

    states: Tensor
    candidates: Tensor
    copies: Tensor
    location: Tensor
    _logits: Tensor | None = field(default=None, repr=False)

    def scores(self, positions: slice) -> Tensor:
        """[B, T, n], for the positions of the slice only: ``slice(-1, None)`` for what comes after the last."""
        scores = self.states[:, positions] @ self.candidates.T
        return with_copies(scores, self.copies[:, positions], self.location)

    @property
    def logits(self) -> Tensor:
        """[B, S, n]: after position t, a score of every location of the city as the next; computed once."""
        if self._logits is None:
            self._logits = self.scores(slice(None))
        return self._logits

    @logits.setter
    def logits(self, logits: Tensor) -> None:
        self._logits = logits
