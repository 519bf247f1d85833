"""Prompts to texts and log-likelihoods.

Shapes: S tokens.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from atoll.anchors.plain_text import text_ids
from atoll.coordinator.generate import Sampling, generate
from atoll.coordinator.mlflow_model.signature import CONTINUATION, PROMPT, SEED, TEMPERATURE, TOKENS, TOP_P
from atoll.errors import ConfigError
from atoll.releases.opening import OpenRelease

if TYPE_CHECKING:
    import pandas as pd


def continued(
    opened: OpenRelease, rows: "pd.DataFrame", allowed: Sequence[str], params: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """``text``, ``log_likelihood``, ``tokens`` and ``share/SLOT`` of each prompt.

    The log-likelihood, in nats, is that of the continuation after the prompt where one is given, and else that of the
    prompt as the beginning of a document; ``tokens`` says over how many tokens it goes. No text is generated, and no
    share is given, where the parameter ``tokens`` is 0.

    Raises:
        ConfigError: no prompt, or one that is longer than what the anchor reads.
    """
    if PROMPT not in rows:
        raise ConfigError(f"there is no column '{PROMPT}'; there are {', '.join(map(str, rows.columns)) or 'none'}")
    tokenizer, tokens = opened.anchor.tokenizer(), int(params.get("tokens", TOKENS))
    how = None
    if tokens:
        temperature, top_p = float(params.get("temperature", TEMPERATURE)), float(params.get("top_p", TOP_P))
        how = Sampling(tokens=tokens, temperature=temperature, top_p=top_p, seed=int(params.get("seed", SEED)))
    after = rows[CONTINUATION] if CONTINUATION in rows else [None] * len(rows)
    found = []
    for prompt, continuation in zip(rows[PROMPT], after, strict=True):
        if not isinstance(prompt, str):
            raise ConfigError(f"a prompt is a text, not {type(prompt).__name__}")
        likelihood, count = log_likelihood(
            opened, tokenizer, prompt, continuation if isinstance(continuation, str) else None, allowed
        )
        row: dict[str, Any] = {"text": "", "log_likelihood": likelihood, "tokens": count}
        if how is not None:
            answer = generate(opened.mixture, tokenizer, prompt, entitlement=allowed, sampling=how)
            row["text"] = answer.text
            row |= {f"share/{slot}": share for slot, share in answer.shares.items()}
        found.append(row)
    return found


@torch.no_grad()
def log_likelihood(
    opened: OpenRelease, tokenizer: Any, prompt: str, continuation: str | None, allowed: Sequence[str]
) -> tuple[float, int]:
    """In nats, and over how many tokens: of a continuation after a prompt, or of a prompt as a document's beginning."""
    before, further = text_ids(tokenizer, [prompt, continuation or ""])
    whole = [int(tokenizer.eos_token_id), *before, *further]
    if len(whole) > opened.anchor.architecture.context:
        raise ConfigError(
            f"the text has {len(whole)} tokens, and the anchor reads at most {opened.anchor.architecture.context}: "
            "shorten it"
        )
    count = len(before) if continuation is None else len(further)
    if not count:
        return 0.0, 0
    ids = torch.tensor([whole], device=next(opened.mixture.model.parameters()).device)
    with opened.mixture.use(allowed):
        logits_SV = opened.mixture(input_ids=ids, use_cache=False).logits[0, :-1]
    each_S = torch.log_softmax(logits_SV.float(), -1).gather(-1, ids[0, 1:, None])[:, 0]
    return float(each_S[-count:].sum()), count
