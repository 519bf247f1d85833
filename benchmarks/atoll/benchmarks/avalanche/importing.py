"""Avalanche beside a CPU build of torch."""

import importlib
import warnings
from functools import cache
from types import ModuleType

import torch

from atoll.errors import ConfigError

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)

INSTALL = "make avalanche, and then .venv-avalanche/bin/python"


@cache
def avalanche() -> ModuleType:
    """The module ``avalanche``, imported; the first time takes about ten seconds.

    Avalanche imports torchvision, whose wheels on PyPI are built for CUDA. Beside a CPU build of torch their operators
    do not load, and the import fails on the first that it looks up. Those are declared then, without an
    implementation: nothing that Atoll compares itself with detects objects.

    Raises:
        ConfigError: Avalanche, or something that it needs, is not installed.
    """
    with warnings.catch_warnings():
        # Third parties' own affairs: deprecations, and solvers of quadratic programs that are not there.
        warnings.simplefilter("ignore")
        try:
            try:
                importlib.import_module("torchvision")
            except RuntimeError:
                _operators()
            return importlib.import_module("avalanche")
        except ImportError as error:
            raise ConfigError(f"benchmarks: Avalanche cannot be imported ({error}); run: {INSTALL}") from error


@cache
def _operators() -> torch.library.Library:
    """Declares them; cached, because they go when the library goes."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in _SCHEMAS:
        library.define(schema)
    return library
