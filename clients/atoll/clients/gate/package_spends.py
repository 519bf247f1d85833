"""What a package holds of the data, and with what promise: read from the package that is about to leave."""

from dataclasses import replace

from atoll.clients.gate.refusal import Refusal
from atoll.clients.prior import prior_spends
from atoll.clients.spending import DP_SGD, Spend
from atoll.clients.training.basis import TrainBasis
from atoll.experts.package import PackageFacts


def package_spends(package: PackageFacts, basis: TrainBasis) -> list[Spend]:
    """Each part of a package that comes from the owner's data.

    Args:
        package: About to leave.
        basis: What its training rests on, with the noise that was planned.

    Raises:
        Refusal: its card promises something else than what was planned.
    """
    card, key = package.card, f"{package.digest}/"
    found = [_weights(package, basis)]
    if card.metrics:
        found.append(Spend(what=f"figures: {', '.join(sorted(card.metrics))}", key=f"{key}metrics"))
    if card.privacy is None:
        told = [name for name in ("unigram", "directions") if getattr(package.descriptor, name) is not None]
        what = ", ".join(["descriptor: mean", "variance", *told])
        found.append(Spend(what=what, key=f"{key}descriptor"))
    found.append(Spend(what="numbers of documents and tokens", key=f"{key}counts"))
    return [*found, *prior_spends(package.prior)]


def _weights(package: PackageFacts, basis: TrainBasis) -> Spend:
    key, card = f"{package.digest}/weights", package.card
    if card.privacy is None:
        return Spend(what=f"weights of an expert of kind {card.kind}", key=key)
    planned = [spend for spend in basis.spends if spend.mechanism == DP_SGD]
    if len(planned) != 1 or card.training.get("steps") != planned[0].steps:
        raise Refusal("the expert's card promises differential privacy that was not planned")
    if not (card.privacy.epsilon <= planned[0].epsilon and card.privacy.delta <= planned[0].delta):
        raise Refusal("the expert's card promises another ε or δ than was planned")
    return replace(planned[0], key=key)
