import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from atoll.errors import ConfigError, DataError
from atoll.plugins import load
from atoll.workloads.text import Text, TextConfig
from atoll.workloads.text.order import shuffled
from atoll.workloads.text.split import split_of


@pytest.fixture
def workload(folder: Path, tokenizer: Any, tmp_path: Path) -> Text:
    config = TextConfig(paths=[str(folder)], validation=0.2, test=0.2, sequence_length=16)
    return Text(config, tokenizer, tmp_path / "cache")


@given(count=st.integers(1, 400), seed=st.integers(), epoch=st.integers(0, 5))
def test_the_order_is_a_permutation(count: int, seed: int, epoch: int) -> None:
    assert sorted(shuffled(place, count, seed, epoch) for place in range(count)) == list(range(count))


def test_orders_differ_and_look_random() -> None:
    orders = [[shuffled(place, 1000, seed, epoch) for place in range(1000)] for seed in range(5) for epoch in range(4)]
    assert len(set(map(tuple, orders))) == 20
    first = torch.tensor([order[:500] for order in orders], dtype=torch.float64)
    # The mean of 500 of 1000 numbers without replacement has a standard deviation of 9.1.
    assert (first.mean(dim=1) - 499.5).abs().max() < 40
    steps = torch.tensor(orders, dtype=torch.float64).diff(dim=1).abs().mean(dim=1)
    assert (steps - 333.7).abs().max() < 40


def test_the_order_is_the_same_for_good() -> None:
    assert [shuffled(place, 10, 7, 0) for place in range(10)] == [2, 0, 3, 8, 5, 7, 1, 9, 6, 4]


