"""What workloads of single samples with one class each have in common, whatever a sample is.

=============  =====================================================================
``classes``    the public list of classes, and the context of replay
``samples``    samples by column, and which split each is in
``features``   what the anchor's frozen stem says of samples, for replay
``loss``       what training lowers
``figures``    accuracy, Brier score, calibration error and areas under ROC curves
``workload``   :class:`Classification`, the base of ``images`` and ``tabular``
=============  =====================================================================
"""

from atoll.workloads.classification.classes import ClassList, FeatureSpace
from atoll.workloads.classification.features import LabelledFeatures
from atoll.workloads.classification.samples import LabelledSamples
from atoll.workloads.classification.workload import Classification

__all__ = ["ClassList", "Classification", "FeatureSpace", "LabelledFeatures", "LabelledSamples"]
