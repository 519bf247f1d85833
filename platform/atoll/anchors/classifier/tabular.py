"""The stem for tables: a fixed random map of an encoded row.

Shapes: B rows, F entries of an encoded row, D width.
"""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from atoll.anchors.classifier.schema import Schema
from atoll.anchors.classifier.stem import Stem
from atoll.errors import DataError
