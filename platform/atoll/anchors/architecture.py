"""The fields of config.json that change what an anchor computes, with the family's defaults filled in."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from atoll.errors import AnchorError

_NORM_EPSILON = {"llama": 1e-6, "olmo2": 1e-5}


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """An anchor's form. Two checkpoints that compute the same have equal forms, however their config.json is written.

    Attributes:
        family: ``llama`` or ``olmo2``.
        layers: How many decoder layers.
        hidden_size: Width of the residual stream.
        intermediate_size: Width of the feed-forward blocks.
        heads: Attention heads.
        kv_heads: Heads of keys and values.
        head_size: Width of a head.
        vocabulary: How many token ids have an embedding.
        context: The longest sequence the anchor was made for, in tokens.
        activation: Of the feed-forward blocks.
        norm_epsilon: Of the RMS norms.
        attention_bias: Whether the attention's projections have a bias.
        mlp_bias: Whether the feed-forward projections have one.
        tied: Whether the output matrix is the embedding, so that ``lm_head.weight`` is no parameter of its own.
        rope: Parameters of the rotary embedding, by name, sorted.
    """

    family: str
    layers: int
    hidden_size: int
    intermediate_size: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int
    context: int
    activation: str
    norm_epsilon: float
    attention_bias: bool
    mlp_bias: bool
    tied: bool
    rope: tuple[tuple[str, Any], ...]

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Architecture":
        """Read a config.json of a supported family.

        Raises:
            AnchorError: a needed field is missing or is no number.
        """
        family = str(config["model_type"])
        try:
            hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
            return cls(
                family=family,
                layers=int(config["num_hidden_layers"]),
                hidden_size=hidden,
                intermediate_size=int(config["intermediate_size"]),
                heads=heads,
                kv_heads=int(_get(config, "num_key_value_heads", heads)),
                head_size=int(_get(config, "head_dim", hidden // heads)),
                vocabulary=int(config["vocab_size"]),
                context=int(_get(config, "max_position_embeddings", 2048)),
                activation=str(_get(config, "hidden_act", "silu")),
                norm_epsilon=float(_get(config, "rms_norm_eps", _NORM_EPSILON[family])),
                attention_bias=bool(_get(config, "attention_bias", False)),
                mlp_bias=bool(_get(config, "mlp_bias", False)),
                tied=bool(_get(config, "tie_word_embeddings", False)),
                rope=tuple(sorted(_rope(config).items())),
            )
        except (KeyError, TypeError, ValueError, ZeroDivisionError, AttributeError) as error:
            raise AnchorError(f"config.json of a {family} model: {error!r}") from error

    def canonical(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {**asdict(self), "rope": dict(self.rope)}


def _get(config: Mapping[str, Any], key: str, default: Any) -> Any:
    value = config.get(key)
    return default if value is None else value


def _rope(config: Mapping[str, Any]) -> dict[str, Any]:
    """Both spellings: ``rope_parameters`` since transformers 5, ``rope_theta`` and ``rope_scaling`` before."""
    given = dict(config.get("rope_parameters") or config.get("rope_scaling") or {})
    kind = given.pop("rope_type", None) or given.pop("type", None) or "default"
    given.pop("type", None)
    theta = float(given.pop("rope_theta", None) or _get(config, "rope_theta", 10_000.0))
    return {
        **{key: [float(v) for v in value] if isinstance(value, list) else value for key, value in given.items()},
        "rope_type": kind,
        "rope_theta": theta,
    }
