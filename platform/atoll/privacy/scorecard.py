"""The unlearning scorecard of an owner's exit: what models with and without its expert tell of its documents."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from atoll.errors import DataError
from atoll.privacy.membership import auc
from atoll.privacy.unlearning import Floats, forget_quality, privacy_leakage, same_distribution

BEFORE, AFTER, NEVER_HAD = MODELS = ("before", "after", "never_had")
"""The release with the owner's expert, the one after its exit, and the mixture that never had it (retrained)."""
PREFIX = "unlearning"
LEAKAGE, KS, QUALITY = "privacy_leakage", "ks_p", "forget_quality"
ATTACKS = ("loss", "zlib", "min_k", "min_k_plus_plus", "reference", "gradient")
"""Membership scores: :mod:`.attacks`, :mod:`.token_scores`, :mod:`.gradient_norm`."""


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class DocumentScores:
    """What one model says of the same documents as the others.

    Attributes:
        forget_loss: [N], of the owner's training documents, in nats a unit.
        holdout_loss: [M], of documents of the same kind that nobody trained on.
        forget: Membership scores [N] by attack, higher for what looks like a member.
        holdout: The same [M].
        truth_ratios: [Q], where there are questions and answers.
    """

    forget_loss: Floats
    holdout_loss: Floats
    forget: Mapping[str, Floats] = field(default_factory=dict)
    holdout: Mapping[str, Floats] = field(default_factory=dict)
    truth_ratios: Floats | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelCard:
    """One model of a scorecard; what could not be measured is ``None`` or absent, and shown as a dash.

    Attributes:
        forget_loss: Mean over the forgotten documents, in nats a unit.
        holdout_loss: Mean over the held-out ones.
        auc: Of membership, by attack; 0.5 for one that knows nothing.
        privacy_leakage: MUSE's, in per cent: by Min-K% for text, elsewhere by loss.
        ks_p: p-value that losses by document are those of the model that never had the documents.
        forget_quality: TOFU's, where there are questions and answers.
    """

    forget_loss: float
    holdout_loss: float
    auc: Mapping[str, float]
    privacy_leakage: float | None = None
    ks_p: float | None = None
    forget_quality: float | None = None

    def figures(self) -> dict[str, float]:
        """What there is, by name."""
        found = {"forget_loss": self.forget_loss, "holdout_loss": self.holdout_loss}
        found |= {f"auc_{attack}": area for attack, area in self.auc.items()}
        against = {LEAKAGE: self.privacy_leakage, KS: self.ks_p, QUALITY: self.forget_quality}
        return found | {name: value for name, value in against.items() if value is not None}


@dataclass(frozen=True, kw_only=True, slots=True)
class Scorecard:
    """What an exit left.

    Attributes:
        forget: Training documents of the owner that were asked about.
        holdout: Others of its own that were not trained on.
        models: By one of :data:`MODELS`.
    """

    forget: int
    holdout: int
    models: Mapping[str, ModelCard]

    def figures(self) -> dict[str, float]:
        """Every figure by a name that starts with ``unlearning_``; nothing per document is among them."""
        found: dict[str, float] = {f"{PREFIX}_forget": self.forget, f"{PREFIX}_holdout": self.holdout}
        for model, card in self.models.items():
            found |= {f"{PREFIX}_{model}_{name}": value for name, value in card.figures().items()}
        return found


def scorecard(scores: Mapping[str, DocumentScores]) -> Scorecard:
    """Compare models on the same documents.

    Args:
        scores: By one of :data:`MODELS`; without :data:`NEVER_HAD` there is nothing to hold the others against, and
            leakage, KS and forget quality are ``None``.

    Raises:
        DataError: no model, models that were asked about different numbers of documents, or none of one side.
    """
    sizes = {(len(each.forget_loss), len(each.holdout_loss)) for each in scores.values()}
    if len(sizes) != 1:
        raise DataError(f"unlearning: the models were asked about {sorted(sizes)} documents; ask all about the same")
    forget, holdout = sizes.pop()
    never = scores.get(NEVER_HAD)
    cards = {model: _card(found, never) for model, found in scores.items()}
    return Scorecard(forget=forget, holdout=holdout, models=cards)


def _card(found: DocumentScores, never: DocumentScores | None) -> ModelCard:
    areas = _areas(found)
    against = _against(found, never, areas) if never is not None else {}
    return ModelCard(
        forget_loss=float(np.mean(found.forget_loss)),
        holdout_loss=float(np.mean(found.holdout_loss)),
        auc=areas,
        privacy_leakage=against.get(LEAKAGE),
        ks_p=against.get(KS),
        forget_quality=against.get(QUALITY),
    )


def _areas(found: DocumentScores) -> dict[str, float]:
    return {attack: auc(found.forget[attack], found.holdout[attack]) for attack in ATTACKS if attack in found.forget}


def _against(found: DocumentScores, never: DocumentScores, areas: Mapping[str, float]) -> dict[str, float]:
    attack = "min_k" if "min_k" in areas else "loss"
    against = {
        LEAKAGE: privacy_leakage(areas[attack], _areas(never)[attack]),
        KS: same_distribution(found.forget_loss, never.forget_loss),
    }
    if found.truth_ratios is not None and never.truth_ratios is not None:
        against[QUALITY] = forget_quality(found.truth_ratios, never.truth_ratios)
    return against
