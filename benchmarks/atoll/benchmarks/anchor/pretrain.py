"""Train the default anchor from nothing on public text: ``python -m atoll.benchmarks.anchor.pretrain --help``.

An Olmo2-type causal language model over a byte-level BPE of 4,096 tokens. Hidden matrices are trained with Muon
(K. Jordan, 2024), the rest with AdamW; one cosine schedule for both. The folder that it writes is a plain
transformers checkpoint with a ``recipe.json`` beside it: sources, tokens seen, held-out loss of the weights as stored.
"""

import argparse
import hashlib
import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import Olmo2Config, Olmo2ForCausalLM, PreTrainedTokenizerFast

from atoll.benchmarks.anchor.corpus import documents, fetch

_END = "<|end|>"
_SEQUENCE = 256


def main() -> None:
    """Fetch the text, train the tokenizer and the model, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the checkpoint")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache/atoll/anchor-corpus")
    parser.add_argument("--minutes", type=float, default=60.0, help="the schedule ends when this is used up")
    parser.add_argument("--batch", type=int, default=16, help=f"sequences of {_SEQUENCE} tokens a step")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    fetch(args.cache)
    by_domain = documents(args.cache)
    train, held_out = _split(by_domain)
    tokenizer = _tokenizer(train, args.cache)
    tokens = _pack(tokenizer, train, args.cache / "train.npy")
    torch.manual_seed(args.seed)
    model = Olmo2ForCausalLM(_config(tokenizer))
    tokenizer.save_pretrained(args.out)
    seen, steps = _train(model, tokens, args.minutes * 60, args.batch, args.seed, args.out)

    model.to(torch.bfloat16).save_pretrained(args.out)  # type: ignore[arg-type]  # transformers wraps `to`
    stored = Olmo2ForCausalLM.from_pretrained(args.out, dtype=torch.float32)
    losses = {domain: _held_out_loss(stored, tokenizer, texts) for domain, texts in held_out.items()}
    recipe = {
        "corpus_characters": {domain: sum(map(len, texts)) for domain, texts in by_domain.items()},
        "training_tokens": int(tokens.size),
        "tokens_seen": seen,
        "steps": steps,
        "batch_tokens": args.batch * _SEQUENCE,
        "seed": args.seed,
        "parameters": sum(p.numel() for p in stored.parameters()),
        "held_out_loss": losses,
        "held_out_loss_mean": sum(losses.values()) / len(losses),
        "torch": torch.__version__,
    }
    (args.out / "recipe.json").write_text(json.dumps(recipe, indent=2) + "\n")
    print(json.dumps(recipe, indent=2))


def _config(tokenizer: PreTrainedTokenizerFast) -> Olmo2Config:
    end = tokenizer.convert_tokens_to_ids(_END)
    assert isinstance(end, int)
    return Olmo2Config(
        vocab_size=len(tokenizer),
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=6,
        num_attention_heads=6,
        num_key_value_heads=6,
        max_position_embeddings=1024,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=end,
    )


def _split(by_domain: dict[str, list[str]]) -> tuple[list[str], dict[str, list[str]]]:
    """Two in a hundred documents are held out, and at least one a domain, chosen by the hash of their text."""
    train: list[str] = []
    held_out: dict[str, list[str]] = {domain: [] for domain in by_domain}
    for domain, texts in by_domain.items():
        ranked = sorted(texts, key=lambda text: hashlib.sha256(text.encode()).digest())
        kept = max(1, len(ranked) // 50)
        held_out[domain] = ranked[:kept]
        train += ranked[kept:]
    return train, held_out


def _tokenizer(texts: list[str], cache: Path) -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    path = cache / "tokenizer.json"
    if not path.exists():
        core = Tokenizer(models.BPE())
        core.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
        core.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=4096, special_tokens=[_END], initial_alphabet=alphabet)
        core.train_from_iterator(texts, trainer)
        core.save(str(path))
    return PreTrainedTokenizerFast(tokenizer_file=str(path), eos_token=_END, pad_token=_END)


def _pack(tokenizer: PreTrainedTokenizerFast, texts: list[str], path: Path) -> np.ndarray:
    if not path.exists():
        end = tokenizer.convert_tokens_to_ids(_END)
        encoded = tokenizer.backend_tokenizer.encode_batch(texts)
        np.save(path, np.concatenate([np.array([*e.ids, end], np.uint16) for e in encoded]))
    packed: np.ndarray = np.load(path)
    return packed


def _batches(tokens: np.ndarray, batch: int, seed: int) -> Iterator[Tensor]:
    """Epochs over the stream in shuffled windows; the cut moves each epoch so that no boundary is seen twice."""
    generator = np.random.default_rng(seed)
    while True:
        start = int(generator.integers(_SEQUENCE))
        windows = tokens[start : start + (tokens.size - start - 1) // _SEQUENCE * _SEQUENCE].reshape(-1, _SEQUENCE)
        order = generator.permutation(len(windows))
        for i in range(0, len(order) - batch + 1, batch):
            yield torch.from_numpy(windows[order[i : i + batch]].astype(np.int64))


def _train(
    model: Olmo2ForCausalLM, tokens: np.ndarray, seconds: float, batch: int, seed: int, out: Path
) -> tuple[int, int]:
    hidden = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n and "lm_head" not in n]
    rest = [p for p in model.parameters() if not any(p is h for h in hidden)]
    muon = torch.optim.Muon(hidden, lr=0.02, momentum=0.95, weight_decay=0.01, adjust_lr_fn="original")
    adam = torch.optim.AdamW(rest, lr=4e-3, betas=(0.9, 0.95), weight_decay=0.0)
    peaks = [(group, group["lr"]) for optimizer in (muon, adam) for group in optimizer.param_groups]
    forward = torch.compile(model) if os.environ.get("ATOLL_COMPILE", "1") == "1" else model
    began, step, average = time.monotonic(), 0, math.nan
    for ids in _batches(tokens, batch, seed):
        used = (time.monotonic() - began) / seconds
        if used >= 1.0:
            break
        # Warm-up by steps, decay by the clock: the schedule ends at zero whatever the machine's speed.
        scale = min(1.0, (step + 1) / 60) * max(0.02, 0.5 * (1 + math.cos(math.pi * used)))
        for group, peak in peaks:
            group["lr"] = peak * scale
        with torch.autocast("cpu", torch.bfloat16):
            logits = forward(input_ids=ids, use_cache=False).logits
        loss = functional.cross_entropy(logits[:, :-1].reshape(-1, logits.shape[-1]).float(), ids[:, 1:].reshape(-1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in (muon, adam):
            optimizer.step()  # type: ignore[no-untyped-call]
            optimizer.zero_grad(set_to_none=True)
        step += 1
        average = loss.item() if math.isnan(average) else 0.98 * average + 0.02 * loss.item()
        if step % 20 == 0:
            rate = step * batch * _SEQUENCE / (time.monotonic() - began)
            print(f"step {step} loss {average:.3f} {rate:.0f} tokens/s {used:.0%}", flush=True)
        if step % 500 == 0:
            model.save_pretrained(out)  # something to look at while it runs
    return step * batch * _SEQUENCE, step


@torch.no_grad()
def _held_out_loss(model: Olmo2ForCausalLM, tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> float:
    """Mean cross-entropy in nats a token over at most 64 windows of the held-out documents."""
    end = tokenizer.convert_tokens_to_ids(_END)
    stream = [i for e in tokenizer.backend_tokenizer.encode_batch(texts) for i in (*e.ids, end)]
    windows = torch.tensor(stream[: len(stream) // _SEQUENCE * _SEQUENCE]).view(-1, _SEQUENCE)[:64]
    logits = model.eval()(input_ids=windows).logits
    return float(functional.cross_entropy(logits[:, :-1].reshape(-1, logits.shape[-1]), windows[:, 1:].reshape(-1)))


if __name__ == "__main__":
    main()
