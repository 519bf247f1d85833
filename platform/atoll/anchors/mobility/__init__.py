"""The mobility anchor's model: next-location prediction over an open vocabulary of locations."""

from atoll.anchors.mobility.architecture import MobilityArchitecture
from atoll.anchors.mobility.checkpoint import save_mobility_anchor
from atoll.anchors.mobility.context import context_features
from atoll.anchors.mobility.model import MobilityModel
from atoll.anchors.mobility.output import MobilityOutput

__all__ = ["MobilityArchitecture", "MobilityModel", "MobilityOutput", "context_features", "save_mobility_anchor"]
