"""Rows of tables with one class each, by a public schema that is part of the anchor.

=============  =====================================================================
``config``     what to read and how to split it
``rows``       tables to encoded rows, checked against the schema
``encode``     cells of a column to entries of encoded rows
``public``     rows drawn from the schema alone, and the anchor's own descriptor
``workload``   :class:`Tabular`, which ties these together
=============  =====================================================================

What the columns mean is ``atoll.anchors.classifier.schema``.
"""

from atoll.workloads.tabular.config import TabularConfig
from atoll.workloads.tabular.workload import Tabular

__all__ = ["Tabular", "TabularConfig"]
