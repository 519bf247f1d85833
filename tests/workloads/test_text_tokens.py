import json
import shutil
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from atoll.errors import ConfigError, DataError
from atoll.workloads.text import Text, TextConfig
from atoll.workloads.workload import SPLITS, SplitCounts

VALUES: dict[str, Any] = {"validation": 0.2, "test": 0.2, "sequence_length": 16}


def text(folder: Path, tokenizer: Any, cache: Path, **values: Any) -> Text:
    return Text(TextConfig(**{"paths": [str(folder)], **VALUES, **values}), tokenizer, cache)


def entries(cache: Path) -> list[Path]:
    return sorted(cache.iterdir())


def everything(workload: Text) -> list[list[int]]:
    return [workload.window(split, index).tolist() for split in SPLITS for index in range(workload.windows(split))]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "cache"


def test_every_document_is_in_one_split_once(folder: Path, tokenizer: Any, cache: Path) -> None:
    workload = text(folder, tokenizer, cache, sequence_length=2)
    workload.prepare()
    sources = {path.read_text() for path in folder.iterdir()}
    stored = []
    for split in SPLITS:
        counts = workload.counts[split]
        ids = [token for index in range(workload.windows(split)) for token in workload.window(split, index).tolist()]
        # At most one token is beyond the last whole window: an end of text, which is not looked at.
        texts = [bytes(part).decode() for part in _documents(ids)]
        assert counts == SplitCounts(len(texts), sum(map(len, texts)) + len(texts), sum(map(len, texts)))
        stored += texts
    assert set(stored) == sources
    assert len(stored) == len(sources)


def _documents(ids: list[int]) -> list[list[int]]:
    found: list[list[int]] = [[]]
    for token in ids:
        if token == 256:
            found.append([])
        else:
            found[-1].append(token)
    return [document for document in found if document]


def test_duplicates_stay_together(tmp_path: Path, tokenizer: Any, cache: Path) -> None:
    path = tmp_path / "twice.jsonl"
    records = [json.dumps({"text": f"document {number} ä"}) for number in range(30)]
    path.write_text("\n".join(records + records))
    once = tmp_path / "once.jsonl"
    once.write_text("\n".join(records))
    twice_counts = text(path, tokenizer, cache).counts
    once_counts = text(once, tokenizer, cache).counts
    for split in SPLITS:
        assert twice_counts[split].documents == 2 * once_counts[split].documents
        assert twice_counts[split].characters == 2 * once_counts[split].characters
    assert sum(counts.documents for counts in twice_counts.values()) == 60


def test_the_second_time_nothing_is_tokenized(folder: Path, tokenizer: Any, cache: Path, tmp_path: Path) -> None:
    first = text(folder, tokenizer, cache)
    first.prepare()
    assert tokenizer.characters == sum(len(path.read_text()) for path in folder.iterdir())
    moved = shutil.copytree(folder, tmp_path / "elsewhere")
    again = text(moved, tokenizer, cache, sequence_length=32)
    seen: list[tuple[int, int]] = []
    again.prepare(lambda done, total: seen.append((done, total)))
    assert tokenizer.characters == sum(len(path.read_text()) for path in folder.iterdir())
    assert again.counts == first.counts
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert seen == [(size, size)]
    assert len(entries(cache)) == 1


@pytest.mark.parametrize("values", [{"validation": 0.3}, {"salt": "s"}, {"document": "paragraphs"}])
def test_what_changes_the_documents_makes_a_new_cache(
    folder: Path, tokenizer: Any, cache: Path, values: dict[str, Any]
) -> None:
    text(folder, tokenizer, cache).prepare()
    before = tokenizer.characters
    text(folder, tokenizer, cache, **values).prepare()
    assert tokenizer.characters == 2 * before
    assert len(entries(cache)) == 2


def test_another_content_or_tokenizer_makes_a_new_cache(
    folder: Path, new_tokenizer: Callable[[str], Any], cache: Path
) -> None:
    first = text(folder, new_tokenizer("a"), cache)
    first.prepare()
    path = folder / "00.txt"
    path.write_text(path.read_text().replace("Document", "document"))
    second = text(folder, new_tokenizer("a"), cache)
    assert everything(second) != everything(first)
    text(folder, new_tokenizer("b"), cache).prepare()
    assert len(entries(cache)) == 3


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-2])


