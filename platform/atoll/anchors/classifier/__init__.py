"""The classifier anchor's model: a stem that depends on the kind of data, blocks that experts target, a fixed head.

================  =====================================================================
``stem``          the contract of stems, and which there are
``images``        pictures to one vector each, by a small convolutional network
``tabular``       rows of a table to one vector each, by a fixed random map
``make_tabular``  an anchor for tables, of their public schema alone
``schema``        what the columns of a table mean; part of the anchor that reads it
``blocks``        residual gated feed-forward blocks
``head``          scores of classes by directions that nobody trains
``model``         :class:`ClassifierModel`, which ties these together
``architecture``  the fields of config.json
``checkpoint``    the anchor on disk
================  =====================================================================
"""

from atoll.anchors.classifier.architecture import ClassifierArchitecture
from atoll.anchors.classifier.checkpoint import save_classifier_anchor
from atoll.anchors.classifier.images import ImagesForm
from atoll.anchors.classifier.make_tabular import make_tabular_anchor
from atoll.anchors.classifier.model import ClassifierModel, ClassifierOutput
from atoll.anchors.classifier.schema import Schema, read_schema
from atoll.anchors.classifier.tabular import TabularForm

__all__ = [
    "ClassifierArchitecture",
    "ClassifierModel",
    "ClassifierOutput",
    "ImagesForm",
    "Schema",
    "TabularForm",
    "make_tabular_anchor",
    "read_schema",
    "save_classifier_anchor",
]
