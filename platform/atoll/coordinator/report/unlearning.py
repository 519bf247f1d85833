"""The scorecard of an exit as a table, for pages and terminals alike."""

from collections.abc import Mapping

from atoll.coordinator.report.tables import Grid
from atoll.coordinator.report.wording import NOTHING
from atoll.privacy.scorecard import AFTER, ATTACKS, BEFORE, KS, LEAKAGE, NEVER_HAD, PREFIX, QUALITY

MEANING = (
    "Retrained: the mixture that never had the expert. Privacy leakage (MUSE's PrivLeak, by Min-K% for text, else by "
    "loss): 0 is as retrained, below 0 still tells members. KS and forget quality (TOFU's): p-values that losses by "
    "document, and truth ratios, are the retrained ones; 1 where they are equal. Membership: 0.5 is a guess."
)
_MODELS = {BEFORE: "before", AFTER: "after", NEVER_HAD: "retrained"}
_ATTACK_NAMES = {
    "loss": "loss",
    "zlib": "zlib",
    "min_k": "Min-K%",
    "min_k_plus_plus": "Min-K%++",
    "reference": "reference (the anchor)",
    "gradient": "gradient norm",
}
_ROWS = {
    "forget_loss": ("loss on its training documents", ".4f"),
    "holdout_loss": ("loss on its held-out documents", ".4f"),
    LEAKAGE: ("privacy leakage, %", ".1f"),
    KS: ("KS over losses by document, p", ".3g"),
    QUALITY: ("forget quality, p", ".3g"),
    **{f"auc_{attack}": (f"membership by {_ATTACK_NAMES[attack]}, AUC", ".3f") for attack in ATTACKS},
}


def unlearning_grid(figures: Mapping[str, float]) -> Grid:
    """A row for each figure, a column for each model; a dash where something was not measured.

    Args:
        figures: As :meth:`atoll.privacy.scorecard.Scorecard.figures` names them; none where the owner was not there.
    """
    rows = []
    for name, (title, form) in _ROWS.items():
        cells = [_cell(figures.get(f"{PREFIX}_{model}_{name}"), form) for model in _MODELS]
        if name in (LEAKAGE, KS, QUALITY) or any(cell != NOTHING for cell in cells):
            rows.append([title, *cells])
    return Grid(columns=["unlearning", *_MODELS.values()], rows=rows, summary=[])


def asked_about(figures: Mapping[str, float]) -> str:
    """How many documents a scorecard rests on; why there is none, where there is none."""
    forget, holdout = (figures.get(f"{PREFIX}_{side}") for side in ("forget", "holdout"))
    if forget is None or holdout is None:
        return "not measured: the owner was not there to be asked, or its data is too small"
    return f"on {forget:.0f} of its training documents and {holdout:.0f} held-out ones"


def _cell(value: float | None, form: str) -> str:
    # -0.0 is a difference of nothing, and looks like a loss.
    return NOTHING if value is None else format(value + 0.0, form)