def _flip(file: Path) -> None:
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)


@pytest.mark.parametrize("damage", [_truncate, _flip, Path.unlink, lambda file: file.write_bytes(b"")])
@pytest.mark.parametrize("name", ["train.tokens", "train.ends", "test.tokens", "index.json"])
def test_a_damaged_cache_is_made_again(
    folder: Path, tokenizer: Any, cache: Path, name: str, damage: Callable[[Path], object]
) -> None:
    first = text(folder, tokenizer, cache)
    expected = everything(first)
    before = tokenizer.characters
    damage(entries(cache)[0] / name)
    assert everything(text(folder, tokenizer, cache)) == expected
    assert tokenizer.characters == 2 * before
    assert len(entries(cache)) == 1
    text(folder, tokenizer, cache).prepare()
    assert tokenizer.characters == 2 * before


def test_a_changed_count_in_the_index_is_noticed(folder: Path, tokenizer: Any, cache: Path) -> None:
    expected = text(folder, tokenizer, cache).counts
    index = entries(cache)[0] / "index.json"
    value = json.loads(index.read_text())
    value["body"]["splits"]["train"]["characters"] += 1
    index.write_text(json.dumps(value))
    assert text(folder, tokenizer, cache).counts == expected


def test_several_at_once(folder: Path, new_tokenizer: Callable[[str], Any], cache: Path) -> None:
    expected = everything(text(folder, new_tokenizer("a"), cache.parent / "other"))
    barrier = threading.Barrier(4)
    found: list[list[list[int]]] = []

    def run() -> None:
        calls: list[int] = []

        def meet(done: int, total: int) -> None:
            # All are in the middle of tokenizing before any is done.
            if not calls:
                barrier.wait(30)
            calls.append(done)

        workload = text(folder, new_tokenizer("a"), cache)
        workload.prepare(meet)
        assert len(calls) > 1
        found.append(everything(workload))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4
    assert len(entries(cache)) == 1


