"""How an expert is trained."""

from dataclasses import dataclass, field

from atoll.errors import ConfigError

ROUTER = "router"
"""Where a card's ``training`` has the router that a coordinated expert was trained under: JSON of name and options."""
LORA_TARGETS = ("gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True, kw_only=True)
class ExpertConfig:
    """What the expert is made of.

    Attributes:
        kind: ``ffn`` or ``lora``.
        last_layers: Experts in the last so many layers only, with everything below computed once and cached; 0 for all
            layers.
        rank: LoRA: rank of the change.
        alpha: LoRA: the change is scaled by alpha / rank.
        modules: LoRA: names of the linear modules that are changed.
        coordinated: ffn: train beside the anchor's frozen block in a two-expert mixture (FlexOlmo), so that experts of
            different owners fit together where tokens are mixed one by one, by router ``top-k``. False trains the block
            in the anchor's place, which suits routers that settle on one owner (``docs/experiments.md``, entry 3).
        z_loss: ffn: weight of the router's z-loss.
    """

    kind: str = "ffn"
    last_layers: int = 0
    rank: int = 16
    alpha: float = 32.0
    modules: list[str] = field(default_factory=lambda: list(LORA_TARGETS))
    coordinated: bool = False
    z_loss: float = 1e-3

    def check(self) -> None:
        """Raise ConfigError for what cannot be."""
        if self.last_layers < 0:
            raise ConfigError(
                f"expert.last_layers is {self.last_layers}; give how many of the last layers get experts, 0 for all"
            )
        if self.rank < 1:
            raise ConfigError(f"expert.rank is {self.rank}; it must be at least 1")
        if not self.modules:
            raise ConfigError("expert.modules is empty; name at least one linear module, such as gate_proj")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """The optimization.

    Attributes:
        steps: Optimizer steps at most.
        batch: Sequences a step.
        accumulation: Parts that a step's sequences are run in; more parts need less memory and change nothing else.
        learning_rate: Peak of the schedule.
        warmup: Steps of linear warm-up.
        schedule: ``cosine``, ``linear`` or ``constant`` after the warm-up; the first two end at a tenth of the peak.
        clip: Largest norm of the gradient; 0 for no clipping.
        weight_decay: On matrices of the expert; FlexOlmo's is zero.
        precision: ``fp32`` or ``bf16`` (autocast; weights stay fp32).
        evaluate_every: Steps between looks at the validation split.
        validation_windows: Sequences of the validation split that are looked at; 0 for all.
        patience: Looks without a better validation loss before training stops; 0 to never stop early.
        checkpoint_every: Steps between checkpoints.
    """

    steps: int = 200
    batch: int = 8
    accumulation: int = 1
    learning_rate: float = 2e-3
    warmup: int = 10
    schedule: str = "cosine"
    clip: float = 1.0
    weight_decay: float = 0.0
    precision: str = "fp32"
    evaluate_every: int = 50
    validation_windows: int = 32
    patience: int = 3
    checkpoint_every: int = 50

    def check(self) -> None:
        """Raise ConfigError for what cannot be."""
        for name in ("steps", "batch", "accumulation", "evaluate_every", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"training.{name} is {getattr(self, name)}; it must be at least 1")
        if self.batch % self.accumulation:
            raise ConfigError(f"training.accumulation {self.accumulation} does not divide training.batch {self.batch}")
        if self.schedule not in ("cosine", "linear", "constant"):
            raise ConfigError(f"training.schedule is '{self.schedule}'; it is cosine, linear or constant")
        if self.precision not in ("fp32", "bf16"):
            raise ConfigError(f"training.precision is '{self.precision}'; it is fp32 or bf16")
        if not self.learning_rate > 0:
            raise ConfigError(f"training.learning_rate is {self.learning_rate}; it must be positive")
