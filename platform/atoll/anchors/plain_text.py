"""Text as data: whatever it mentions, no control token comes of it. Those come from templates alone."""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any


def text_ids(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text, none of which is that of a token that was added to the vocabulary to steer a model.

    A document that mentions ``<|endoftext|>`` is encoded as those thirteen characters. Of a text that mentions none,
    the ids are the tokenizer's own.

    Args:
        tokenizer: Of transformers.
        texts: What somebody wrote.
    """
    if not texts:
        return []
    options = {"return_attention_mask": False, "return_token_type_ids": False, "verbose": False}
    made = [list(ids) for ids in tokenizer(list(texts), add_special_tokens=False, **options)["input_ids"]]
    controls = control_tokens(tokenizer)
    steering = set(controls.values())
    mentioning = [place for place, ids in enumerate(made) if not steering.isdisjoint(ids)]
    backend = getattr(tokenizer, "backend_tokenizer", None) if mentioning else None
    bare = None if backend is None else _bare(backend.to_str())
    for place in mentioning:
        ids = list(bare.encode(texts[place], add_special_tokens=False).ids) if bare is not None else made[place]
        # A vocabulary may hold control tokens by itself, and a tokenizer in Python cannot go without those added to it.
        made[place] = ids if steering.isdisjoint(ids) else _around(tokenizer, texts[place], controls)
    return made


def control_tokens(tokenizer: Any) -> dict[str, int]:
    """Ids of the tokens that were added to a tokenizer's vocabulary, by what they look like.

    What stands for unknown characters is among them: SmolLM2's is ``<|endoftext|>``. A text with such characters makes
    it all the same, where the vocabulary has nothing else for them.
    """
    return {str(token): int(number) for number, token in tokenizer.added_tokens_decoder.items()}


@lru_cache(maxsize=4)
def _bare(content: str) -> Any:
    """The tokenizer without what was added to it; truncation and padding are no part of a text."""
    from tokenizers import Tokenizer

    told = json.loads(content)
    return Tokenizer.from_str(json.dumps({**told, "added_tokens": [], "truncation": None, "padding": None}))


def _around(tokenizer: Any, text: str, controls: dict[str, int]) -> list[int]:
    """Ids of a text whose mentions of control tokens are cut in two, so that no piece holds a whole one."""
    pieces, start = [], 0
    while mentions := [(at, token) for token in controls if (at := text.find(token, start)) >= 0 and len(token) > 1]:
        end = min(mentions)[0] + 1
        pieces.append(text[start:end])
        start = end
    pieces.append(text[start:])
    return [number for piece in pieces if piece for number in tokenizer(piece, add_special_tokens=False)["input_ids"]]