def test_nothing_is_left_of_a_failure(folder: Path, tokenizer: Any, cache: Path) -> None:
    def fail(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        text(folder, tokenizer, cache).prepare(fail)
    assert entries(cache) == []
    text(folder, tokenizer, cache).prepare()


def test_a_file_that_grows_meanwhile(folder: Path, tokenizer: Any, cache: Path) -> None:
    def grow(done: int, total: int) -> None:
        with (folder / "39.txt").open("a") as stream:
            stream.write("more")

    with pytest.raises(DataError, match=r"39\.txt: changed while it was read"):
        text(folder, tokenizer, cache).prepare(grow)
    assert entries(cache) == []


def test_bad_data_is_found_before_anything_is_tokenized(folder: Path, tokenizer: Any, cache: Path) -> None:
    (folder / "99.jsonl").write_text("{}")
    with pytest.raises(DataError, match=r"99\.jsonl:1: no field 'text'"):
        text(folder, tokenizer, cache).prepare()
    assert tokenizer.characters == 0
    assert not cache.exists()


def test_less_than_one_window(folder: Path, tokenizer: Any, cache: Path) -> None:
    workload = text(folder, tokenizer, cache, sequence_length=4000)
    with pytest.raises(DataError, match=r"empty split: validation has \d+ tokens in \d+ documents, less than one win"):
        workload.prepare()
    with pytest.raises(DataError, match="of 40 documents found"):
        workload.windows("train")


def test_a_cache_that_cannot_be_written(folder: Path, tokenizer: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cache '.*file' cannot be written"):
        text(folder, tokenizer, tmp_path / "file").prepare()


def test_a_tokenizer_without_an_end(folder: Path, tokenizer: Any, cache: Path) -> None:
    tokenizer.eos_token_id = None
    with pytest.raises(ConfigError, match="no end-of-text token"):
        text(folder, tokenizer, cache)


def test_only_the_owner_may_read_the_cache(folder: Path, tokenizer: Any, cache: Path) -> None:
    text(folder, tokenizer, cache).prepare()
    assert entries(cache)[0].stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("largest", "name"), [(65_535, "uint16"), (65_536, "uint32")])
def test_large_vocabularies(folder: Path, tokenizer: Any, cache: Path, largest: int, name: str) -> None:
    tokenizer.eos_token_id = largest
    workload = text(folder, tokenizer, cache)
    workload.prepare()
    assert json.loads((entries(cache)[0] / "index.json").read_text())["body"]["splits"]["train"]["dtype"] == name
    assert any(largest in workload.window("train", index) for index in range(workload.windows("train")))


def test_a_very_long_document_is_tokenized_in_pieces(tmp_path: Path, tokenizer: Any, cache: Path) -> None:
    content = "\n".join(f"line {number} ü" for number in range(40_000)) + "x" * 300_000 + " " * 200_000 + "end"
    (tmp_path / "long.txt").write_text(content, "utf-8")
    seen: list[tuple[int, int]] = []
    longest: list[int] = []
    encode = type(tokenizer).__call__

    class Watched(type(tokenizer)):  # type: ignore[misc]
        def __call__(self, texts: list[str], **rest: Any) -> Any:
            longest.append(sum(map(len, texts)))
            return encode(self, texts, **rest)

    workload = text(tmp_path / "long.txt", Watched(), cache, validation=0.0, test=0.0, sequence_length=2)
    workload.prepare(lambda done, total: seen.append((done, total)))
    assert workload.counts["train"] == SplitCounts(1, len(content.encode()) + 1, len(content))
    ids = workload.descriptor_texts(1)
    assert ids == ["li"]
    stored = [token for index in range(workload.windows("train")) for token in workload.window("train", index).tolist()]
    assert bytes(token for token in stored if token != 256).decode() == content[: len(content.encode())]
    assert max(longest) < 200_000
    assert seen[-1] == (len(content.encode()),) * 2


def test_progress_goes_up_to_the_end(tmp_path: Path, tokenizer: Any, cache: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        line = json.dumps({"text": f"{name} " + "x" * 5000})
        (tmp_path / name).write_text("\n".join([line] * 100))
    seen: list[tuple[int, int]] = []
    text(tmp_path, tokenizer, cache, validation=0.0, test=0.0).prepare(lambda *at: seen.append(at))
    total = sum((tmp_path / name).stat().st_size for name in ("a.jsonl", "b.jsonl"))
    assert seen == sorted(seen)
    assert seen[-1] == (total, total)
    assert len(seen) > 5


def _peak(tmp_path: Path, tokenizer: Any, name: str, megabytes: int, **values: Any) -> int:
    path = tmp_path / name
    with path.open("w") as stream:
        for number in range(megabytes * 500):
            body = f"{number} " + "x" * 1980
            stream.write(json.dumps({"text": body}) + "\n" if name.endswith("jsonl") else body + "\n\n")
    tracemalloc.start()
    try:
        text(path, tokenizer, tmp_path / "cache", **values).prepare()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("name", "values"), [("a.jsonl", {}), ("a.txt", {"document": "paragraphs"})])
def test_memory_does_not_grow_with_the_silo(tmp_path: Path, tokenizer: Any, name: str, values: dict[str, Any]) -> None:
    # The list of one batch's tokens, 8 bytes each, is the largest part.
    assert _peak(tmp_path, tokenizer, name, 30, **values) < 8_000_000


def test_memory_does_not_grow_with_a_parquet_file(tmp_path: Path, tokenizer: Any) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    path = tmp_path / "a.parquet"
    schema = pa.schema([("text", pa.string())])
    # One row group: the worst case.
    rows = pa.table({"text": [f"{row} " + "x" * 1980 for row in range(15_000)]}, schema)
    parquet.write_table(rows, path, compression="none", use_dictionary=False)
    del rows
    assert path.stat().st_size > 29_000_000
    usual = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(usual)
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        text(path, tokenizer, tmp_path / "cache").prepare()
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
        assert 0 < pool.max_memory() < 10_000_000
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(usual)
