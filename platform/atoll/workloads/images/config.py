"""What pictures to read, and how to split them."""

import math
from dataclasses import dataclass, field

from atoll.errors import ConfigError
from atoll.workloads.classification.classes import ClassList
from atoll.workloads.classification.samples import Shares
from atoll.workloads.data import DataConfig
from atoll.workloads.reading import check_on_error


@dataclass(frozen=True, kw_only=True)
class ImagesConfig(DataConfig):
    """A silo's pictures.

    Attributes:
        workload: ``images``.
        paths: Folders with a sub-folder of pictures for each class, and ``.npz`` files with ``images``, uint8 [N, H, W]
            or [N, H, W, 3], ``labels`` [N], places in ``classes`` or names, and, where whose they are is known,
            ``persons`` [N], whole numbers or names.
        classes: Names of all classes in their public order, whether or not this silo has pictures of each.
        intensity: Of pictures and arrays of more than 8 bits, the value that becomes 0 and that which becomes 255, such
            as [0, 4095]; between them it is linear, beyond them held. Empty: 16-bit grey goes from 0 to 65535, and what
            has no such range is refused (:mod:`.modes` has the rule of every kind of picture).
        on_error: A picture that cannot be read is an error once all are read (``refuse``, which names ten and counts
            all), or left out and counted (``skip``).
        validation: Share of the pictures, or of the persons, kept for validation, in [0, 1).
        test: Share kept for the test, in [0, 1).
        salt: Changes which pictures fall in which split.
    """

    workload: str = "images"
    paths: list[str] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    validation: float = 0.1
    test: float = 0.1
    salt: str = ""
    intensity: list[float] = field(default_factory=list)
    on_error: str = "refuse"

    @property
    def shares(self) -> Shares:
        """How they are split."""
        return Shares(self.validation, self.test, self.salt)

    @property
    def class_list(self) -> ClassList:
        """The classes.

        Raises:
            ConfigError: an impossible list.
        """
        return ClassList(tuple(self.classes))

    def check(self) -> None:
        """Check the values by themselves, without looking at any file.

        Raises:
            ConfigError: the first value that makes no sense.
        """
        if not self.paths:
            raise ConfigError("images: paths is empty; name at least one folder of pictures or .npz file")
        _ = self.class_list
        if self.intensity and not (
            len(self.intensity) == 2 and -math.inf < self.intensity[0] < self.intensity[1] < math.inf
        ):
            raise ConfigError(
                f"images: intensity={self.intensity} must be two numbers, [LOW, HIGH], the first the less"
            )
        check_on_error(self.on_error, "images")
        self.shares.check("images")
