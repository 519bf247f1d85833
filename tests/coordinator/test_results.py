import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from atoll.coordinator.results import RunResults, SiloResult
from atoll.errors import DataError


def test_json_reads_back_equal(results: RunResults, tmp_path: Path) -> None:
    results.save(tmp_path / "results.json")
    assert RunResults.load(tmp_path / "results.json") == results
    bare = replace(results, withdrawal=None, routing={}, transfers=[])
    assert RunResults.from_json(bare.to_json()) == bare


def test_text_from_owners_is_kept_as_it_is(results: RunResults) -> None:
    silo = SiloResult(name="x", domain="${oc.env:HOME} é <b>", documents=1, tokens=1, characters=1)
    assert RunResults.from_json(replace(results, silos=[silo]).to_json()).silos == [silo]


def test_share_of_gain(results: RunResults) -> None:
    shares = results.share_of_gain
    assert shares["hospital"] == pytest.approx((4.10 - 2.06) / (4.10 - 2.02))
    assert list(shares) == ["hospital", "law-firm", "library", "software-house"]
    assert results.mean_share_of_gain == pytest.approx(sum(shares.values()) / 4)


def test_share_of_gain_needs_a_gain(results: RunResults) -> None:
    losses = {
        "hospital": {"anchor": 2.0, "own expert": 2.0, "mixture": 1.9},
        "law-firm": {"anchor": 2.0, "own expert": 2.1, "mixture": 1.9},
        "library": {"anchor": 2.0, "mixture": 1.9},
        "software-house": {"anchor": 2.0, "own expert": 1.0, "mixture": 2.5},
    }
    assert replace(results, losses=losses).share_of_gain == {"software-house": -0.5}
    assert replace(results, losses={}).mean_share_of_gain is None


def test_means_are_over_all_measured_silos_or_not_at_all(results: RunResults) -> None:
    assert results.mean_loss("anchor") == pytest.approx((4.10 + 3.62 + 3.95 + 3.05) / 4)
    some = {silo: dict(found) for silo, found in results.losses.items()}
    del some["library"]["soup"]
    assert replace(results, losses=some).mean_loss("soup") is None
    del some["library"]
    fewer = replace(results, losses=some)
    assert fewer.mean_loss("soup") == pytest.approx((3.41 + 2.95 + 2.61) / 3)
    assert fewer.measured == ["hospital", "law-firm", "software-house"]
    assert results.mean_loss("nothing") is None


def test_bytes_are_summed_by_silo_direction_and_kind(results: RunResults) -> None:
    assert results.left["law-firm"] == {"expert package": 4_001_000, "metrics": 1000}
    assert results.arrived["library"] == {"mixture": 12_000_000}
    assert replace(results, transfers=[]).left == {"hospital": {}, "law-firm": {}, "library": {}, "software-house": {}}


def test_the_model_that_never_had_an_expert_is_no_column(results: RunResults) -> None:
    assert "never had" in results.losses["library"]
    assert "never had" not in results.models
    assert results.models[:6] == ["anchor", "own expert", "mixture", "soup", "ensemble", "without hospital"]


def test_what_is_no_results_file_is_refused(results: RunResults, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        RunResults.load(tmp_path / "none.json")
    good = json.loads(results.to_json())
    bad = [
        ({**good, "losess": {}}, "unknown field 'losess'"),
        ({**good, "peak_memory_bytes": "much"}, "'results.peak_memory_bytes' is 'much'"),
        ({**good, "silos": {}}, "'results.silos'"),
        ({**good, "losses": {"hospital": {"anchor": True}}}, "'results.losses.hospital.anchor'"),
        ({**good, "anchor": None}, "'results.anchor'"),
        ({key: value for key, value in good.items() if key != "release"}, "release"),
        ([], "'results'"),
    ]
    path = tmp_path / "results.json"
    for content, message in bad:
        path.write_text(json.dumps(content))
        with pytest.raises(DataError) as caught:
            RunResults.load(path)
        assert message in str(caught.value)
        assert str(path) in str(caught.value)
    path.write_text("{")
    with pytest.raises(DataError, match="no JSON"):
        RunResults.load(path)


def test_results_import_nothing_heavy() -> None:
    heavy = ("torch", "mlflow", "flwr", "matplotlib")
    code = f"import sys, atoll.coordinator.results; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
