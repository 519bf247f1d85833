"""PEFT's ``adapter_config.json``: only what a plain LoRA needs, nothing that loads code or changes the sums."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from atoll.errors import PackageError
from atoll.experts.checks import MODULE_PATH, Scalar
from atoll.experts.strict_json import json_object, shown

NAME = "adapter_config.json"
_LIMIT = 1024**2


def _names(value: Any) -> bool:
    # PEFT also takes one string, as a regular expression: a list leaves no doubt and nothing to evaluate.
    return (
        isinstance(value, list) and bool(value) and all(isinstance(v, str) and MODULE_PATH.fullmatch(v) for v in value)
    )


def _layers(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(type(item) is int and item >= 0 for item in value))


def _text_or_nothing(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _is(*allowed: Any) -> Callable[[Any], bool]:
    return lambda value: any(type(value) is type(option) and value == option for option in allowed)


def _number(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < 1e9


# Value that each field may have. All others must be off: null, false or empty.
_FIELDS: Mapping[str, Callable[[Any], bool]] = {
    "peft_type": _is("LORA"),
    "task_type": _is("CAUSAL_LM", "FEATURE_EXTRACTION", None),
    "peft_version": _text_or_nothing,
    "base_model_name_or_path": _text_or_nothing,  # not used: the card's anchor digest decides
    "inference_mode": _is(True, False),
    "r": lambda value: type(value) is int and 1 <= value <= 4096,
    "lora_alpha": _number,
    "lora_dropout": _number,
    "target_modules": _names,
    "layers_to_transform": _layers,
    "bias": _is("none"),
    "init_lora_weights": _is(True, False),  # other initialisations change the anchor's own weights when loading
    "megatron_core": _is("megatron.core", None),  # a module to import, only used with megatron_config
    "qalora_group_size": _number,  # only used with use_qalora
}
_REQUIRED = ("peft_type", "r", "lora_alpha", "target_modules")


def plain_adapter(targets: Sequence[str], settings: Mapping[str, Scalar], *, generates: bool) -> bytes:
    """The configuration of a plain LoRA on these modules.

    Args:
        targets: Module paths.
        settings: The card's, with ``rank`` and ``alpha``.
        generates: Whether the anchor generates text by itself; what does not is an encoder to PEFT.
    """
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM" if generates else "FEATURE_EXTRACTION",
        "base_model_name_or_path": None,
        "inference_mode": True,
        "r": settings["rank"],
        "lora_alpha": settings["alpha"],
        "lora_dropout": 0.0,
        "target_modules": sorted(targets),
        "bias": "none",
    }
    return json.dumps(config, indent=2, sort_keys=True).encode()


def check_adapter(data: bytes, settings: Mapping[str, Scalar]) -> None:
    """Check an ``adapter_config.json`` against the card's settings.

    Raises:
        PackageError: not the configuration of a plain LoRA; the message names the field.
    """
    if len(data) > _LIMIT:
        raise PackageError(f"is {len(data)} bytes; the most is {_LIMIT}")
    config = json_object(data)
    for key in _REQUIRED:
        if key not in config:
            raise PackageError(f"'{key}' is missing; save the adapter with PEFT's save_pretrained")
    for key, value in config.items():
        allowed = _FIELDS.get(key, _off)
        if not allowed(value):
            raise PackageError(f"'{key[:80]}' is {shown(value)}, which no package's adapter has; train a plain LoRA")
    for key, setting in (("r", "rank"), ("lora_alpha", "alpha")):
        if settings.get(setting) != config[key]:
            raise PackageError(
                f"'{key}' is {config[key]}, but the card's {setting} is {settings.get(setting)!r}; make them agree"
            )


def _off(value: Any) -> bool:
    return value is None or value is False or value == [] or value == {}
