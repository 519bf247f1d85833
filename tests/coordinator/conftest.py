import pytest

from atoll.coordinator.results import (
    AnchorResult,
    Member,
    ReleaseResult,
    RunResults,
    SiloResult,
    Transfer,
    WithdrawalResult,
)

LOSSES = {
    #                  anchor   own  mixture  soup  ensemble
    "hospital": (4.10, 2.02, 2.06, 3.41, 3.02),
    "law-firm": (3.62, 2.40, 2.43, 2.95, 2.80),
    "library": (3.95, 2.71, 2.75, 3.30, 3.21),
    "software-house": (3.05, 1.90, 1.92, 2.61, 2.33),
}
DOMAINS = {
    "hospital": "diseases and injuries (ICD-10-CM)",
    "law-firm": "licences and terms of service",
    "library": "scripture (King James Bible)",
    "software-house": "program code (Python's standard library)",
}


@pytest.fixture
def results() -> RunResults:
    """A run over four silos, of which the library withdraws."""
    owners = list(LOSSES)
    losses = {}
    for silo, found in LOSSES.items():
        losses[silo] = dict(zip(("anchor", "own expert", "mixture", "soup", "ensemble"), found, strict=True))
        losses[silo] |= {f"without {owner}": found[0] - 0.02 if owner == silo else found[2] + 0.01 for owner in owners}
    losses["library"]["never had"] = losses["library"]["without library"]
    routing = {silo: {"anchor": 0.1} | {owner: 0.84 if owner == silo else 0.02 for owner in owners} for silo in owners}
    transfers = []
    for place, silo in enumerate(owners):
        transfers.append(Transfer(silo=silo, direction="out", what="expert package", bytes=4_000_000 + 1000 * place))
        transfers.append(Transfer(silo=silo, direction="out", what="metrics", bytes=900))
        transfers.append(Transfer(silo=silo, direction="out", what="metrics", bytes=100))
        transfers.append(Transfer(silo=silo, direction="in", what="mixture", bytes=12_000_000))
    silos = [
        SiloResult(name=silo, domain=DOMAINS[silo], documents=100, tokens=300_000, characters=1_200_000)
        for silo in owners
    ]
    return RunResults(
        run="demo",
        title="Four institutions, one mixture",
        anchor=AnchorResult(name="atoll-3m", digest="sha256:" + "ab" * 32, parameters=3_400_000),
        silos=silos,
        losses=losses,
        release=ReleaseResult(
            number=1,
            digest="sha256:" + "cd" * 32,
            integrator="flexolmo",
            router="domain",
            kind="ffn",
            guarantee="exact",
            members=[Member(owner=owner, digest="sha256:" + f"{place:02x}" * 32) for place, owner in enumerate(owners)],
        ),
        seeds=[0],
        routing=routing,
        transfers=transfers,
        times={"announce": 3.2, "train": 241.5, "integrate": 0.8, "evaluate": 61.0},
        peak_memory_bytes=3_221_225_472,
        withdrawal=WithdrawalResult(
            owner="library",
            release_number=2,
            release_digest="sha256:" + "ef" * 32,
            loss_before=2.75,
            loss_after=3.93,
            loss_never_had=3.93,
            max_change_elsewhere=0.01,
            prompt="And it came to pass",
            answer_before="And it came to pass in those days, that the king went up",
            answer_after="And it came to pass the software",
        ),
        command="atoll demo --anchor atoll-3m --seed 0",
        versions={"atoll": "0.1.0", "python": "3.11.7", "torch": "2.13.0"},
    )
