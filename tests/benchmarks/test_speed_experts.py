"""The speed benchmark runs, and refuses to time what is not the same computation. No time is looked at."""

import json
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("peft")
pytest.importorskip("transformers")

from atoll.benchmarks.speed.block_layers import block_contenders
from atoll.benchmarks.speed.experts import BASELINES, Settings, main, run
from atoll.benchmarks.speed.lora_layers import ARROW, lora_contenders
from atoll.benchmarks.speed.paired import Contender, check_equal, ratio
from atoll.errors import MixtureError

CPU = torch.device("cpu")


def test_lora_contenders_give_arrows_output() -> None:
    torch.manual_seed(0)
    arrow, *others = lora_contenders(experts=4, tokens=32, width=16, rank=4, chosen=2, device=CPU)
    x = torch.randn(32, 16)
    expected = arrow.forward(x).detach()
    assert arrow.name == ARROW
    assert [c.name for c in others] == [
        "loop over modules",
        "Atoll loop",
        "Atoll concatenated (chosen)",
        "Atoll grouped",
    ]
    for contender in others:
        torch.testing.assert_close(contender.forward(x).detach(), expected, rtol=1e-4, atol=1e-5)


def test_block_contenders_give_transformers_output() -> None:
    torch.manual_seed(0)
    contenders, left_out = block_contenders(experts=4, tokens=32, width=16, hidden=32, chosen=2, device=CPU)
    x = torch.randn(32, 16)
    first, *others = (contender.forward(x).detach() for contender in contenders)
    assert {f"transformers {kernel}" for kernel in ("eager", "grouped_mm", "batched_mm")} < {c.name for c in contenders}
    assert left_out == []
    for other in others:
        torch.testing.assert_close(other, first, rtol=1e-4, atol=1e-5)


def test_batched_mm_is_left_out_where_it_would_fill_the_memory() -> None:
    contenders, left_out = block_contenders(experts=2, tokens=2048, width=256, hidden=512, chosen=2, device=CPU)
    assert "transformers batched_mm" not in {contender.name for contender in contenders}
    assert left_out == ["transformers batched_mm with 2 experts: would copy 6.0 GiB"]


def test_a_run_has_every_contender_at_every_size() -> None:
    rows, left_out = run(Settings(experts=(3, 4), tokens=32, width=16, rank=4, hidden=32, repeats=1))
    names = {(row.kind, row.experts) for row in rows}
    assert names == {(kind, experts) for kind in BASELINES for experts in (3, 4)}
    assert left_out == []
    for row in rows:
        if row.contender == BASELINES[row.kind]:
            assert row.forward_times_baseline == row.training_times_baseline == 1


def test_different_computations_are_not_timed() -> None:
    x = torch.randn(4, 3)
    honest, wrong = Contender("one", lambda x: x * 2, []), Contender("other", lambda x: x * 2.01, [])
    check_equal([honest, honest], x)
    with pytest.raises(MixtureError, match="output of 'other' differs from that of 'one'"):
        check_equal([honest, wrong], x)
    with pytest.raises(MixtureError, match="differs"):
        check_equal([honest, Contender("nan", lambda x: x * float("nan"), [])], x)


def test_a_ratio_is_taken_within_rounds() -> None:
    # Every round has the same ratio, whatever the machine did to it.
    assert ratio({"ours": [1.0, 10.0, 2.0], "theirs": [3.0, 30.0, 6.0]}, "ours", "theirs") == 3


def test_the_command_writes_its_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = "--experts 4 --tokens 32 --width 16 --rank 4 --hidden 32 --repeats 1"
    monkeypatch.setattr(sys, "argv", ["experts", *sizes.split(), "--out", str(tmp_path / "speed.json")])
    main()
    written = json.loads((tmp_path / "speed.json").read_text())
    assert written["settings"]["experts"] == [4]
    assert written["versions"]["torch"] == torch.__version__
    assert {row["kind"] for row in written["rows"]} == {"lora", "ffn"}
    assert ARROW in capsys.readouterr().out
