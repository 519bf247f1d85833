import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from atoll.coordinator.export import ADAPTERS, README, export
from atoll.errors import MixtureError
from atoll.releases.opening import OpenRelease

IDS = torch.tensor([[1, 2, 3, 200, 45, 99, 7, 8], [255, 254, 3, 3, 3, 12, 80, 81]])
# Nothing of Atoll: what any user of transformers and PEFT would write.
_LOAD = """
import sys, torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer
folder, adapter, out = sys.argv[1:]
model = AutoModelForCausalLM.from_pretrained(folder)
if adapter:
    from peft import PeftModel
    model = PeftModel.from_pretrained(model, adapter)
assert AutoTokenizer.from_pretrained(folder)("he")["input_ids"] == [256]
ids = load_file(out)["ids"]
with torch.no_grad():
    logits = model.eval()(input_ids=ids).logits
save_file({"logits": logits}, out)
assert not [name for name in sys.modules if name == "atoll" or name.startswith("atoll.")]
print(type(model).__name__)
"""


def loaded(folder: Path, adapter: Path | None = None) -> tuple[str, Tensor]:
    """Class and logits in a fresh process."""
    from safetensors.torch import save_file

    out = folder.parent / "logits.safetensors"
    save_file({"ids": IDS}, out)
    command = [sys.executable, "-W", "ignore", "-c", _LOAD, str(folder), str(adapter or ""), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-1], load_file(out)["logits"]


def expected(opened: OpenRelease, entitlement: list[str] | None = None) -> Tensor:
    with torch.no_grad(), opened.mixture.use(entitlement):
        logits: Tensor = opened.mixture(input_ids=IDS, use_cache=False).logits
    return logits


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


CASES: dict[str, dict[str, Any]] = {
    "olmo2, k 1": {"family": "olmo2", "k": 1},
    "olmo2, coordinated": {"family": "olmo2", "learned": True, "k": 2},
    "olmo2, all, not renormalised": {"family": "olmo2", "k": 99, "renormalise": False},
    "olmo2, last layer, not renormalised": {"family": "olmo2", "k": 2, "layers": [2], "renormalise": False},
    "olmo2, last layers, tied": {"family": "olmo2", "layers": [1, 2], "form": {"tie_word_embeddings": True}},
    "olmo2, attention bias": {"family": "olmo2", "form": {"attention_bias": True}},
    "llama, k 1": {"family": "llama", "k": 1},
    "llama, coordinated, all": {"family": "llama", "learned": True, "k": 4},
    "llama, last layers, tied": {"family": "llama", "layers": [2], "form": {"tie_word_embeddings": True}},
    "llama, own head size, rope and epsilon": {
        "family": "llama",
        "form": {
            "head_dim": 6,
            "rms_norm_eps": 1e-3,
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 500.0,
                "factor": 4.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 16,
            },
        },
    },
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_plain_transformers_computes_what_the_mixture_does(make: Any, tmp_path: Path, case: dict[str, Any]) -> None:
    opened = make(**case)
    wanted = {"olmo2": "FlexOlmoForCausalLM", "llama": "MixtralForCausalLM"}[case["family"]]
    assert export(opened, tmp_path / "out") == wanted
    name, logits = loaded(tmp_path / "out")
    assert name == wanted
    close(logits, expected(opened))
    # The experts do something, so equality says something.
    assert float((logits - expected(opened, [])).abs().max()) > 1e-2


@pytest.mark.parametrize("family", ["olmo2", "llama"])
def test_an_owner_who_is_left_out_leaves_nothing(make: Any, tmp_path: Path, family: str) -> None:
    opened = make(family=family)
    export(opened, tmp_path / "out", without=["library"])
    close(loaded(tmp_path / "out")[1], expected(opened, ["clinic", "office"]))
    assert "library" not in (tmp_path / "out" / README).read_text("utf-8")


@pytest.mark.parametrize("kind", ["ffn", "lora"])
@pytest.mark.parametrize("family", ["olmo2", "llama"])
def test_averaged_weights_are_a_plain_model(make: Any, tmp_path: Path, family: str, kind: str) -> None:
    opened = make(family=family, kind=kind, integrator="soup", router="uniform", layers=[1, 2])
    assert export(opened, tmp_path / "out") == {"olmo2": "Olmo2ForCausalLM", "llama": "LlamaForCausalLM"}[family]
    logits = loaded(tmp_path / "out")[1]
    close(logits, expected(opened))
    assert float((logits - expected(opened, [])).abs().max()) > 1e-2
    # The anchor in memory is still the anchor.
    close(expected(opened, []), opened.anchor.model()(input_ids=IDS).logits)


@pytest.mark.parametrize("router", ["domain", "top-k"])
def test_each_lora_expert_is_a_peft_adapter(make: Any, tmp_path: Path, router: str) -> None:
    opened = make(kind="lora", router=router, layers=[1, 2])
    assert export(opened, tmp_path / "out", without=["office"]) == ADAPTERS
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [README, "clinic", "library"]
    (tmp_path / "release").rename(tmp_path / "routed")
    soup = make(kind="lora", integrator="soup", router="uniform", layers=[1, 2])
    for owner in ("clinic", "library"):
        name, logits = loaded(tmp_path / "anchor", tmp_path / "out" / owner)
        assert name.startswith("PeftModel")
        close(logits, expected(soup, [owner]))
        assert float((logits - expected(soup, [])).abs().max()) > 1e-2


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ({"router": "domain"}, "--router top-k"),
        ({"router": "uniform"}, "--router top-k"),
        ({"learned": True, "bias": True}, "--option bias=false"),
        ({"family": "llama", "renormalise": False}, "--option renormalise=true"),
        ({"family": "llama", "form": {"attention_bias": True}}, "biases"),
        ({"integrator": "ensemble"}, "--integrator flexolmo"),
    ],
)
def test_what_no_checkpoint_can_express_is_refused(
    make: Any, tmp_path: Path, case: dict[str, Any], reason: str
) -> None:
    with pytest.raises(MixtureError, match=reason):
        export(make(**case), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))


def test_the_folder_must_be_new_or_empty(make: Any, tmp_path: Path) -> None:
    opened = make()
    (tmp_path / "out").mkdir()
    export(opened, tmp_path / "out")
    before = (tmp_path / "out" / "config.json").read_bytes()
    with pytest.raises(MixtureError, match="not an empty folder"):
        export(opened, tmp_path / "out", without=["clinic"])
    assert (tmp_path / "out" / "config.json").read_bytes() == before
    with pytest.raises(MixtureError, match="cannot be written"):
        export(opened, tmp_path / "out" / "config.json" / "below")


def test_owners_to_leave_out_must_be_there_and_not_all(make: Any, tmp_path: Path) -> None:
    opened = make()
    with pytest.raises(MixtureError, match="nobdoy"):
        export(opened, tmp_path / "out", without=["nobdoy"])
    with pytest.raises(MixtureError, match="nobody is left"):
        export(opened, tmp_path / "out", without=["clinic", "library", "office"])
