"""Questions with answers about an owner's documents, for TOFU's forget quality (Maini et al. 2024, arXiv 2401.06121).

They stand in the JSON lines that hold the documents, in TOFU's fields beside the document's own::

    {"text": "…", "question": "…", "paraphrased_answer": "…", "perturbed_answer": ["…", "…"]}

``answer`` may stand there too; the truth ratio looks at the paraphrase, as the benchmark does. A question is of the
split that its document is in.
"""

import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from atoll.anchors.plain_text import text_ids
from atoll.errors import DataError
from atoll.workloads.column_names import nested
from atoll.workloads.compressed import open_plain
from atoll.workloads.excluded import Excluded
from atoll.workloads.text.check import splitting_of
from atoll.workloads.text.config import TextConfig
from atoll.workloads.text.files import Source, find
from atoll.workloads.text.split import Splitting
from atoll.workloads.text.tokens import Tokenizer
from atoll.workloads.workload import Question, Split

QUESTION, RIGHT, WRONG = "question", "paraphrased_answer", "perturbed_answer"


def read_questions(
    config: TextConfig, tokenizer: Tokenizer, split: Split, limit: int, excluded: Excluded | None = None
) -> list[Question]:
    """The questions about a split's documents, ``limit`` evenly spaced ones; none where no file has any.

    Args:
        config: The text.
        tokenizer: Of the anchor.
        split: Of the documents.
        limit: Questions at most.
        excluded: Documents that are passed over, and questions about them.

    Raises:
        DataError: a question without its answers, with file and line.
    """
    splitting = splitting_of(config, excluded)
    found = [
        record
        for source in find(config)
        if source.format == "jsonl"
        for record in _records(source)
        if _counts(_document(record, config.field), splitting, split, excluded)
    ]
    chosen = found if len(found) <= limit else [found[number * len(found) // limit] for number in range(limit)]
    return [_encoded(record, tokenizer, config.sequence_length) for record in chosen]


def _document(record: Mapping[str, Any], field: str) -> str:
    try:
        return str(nested(record, field))
    except KeyError:
        return ""


def _counts(text: str, splitting: Splitting, split: Split, excluded: Excluded | None) -> bool:
    if excluded is not None and excluded.holds(text.strip().encode()):
        return False
    return splitting.split_of(text) == split


def _records(source: Source) -> Iterator[Mapping[str, Any]]:
    """Records with a question; a file whose first record has none is not read on."""
    with open_plain(source.path) as raw, io.TextIOWrapper(raw, "utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line) if line.strip() else {}
            except (ValueError, RecursionError):
                record = {}  # said, or skipped, where documents are read
            if isinstance(record, dict) and QUESTION in record:
                yield _checked(record, f"{source.path}:{number}")
            elif number == 1:
                return


def _checked(record: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    wrong = record.get(WRONG)
    texts = [record[QUESTION], record.get(RIGHT), *(wrong if isinstance(wrong, list) else [None])]
    if not wrong or not all(isinstance(text, str) and text.strip() for text in texts):
        raise DataError(
            f"{where}: a record with '{QUESTION}' needs '{RIGHT}', a text, and '{WRONG}', a list of texts; add them, "
            "or leave the question out"
        )
    return record


def _encoded(record: Mapping[str, Any], tokenizer: Tokenizer, length: int) -> Question:
    asked = _ids(tokenizer, f"{record[QUESTION].strip()}\n")
    right, *wrong = (
        _joined(asked, _ids(tokenizer, answer.strip()), length) for answer in (record[RIGHT], *record[WRONG])
    )
    return Question(right, wrong)


def _joined(asked: list[int], answer: list[int], length: int) -> tuple[Tensor, int]:
    """As many tokens as a window has: of a long question the end is kept, of a long answer the beginning."""
    answer = answer[: length - 1]
    kept = asked[-(length - len(answer)) :]
    return torch.tensor(kept + answer, dtype=torch.int64), len(kept)


def _ids(tokenizer: Tokenizer, text: str) -> list[int]:
    return text_ids(tokenizer, [text])[0]
