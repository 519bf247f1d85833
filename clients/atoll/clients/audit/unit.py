"""The part of an evaluation that is an audit."""

from collections.abc import Mapping

from atoll.clients.audit.audit import Figures, Report, audit_release
from atoll.clients.audit.published import Source
from atoll.clients.evaluate import Evaluator
from atoll.clients.node import Node
from atoll.errors import FederationError
from atoll.experts.package import ExpertPackage
from atoll.federation.units import EvaluateUnit
from atoll.replay import Teacher


def audit_unit(
    node: Node, unit: EvaluateUnit, evaluator: Evaluator, experts: Mapping[str, ExpertPackage], report: Report
) -> Figures:
    """Audit the release that a unit names; nothing where none is named, or the owner's expert does not answer in it.

    Raises:
        ConfigError: an impossible configuration, or a generator for other data.
        FederationError: the unit has no such variant.
    """
    config, owner = unit.audit, node.config.owner
    if config is None or not config.on:
        return {}
    variant = next((variant for variant in unit.variants if variant.name == config.release), None)
    if variant is None:
        raise FederationError(f"the audit is of variant '{config.release}', which the unit does not have")
    answering = variant.members if variant.entitlement is None else variant.entitlement
    if owner not in answering or owner not in experts:
        return {}
    model, entitlement = evaluator.build(variant, owner)
    source = Source(Teacher(model.eval(), entitlement), tuple(answering), owner, experts[owner].prior)
    anchor = Teacher(evaluator.anchor.eval())
    return audit_release(node, source, anchor, config, unit.replay, batch=unit.batch, report=report)
