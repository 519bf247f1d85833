"""Toys and contract checks, for Atoll's own tests and for those of whoever extends it.

=======================  ==============================================================================
``toy_anchor``           a random language model of two layers, as a checkpoint
``toy_mobility_anchor``  a random mobility model of two layers, as an anchor
``toy_image_anchor``     a random classifier of two layers for small pictures, as an anchor
``toy_experts``          signed packages with random weights against it, of any registered kind
``toy_silos``            three silos of small synthetic text
``toy_pictures``         silos of small made pictures
``toy_world``            three silos as a stream, for baselines
``check_router``         what every router promises
``check_kind``           what every expert kind promises
``check_integrator``     what every integrator promises
``check_replay``         what every replay generator promises
``check_baseline``       what every baseline of a stream promises
=======================  ==============================================================================

The checks raise AssertionError with what was broken; they need no test framework.
"""

from atoll.testing.anchors import toy_anchor, toy_image_anchor, toy_mobility_anchor
from atoll.testing.baseline import check_baseline
from atoll.testing.checks import check_integrator, check_kind, check_router
from atoll.testing.experts import toy_descriptor, toy_experts, toy_frame
from atoll.testing.pictures import toy_pictures
from atoll.testing.replay import check_replay
from atoll.testing.silos import toy_silos
from atoll.testing.world import toy_world

__all__ = [
    "check_baseline",
    "check_integrator",
    "check_kind",
    "check_replay",
    "check_router",
    "toy_anchor",
    "toy_descriptor",
    "toy_experts",
    "toy_frame",
    "toy_image_anchor",
    "toy_mobility_anchor",
    "toy_pictures",
    "toy_silos",
    "toy_world",
]