def test_an_epoch_has_every_window_once(workload: Text) -> None:
    count = workload.windows("train")
    size = 7
    steps = -(-3 * count // size)
    rows = torch.cat([workload.batch(step, size, seed=1) for step in range(steps)])
    assert rows.shape == (steps * size, 16)
    assert rows.dtype == torch.int64
    windows = sorted(workload.window("train", index).tolist() for index in range(count))
    epochs = [rows[epoch * count : (epoch + 1) * count].tolist() for epoch in range(3)]
    assert all(sorted(epoch) == windows for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_a_batch_depends_on_step_and_seed_alone(workload: Text, tokenizer: Any) -> None:
    expected = [workload.batch(step, 4, seed=3) for step in range(6)]
    resumed = Text(workload.config, tokenizer, workload.cache)
    assert torch.equal(resumed.batch(5, 4, seed=3), expected[5])
    assert torch.equal(resumed.batch(0, 4, seed=3), expected[0])
    assert not torch.equal(resumed.batch(0, 4, seed=4), expected[0])
    # The stream of windows is the same, however it is cut into batches.
    assert torch.equal(resumed.batch(1, 8, seed=3), torch.cat(expected[2:4]))


def test_batches_do_not_write_into_the_cache(workload: Text) -> None:
    first = workload.batch(0, 2, seed=0)
    first.zero_()
    assert workload.batch(0, 2, seed=0).any()


def test_evaluation_goes_through_all_windows_in_order(workload: Text) -> None:
    batches = list(workload.evaluation_batches("test", 5))
    assert {len(batch) for batch in batches[:-1]} <= {5}
    expected = [workload.window("test", index) for index in range(workload.windows("test"))]
    assert torch.equal(torch.cat(batches), torch.stack(expected))


@pytest.mark.parametrize("limit", [1, 3, 10_000])
def test_a_limit_spreads_over_the_split(workload: Text, limit: int) -> None:
    count = workload.windows("test")
    rows = torch.cat(list(workload.evaluation_batches("test", 2, limit)))
    expected = range(count) if limit >= count else [number * count // limit for number in range(limit)]
    assert torch.equal(rows, torch.stack([workload.window("test", index) for index in expected]))


def test_descriptor_batches_are_beginnings_of_training_documents(workload: Text, folder: Path) -> None:
    (folder / "00.txt").write_text("tiny")
    train = [text for path in sorted(folder.iterdir()) if _is_train(text := path.read_text())]
    pairs = list(workload.descriptor_batches(10_000, 3))
    ids, mask = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    assert [len(pair[0]) for pair in pairs[:-1]] == [3] * (len(pairs) - 1)
    assert ids.shape == mask.shape == (len(train), 16)
    assert mask.dtype == torch.bool
    assert bool((ids[~mask] == 256).all())
    found = [bytes(row[keep].tolist()).decode() for row, keep in zip(ids, mask, strict=True)]
    assert found == [text[:16] for text in train]
    assert workload.descriptor_texts(10_000) == found


def _is_train(text: str) -> bool:
    return split_of(text, validation=0.2, test=0.2) == "train"


def test_short_documents_are_padded(tmp_path: Path, tokenizer: Any) -> None:
    for number in range(9):
        (tmp_path / f"{number}.txt").write_text("x" * (number + 1))
    config = TextConfig(paths=[str(tmp_path)], validation=0.0, test=0.0, sequence_length=4)
    ((ids, mask),) = Text(config, tokenizer, tmp_path / ".cache").descriptor_batches(9, 100)
    assert mask.sum(dim=1).tolist() == [1, 2, 3, 4, 4, 4, 4, 4, 4]
    assert ids[1].tolist() == [120, 120, 256, 256]


def test_a_few_documents_are_distinct_and_spread(workload: Text) -> None:
    everything = workload.descriptor_texts(10_000)
    few = workload.descriptor_texts(5)
    assert len(set(few)) == 5
    assert few == [everything[number * len(everything) // 5] for number in range(5)]
    assert few == workload.descriptor_texts(5)
    assert sum(len(ids) for ids, _ in workload.descriptor_batches(5, 2)) == 5


def test_arguments_that_make_no_sense(workload: Text) -> None:
    with pytest.raises(ConfigError, match="size=0"):
        workload.batch(0, 0, seed=0)
    with pytest.raises(ConfigError, match="step=-1"):
        workload.batch(-1, 1, seed=0)
    with pytest.raises(ConfigError, match="limit=0"):
        workload.evaluation_batches("test", 1, 0)
    with pytest.raises(ConfigError, match="documents=0"):
        workload.descriptor_texts(0)
    with pytest.raises(ConfigError, match="no split 'dev': there are train, validation, test"):
        workload.windows("dev")  # type: ignore[arg-type]
    with pytest.raises(IndexError, match="train has windows 0 to"):
        workload.window("train", workload.windows("train"))


def test_a_split_without_a_share_cannot_be_evaluated(folder: Path, tokenizer: Any, tmp_path: Path) -> None:
    config = TextConfig(paths=[str(folder)], validation=0.0, test=0.2, sequence_length=16)
    workload = Text(config, tokenizer, tmp_path / "cache")
    assert workload.windows("validation") == 0
    with pytest.raises(DataError, match=r"empty split: validation has no window.*raise validation \(now 0.0\)"):
        workload.evaluation_batches("validation", 1)


def test_the_configuration_works_with_omegaconf() -> None:
    schema = OmegaConf.structured(TextConfig)
    merged = OmegaConf.merge(schema, OmegaConf.from_dotlist(["paths=[a,b]", "test=0.1", "field=body"]))
    assert OmegaConf.to_object(merged) == TextConfig(paths=["a", "b"], test=0.1, field="body")


def test_it_is_found_by_name() -> None:
    assert load("atoll.workloads", "text") is Text


def test_importing_it_is_light() -> None:
    heavy = {"transformers", "pyarrow", "flwr", "mlflow"}
    code = f"import sys, atoll.workloads.text; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout == "[]\n"


@pytest.fixture(scope="module")
def real() -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer, trained on the spot."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(["Document number with words, Größe und 東京"] * 20, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|end|>", pad_token="<|end|>", model_max_length=8
    )


def test_a_real_tokenizer(tmp_path: Path, real: PreTrainedTokenizerFast) -> None:
    data = tmp_path / "data"
    data.mkdir()
    contents = [f"Document {number} with\twords, Größe\n\nund 東京 🦜 {number}" for number in range(30)]
    for number, content in enumerate(contents):
        (data / f"{number:02}.txt").write_text(content, "utf-8")
    config = TextConfig(paths=[str(data)], validation=0.2, test=0.2, sequence_length=64)
    workload = Text(config, real, tmp_path / "cache")
    train = [content for content in contents if _is_train(content)]
    assert workload.counts["train"].documents == len(train)
    assert workload.counts["train"].characters == sum(map(len, train))
    assert workload.descriptor_texts(100) == train
    # Padding and truncation are leftovers of a tokenizer's last use, and make no other cache.
    real(["x", "y z"], padding=True, truncation=True, max_length=4)
    Text(config, real, tmp_path / "cache").prepare()
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert Text(config, real, tmp_path / "cache").descriptor_texts(100) == train
    ids = real("".join(train), add_special_tokens=False)["input_ids"]
    assert workload.counts["train"].tokens == pytest.approx(len(ids) + len(train), abs=len(train))


def test_what_was_read_is_known_from_the_cache_too(tmp_path: Path, tokenizer: Any) -> None:
    folder = tmp_path / "silo"
    folder.mkdir()
    records = [f'{{"text": "note {number} {"long " * 40}"}}' for number in range(60)]
    (folder / "a.jsonl").write_text("\n".join([*records, records[0], '{"text": " "}', "{broken", '{"txt": 1}']))
    config = TextConfig(paths=[str(folder)], validation=0.2, test=0.2, sequence_length=16, on_error="skip")
    for _ in range(2):
        report = Text(config, tokenizer, tmp_path / "cache").reading
        assert (report.files, report.records, report.bad) == (1, 61, 2)
        assert (report.empty, report.duplicates, report.over_long) == (1, 1, 61)
    with pytest.raises(DataError, match="2 records cannot be read"):
        Text(dataclasses.replace(config, on_error="refuse"), tokenizer, tmp_path / "cache").prepare()
