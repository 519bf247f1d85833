"""The unlearning scorecard of an owner that leaves, measured by its own node; figures alone come out."""

import logging
from collections.abc import Callable, Iterable

from torch import nn

from atoll.clients.node import Node
from atoll.errors import ConfigError, DataError
from atoll.experts.integrator import Integrator
from atoll.experts.package import ExpertPackage, read_package
from atoll.experts.signing import PublicKey
from atoll.federation.exit_unit import ExitReply, ExitUnit, ReleaseModel
from atoll.mixture import Mixture, Router
from atoll.mixture.shared import Shared
from atoll.plugins import build
from atoll.privacy.scorecard import MODELS, DocumentScores, scorecard
from atoll.privacy.unlearning_config import UnlearningConfig
from atoll.replay import Teacher
from atoll.workloads.scoring import document_losses, documents_of, score_documents
from atoll.workloads.workload import Workload

log = logging.getLogger(__name__)
Report = Callable[[int, int, str], None]


def measure_exit(node: Node, unit: ExitUnit, report: Report) -> ExitReply:
    """Score the unit's models on the owner's training documents and on its test documents.

    Which documents these are follows from the data and their number, never from the coordinator. Where the data is too
    small for a scorecard there are no figures, and the node's log says why.

    Raises:
        ConfigError: an impossible configuration, or a model with a name that there is not.
        FederationError: the unit is for another anchor.
        PackageError: an expert that does not verify.
    """
    node.expect_anchor(unit.anchor)
    unit.scorecard.check()
    if odd := sorted(set(unit.models) - set(MODELS)):
        raise ConfigError(f"an exit compares {', '.join(MODELS)}, and not '{odd[0]}'")
    if missing := [blob for blob in unit.needs if not node.blobs.has(blob)]:
        return ExitReply(missing=missing)
    if not unit.scorecard.on:
        return ExitReply()
    anchor = node.model().eval()
    # One after the other, so that one mixture is in memory at a time.
    models = ((name, Teacher(_mixture(node, anchor, each), each.entitlement)) for name, each in unit.models.items())
    try:
        scores = score_models(node.workload, anchor, models, unit.scorecard, unit.batch, report)
        return ExitReply(figures=scorecard(scores).figures())
    except DataError as error:
        log.warning("the unlearning scorecard is left out: %s", error)
        return ExitReply()


def score_models(
    workload: Workload,
    anchor: nn.Module,
    models: Iterable[tuple[str, Teacher]],
    config: UnlearningConfig,
    batch: int,
    report: Report,
) -> dict[str, DocumentScores]:
    """What each model says of the owner's training documents and of its test documents.

    Args:
        workload: The owner's data.
        anchor: The unchanged anchor, which has seen none of it; for the attack by reference.
        models: By one of :data:`atoll.privacy.scorecard.MODELS`.
        config: How much is measured.
        batch: Documents in one forward pass.
        report: Told what is going on.

    Raises:
        DataError: too little data, or a question without its answers.
    """
    forget, holdout = (documents_of(workload, split, config.documents, batch) for split in ("train", "test"))
    questions = workload.questions("train", config.documents)
    reference = document_losses(Teacher(anchor), forget), document_losses(Teacher(anchor), holdout)
    found: dict[str, DocumentScores] = {}
    for name, model in models:
        report(len(found), len(MODELS), f"unlearning: {name}")
        found[name] = score_documents(model, forget, holdout, reference, config, questions)
    report(len(MODELS), len(MODELS), "measured")
    return found


def _mixture(node: Node, anchor: nn.Module, model: ReleaseModel) -> nn.Module:
    """A model of the comparison on the node's device; the anchor by itself where it has no experts."""
    experts = [_expert(node, member.blob, member.public_key) for member in model.members]
    if not experts:
        return anchor
    router: Router = build("atoll.routers", model.router.name, model.router.options)
    integrator: Integrator = build("atoll.integrators", model.integrator.name, model.integrator.options)
    frame = node.frame(anchor, experts[0].card.sites)
    made: Mixture = integrator.integrate(anchor, frame, experts, router)
    if model.shared:
        made = made.with_rows(Shared.from_bytes(node.blobs.get(model.shared).read_bytes()).rows)
    return made.to(node.device)


def _expert(node: Node, blob: str, public_key: str) -> ExpertPackage:
    return read_package(node.blobs.get(blob), trusted=PublicKey.from_hex(public_key), anchor=node.anchor.digest)
