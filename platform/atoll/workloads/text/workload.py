"""The workload ``text``: an owner's documents as batches of tokens.

Shapes: B sequences, S positions.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from atoll.anchors.anchor import Anchor
from atoll.anchors.architecture import Architecture
from atoll.anchors.cache import cache_root
from atoll.anchors.public import public_descriptor
from atoll.errors import ConfigError, DataError, PackageError
from atoll.mixture import Descriptor
from atoll.replay import Vocabulary, followed
from atoll.workloads.data import DataConfig
from atoll.workloads.excluded import Excluded
from atoll.workloads.paths import absolute_path
from atoll.workloads.reading import ReadReport, quantiles
from atoll.workloads.text.check import check, empty, splitting_of, wanted
from atoll.workloads.text.config import TextConfig, validate
from atoll.workloads.text.files import find, fixed_part
from atoll.workloads.text.loss import next_token_loss
from atoll.workloads.text.order import shuffled
from atoll.workloads.text.questions import read_questions
from atoll.workloads.text.sources import documents
from atoll.workloads.text.store import TokenSplit, open_store, stored_report
from atoll.workloads.text.tokens import Tokenizer, build, cache_key, end_of_text
from atoll.workloads.workload import SPLITS, Batch, Progress, Question, Sources, Split, SplitCounts, Workload

_ATTEMPTS = 3
_LOOKED_AT = 400
"""Characters of a document by which its script is known."""


@final
class Text(Workload):
    """A silo's text, split by document and cut into windows of ``config.sequence_length`` tokens.

    Within a split all documents stand one after the other, each closed by the end-of-text token, and windows follow
    each other without overlap; what is left over after the last whole window is not used.
    """

    name: ClassVar[str] = "text"
    reads_tokens: ClassVar[bool] = True
    Config: ClassVar[type[DataConfig]] = TextConfig
    unit: ClassVar[str] = "token"
    cached_below: ClassVar[bool] = True

    def __init__(self, config: TextConfig, tokenizer: Tokenizer, cache: Path) -> None:
        """Check the values of the configuration; files are first looked at by :meth:`prepare`.

        Args:
            config: What to read.
            tokenizer: A fast tokenizer of transformers, with an end-of-text token.
            cache: Folder for token files, on the owner's machine; several processes may share it.

        Raises:
            ConfigError: a value that makes no sense, or a tokenizer without an end-of-text token.
        """
        validate(config)
        self.config = config
        self.tokenizer = tokenizer
        self.cache = cache
        self._eos = end_of_text(tokenizer)
        self._splits: dict[Split, TokenSplit] | None = None
        self._excluded: Excluded | None = None
        self._report: ReadReport | None = None

    @classmethod
    def open(cls, config: TextConfig, anchor: Anchor, cache: Path) -> "Text":
        """The text for this anchor's tokenizer.

        Raises:
            ConfigError: windows that are longer than what the anchor reads.
        """
        if isinstance(anchor.architecture, Architecture) and config.sequence_length > anchor.architecture.context:
            raise ConfigError(
                f"text: sequence_length is {config.sequence_length}, and anchor {anchor.name} reads at most "
                f"{anchor.architecture.context} tokens"
            )
        return cls(config, anchor.tokenizer(), cache)

    @classmethod
    def public(cls, anchor: Anchor) -> "Text":
        """Without any text: replay needs the anchor's tokens only."""
        return cls(TextConfig(paths=["nobody's text"]), anchor.tokenizer(), cache_root())

    @classmethod
    def absolute(cls, config: TextConfig) -> TextConfig:
        """Paths from the root, with ``~`` written out."""
        return replace(config, paths=[absolute_path(path) for path in config.paths])

    @classmethod
    def private_paths(cls, config: TextConfig) -> tuple[Path, ...]:
        """The files and folders that hold the text."""
        return tuple(Path(path) for path in map(fixed_part, config.paths))

    @classmethod
    def data_files(cls, config: TextConfig) -> list[Path]:
        """What the paths, folders and globs name."""
        return [source.path for source in find(config)]

    @classmethod
    def check_data(cls, config: TextConfig) -> None:
        """Read every document once."""
        check(config)

    def details(self) -> Mapping[str, Any]:
        """Lengths of documents in characters, the longest ones by name, and scripts by their share of letters."""
        lengths: dict[str, int] = {}
        scripts: Counter[str] = Counter()
        for document in documents(self.config, self._excluded):
            lengths[document.id] = len(document.text)
            letters = [sign for sign in document.text[:_LOOKED_AT] if sign.isalpha()]
            scripts.update(unicodedata.name(sign, "?").split()[0] for sign in letters)
        longest = sorted(lengths, key=lambda name: (-lengths[name], name))[:3]
        total = max(1, scripts.total())
        shares = {name.lower(): f"{count / total:.0%}" for name, count in scripts.most_common(4)}
        return {
            "characters a document": quantiles(list(lengths.values())),
            "longest": {name: lengths[name] for name in longest},
            "scripts": shares,
        }

    @classmethod
    def frame(cls, anchor: Anchor, model: nn.Module, sites: Sequence[str], cache: Path) -> Descriptor:
        """From the public text that ships with Atoll."""
        return public_descriptor(anchor, model, sites, cache)

    def prepare(self, progress: Progress | None = None) -> None:
        """Check all of the data, and tokenize it unless the cache has it. What reads data calls this when it must.

        Raises:
            ConfigError: a path that cannot be used, or a cache that cannot be written.
            DataError: a file that cannot be read, or a split with less than one window.
        """
        splits = self._open_or_build(progress)
        found = {split: splits[split].counts.documents for split in SPLITS}
        for split in wanted(self.config):
            tokens = splits[split].counts.tokens
            if tokens < self.config.sequence_length:
                holds = f"{tokens} tokens in {found[split]} documents, less than one window of "
                raise DataError(empty(split, f"{holds}{self.config.sequence_length}", found, self.config))
        self._splits = splits

    def exclude(self, excluded: Excluded) -> None:
        """Documents, by their texts."""
        self._excluded, self._splits, self._report = excluded, None, None

    def named_records(self, paths: Sequence[str], names: Sequence[str]) -> Iterator[bytes]:
        """Texts of documents; a single one is named by its file and place, such as ``silo/notes.jsonl#12``."""
        if paths:
            yield from (document.content for document in documents(replace(self.config, paths=list(paths))))
        left = set(names)
        for document in documents(self.config) if left else ():
            if document.id in left:
                left.discard(document.id)
                yield document.content
        if left:
            raise ConfigError(
                f"text: there is no document '{min(left)}': one is named by its file and its number in it, from 0, as "
                "notes.jsonl#12"
            )

    def holding(self, excluded: Excluded) -> dict[Split, list[int]]:
        """Windows that hold a token of one of these documents."""
        documents_of: dict[Split, int] = dict.fromkeys(SPLITS, 0)
        found: dict[Split, list[int]] = {split: [] for split in SPLITS}
        length, splitting = self.config.sequence_length, splitting_of(self.config, self._excluded)
        for document in documents(self.config, self._excluded):
            split = splitting.split_of(document.text)
            number, documents_of[split] = documents_of[split], documents_of[split] + 1
            if excluded.holds(document.content):
                ends = self._split(split).ends
                start, end = int(ends[number - 1]) if number else 0, int(ends[number])
                found[split] += range(start // length, min((end - 1) // length + 1, self.windows(split)))
        if any(documents_of[split] != self._split(split).counts.documents for split in SPLITS):
            raise DataError("text: the files have changed since they were tokenized; try again")
        return {split: sorted(set(windows)) for split, windows in found.items()}

    @property
    def key(self) -> str:
        """Hex digest of the files' contents, the tokenizer and how they are read; the same text gives the same key."""
        return cache_key(self.config, find(self.config), self.tokenizer, self._excluded)

    @property
    def reading(self) -> ReadReport:
        """What reading found; a document with more tokens than a window is longer than a sample."""
        lengths = [np.diff(self._split(split).ends.astype(np.int64), prepend=0) - 1 for split in SPLITS]
        assert self._report is not None
        over_long = sum(int((each > self.config.sequence_length).sum()) for each in lengths)
        return replace(self._report, over_long=over_long)

    @property
    def counts(self) -> dict[Split, SplitCounts]:
        """Documents, tokens and characters by split."""
        return {split: self._split(split).counts for split in SPLITS}

    def windows(self, split: Split) -> int:
        """How many whole windows a split has; 0 only where it was given no share."""
        return self._split(split).counts.tokens // self.config.sequence_length

    def window(self, split: Split, index: int) -> Tensor:
        """One window [S], int64.

        Raises:
            IndexError: there is no such window.
        """
        count = self.windows(split)
        if not 0 <= index < count:
            raise IndexError(f"{split} has windows 0 to {count - 1}, not {index}")
        length = self.config.sequence_length
        values = self._split(split).tokens[index * length : (index + 1) * length]
        return torch.from_numpy(values.astype(np.int64))

    def batch(self, step: int, size: int, seed: int) -> Tensor:
        """The training batch [B, S] of one step, int64."""
        return torch.stack([self.window("train", index) for index in self.batch_indices(step, size, seed)])

    def batch_indices(self, step: int, size: int, seed: int) -> list[int]:
        """Which training windows make up the batch of one step.

        It depends on nothing but the data and the arguments, so a run goes on after a kill with what would have come.
        Every epoch takes each window once, in an order of its own; a batch may reach over the end of an epoch.
        """
        _at_least(1, size=size)
        _at_least(0, step=step)
        count = self.windows("train")
        places = (divmod(number, count) for number in range(step * size, (step + 1) * size))
        return [shuffled(place, count, seed, epoch) for epoch, place in places]

    def samples(self, split: Split, indices: Sequence[int]) -> Batch:
        """These windows: ``input_ids`` [B, S] for the model, which are ``ids`` to be predicted too."""
        ids = torch.stack([self.window(split, index) for index in indices])
        return Batch({"input_ids": ids}, {"ids": ids}, ids.numel(), ids.shape[0] * (ids.shape[1] - 1))

    def documents(self, split: Split, indices: Sequence[int]) -> Batch:
        """Their beginnings, of a window's length at most, filled up on the right."""
        ids, mask = self._padded(indices, self.config.sequence_length, split)
        return self.as_batch({"input_ids": ids}, mask)

    def document_bytes(self, split: Split, indices: Sequence[int]) -> list[bytes]:
        """The same beginnings as text in UTF-8."""
        there, length = self._split(split), self.config.sequence_length
        ids = (there.document(number, length).tolist() for number in indices)
        return [str(self.tokenizer.decode(tokens, clean_up_tokenization_spaces=False)).encode() for tokens in ids]

    def questions(self, split: Split, limit: int) -> list[Question]:
        """Of JSON lines that have them, see :mod:`.questions`."""
        return read_questions(self.config, self.tokenizer, split, limit, self._excluded)

    def persons(self, split: Split) -> None:
        """Nobody known: a document does not say whom it is about, and a window may hold parts of several."""
        return None

    def sample_groups(self, split: Split) -> list[list[int]]:
        """Documents in which there is something to predict; a window may hold parts of several, a record may not."""
        there = self._split(split)
        lengths = np.diff(there.ends.astype(np.int64), prepend=0) - 1
        return [[int(number)] for number in np.flatnonzero(lengths >= 2)]

    def record_samples(self, split: Split, samples: Sequence[int]) -> Batch:
        """The beginning of one document, as many tokens as a window has: ``input_ids`` [1, S].

        Raises:
            ConfigError: more than one; documents of unlike lengths stand alone.
        """
        if len(samples) != 1:
            raise ConfigError(f"text: a record is one document, not {len(samples)}")
        tokens = self._split(split).document(samples[0], self.config.sequence_length).astype(np.int64)
        ids = torch.from_numpy(tokens)[None]
        return Batch({"input_ids": ids}, {"ids": ids}, ids.numel(), ids.shape[1] - 1)

    def sources(self, split: Split, indices: Sequence[int]) -> Sources:
        """The documents that reach into these windows, and with how many tokens, their closing one included."""
        ends, length = self._split(split).ends.astype(np.int64), self.config.sequence_length
        begin = np.asarray(indices, dtype=np.int64) * length
        first = np.searchsorted(ends, begin, side="right")
        last = np.searchsorted(ends, begin + length, side="left")
        count = last - first + 1
        sample = np.repeat(np.arange(len(begin)), count)
        document = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count) + first[sample]
        starts = np.concatenate(([0], ends))[document]
        inside = np.minimum(ends[document], begin[sample] + length) - np.maximum(starts, begin[sample])
        return Sources(sample, document, inside.astype(np.float64))

    def described_sources(self, documents: int) -> Sources:
        """The documents whose beginnings :meth:`descriptor_batches` takes."""
        train, chosen = self._split("train"), np.asarray(self._beginnings(documents), dtype=np.int64)
        lengths = np.diff(train.ends.astype(np.int64), prepend=0)[chosen] - 1
        weight = np.minimum(lengths, self.config.sequence_length).astype(np.float64)
        return Sources(np.arange(len(chosen)), chosen, weight)

    def loss(self, logits: Tensor, targets: Mapping[str, Tensor]) -> tuple[Tensor, int]:
        """Of every token after a window's first."""
        return next_token_loss(logits, targets["ids"], targets.get("mask"))

    def predicts(self, targets: Mapping[str, Tensor]) -> Tensor:
        """Positions that another token follows."""
        return followed(targets.get("mask", torch.ones_like(targets["ids"], dtype=torch.bool)))

    def as_batch(self, inputs: Mapping[str, Tensor], mask: Tensor) -> Batch:
        """Documents of unlike lengths, filled up on the right."""
        targets = {"ids": inputs["input_ids"], "mask": mask}
        return Batch(inputs, targets, int(mask.sum()), int(followed(mask).sum()))

    def public_context(self) -> None:
        """Nothing: the tokenizer is the anchor's."""
        return None

    def replay_context(self, context: bytes | None) -> Vocabulary:
        """The anchor's tokens, and samples as long as a window."""
        if context is not None:
            raise PackageError("a package of text says nothing of its domain that replay would need")
        return Vocabulary(len(self.tokenizer.get_vocab()), self._eos, self.config.sequence_length)

    def replay_templates(self, split: Split = "train") -> None:
        """None: text is aligned to nothing."""
        return None

    def replay_private(self, split: Split = "train") -> list[NDArray[np.int64]]:
        """The documents' beginnings, as many tokens as a window has."""
        there = self._split(split)
        length = self.config.sequence_length
        return [there.document(number, length).astype(np.int64) for number in range(there.counts.documents)]

    def described(
        self, documents: int, size: int, length: int | None = None
    ) -> Iterator[tuple[Mapping[str, Tensor], Tensor]]:
        """The beginnings of :meth:`descriptor_batches`."""
        return (({"input_ids": ids}, mask) for ids, mask in self.descriptor_batches(documents, size, length))

    def evaluation_batches(self, split: Split, size: int, limit: int | None = None) -> Iterator[Tensor]:
        """Windows in order as [B, S], the last batch maybe smaller; with a limit, that many, evenly spaced.

        Raises:
            DataError: the split is empty, because it was given no share.
        """
        _at_least(1, size=size)
        chosen = self.evaluation_indices(split, limit)
        return (
            torch.stack([self.window(split, index) for index in chosen[start : start + size]])
            for start in range(0, len(chosen), size)
        )

    def evaluation_indices(self, split: Split, limit: int | None = None) -> list[int]:
        """Which windows :meth:`evaluation_batches` takes.

        Raises:
            DataError: the split is empty, because it was given no share.
        """
        _at_least(1, limit=1 if limit is None else limit)
        count = self.windows(split)
        if not count:
            found = {name: value.documents for name, value in self.counts.items()}
            raise DataError(empty(split, "no window", found, self.config))
        return list(_spread(count, limit))

    def descriptor_batches(
        self, documents: int, size: int, length: int | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """The beginnings of training documents, evenly spaced: what a domain descriptor rests on.

        Args:
            documents: How many at most.
            size: Sequences in a batch.
            length: Tokens of each, S; the sequence length of training if not given.

        Returns:
            Pairs of ids [B, S], int64, filled up with the end-of-text token, and of a bool mask [B, S], False there.
        """
        _at_least(1, size=size)
        starts, length = self._beginnings(documents), length or self.config.sequence_length
        return (self._padded(starts[start : start + size], length) for start in range(0, len(starts), size))

    def descriptor_texts(self, documents: int) -> list[str]:
        """The same beginnings as text, for a sentence encoder."""
        train = self._split("train")
        length = self.config.sequence_length
        ids = (train.document(number, length).tolist() for number in self._beginnings(documents))
        return [str(self.tokenizer.decode(tokens, clean_up_tokenization_spaces=False)) for tokens in ids]

    def _beginnings(self, documents: int) -> range | list[int]:
        _at_least(1, documents=documents)
        return _spread(self._split("train").counts.documents, documents)

    def _padded(self, numbers: Sequence[int], length: int, split: Split = "train") -> tuple[Tensor, Tensor]:
        there = self._split(split)
        ids = torch.full((len(numbers), length), self._eos, dtype=torch.int64)
        mask = torch.zeros(len(numbers), length, dtype=torch.bool)
        for row, number in enumerate(numbers):
            tokens = there.document(number, length).astype(np.int64)
            ids[row, : len(tokens)] = torch.from_numpy(tokens)
            mask[row, : len(tokens)] = True
        return ids, mask

    def _split(self, split: Split) -> TokenSplit:
        if split not in SPLITS:
            raise ConfigError(f"text: there is no split '{split}': there are {', '.join(SPLITS)}")
        if self._splits is None:
            self.prepare()
            assert self._splits is not None
        return self._splits[split]

    def _open_or_build(self, progress: Progress | None) -> dict[Split, TokenSplit]:
        sources = find(self.config)
        folder = self.cache / cache_key(self.config, sources, self.tokenizer, self._excluded)
        for _ in range(_ATTEMPTS):
            splits = open_store(folder)
            if splits is not None:
                # A folder of an earlier Atoll says nothing of what was read, nor did that one look for all of it.
                self._report = stored_report(folder) or check(self.config, self._excluded)
                if progress is not None:
                    total = sum(source.size for source in sources)
                    progress(total, total)
                return splits
            self._report = check(self.config, self._excluded)
            build(self.config, sources, self.tokenizer, folder, progress, self._report, self._excluded)
        raise ConfigError(f"text: what is written to cache '{self.cache}' is not what is read back; use another disk")


def _spread(count: int, limit: int | None) -> range | list[int]:
    if limit is None or limit >= count:
        return range(count)
    return [number * count // limit for number in range(limit)]


def _at_least(least: int, **values: int) -> None:
    for name, value in values.items():
        if value < least:
            raise ConfigError(f"text: {name}={value} must be at least {least}")
