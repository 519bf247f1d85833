"""The mixture: ``y = Σ_e g_e(x, context) · f_e(x)`` over chosen modules of a frozen anchor, exact under any
entitlement.
"""

from atoll.mixture.call import Call
from atoll.mixture.descriptor import ANCHOR_STATES, Descriptor
from atoll.mixture.kind import ExpertKind, Settings, Site
from atoll.mixture.model import Composition, Member, Mixture
from atoll.mixture.routing import ANCHOR, Router, Routing, RoutingContext

__all__ = [
    "ANCHOR",
    "ANCHOR_STATES",
    "Call",
    "Composition",
    "Descriptor",
    "ExpertKind",
    "Member",
    "Mixture",
    "Router",
    "Routing",
    "RoutingContext",
    "Settings",
    "Site",
]
