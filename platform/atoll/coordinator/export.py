"""A release in the formats of others: a standard transformers checkpoint, or PEFT adapters."""

import functools
import shutil
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

from atoll.anchors.anchor import no_progress_bars
from atoll.coordinator.checkpoints import Checkpoint, dense_checkpoint, moe_checkpoint
from atoll.coordinator.export_check import adapted_model, compare, logits_of, only, plain_model, probe
from atoll.errors import MixtureError
from atoll.experts import tensors
from atoll.experts.package import ExpertPackage
from atoll.releases.opening import OpenRelease

README = "README.txt"
ADAPTERS = "PEFT adapters"


def export(opened: OpenRelease, folder: Path, without: Collection[str] = ()) -> str:
    """Write what the release computes, for tools that know nothing of Atoll.

    ==========================  ============================================================================
    experts                     what is written
    ==========================  ============================================================================
    ``ffn``, router ``top-k``   ``FlexOlmoForCausalLM`` (Olmo2 anchor) or ``MixtralForCausalLM`` (Llama anchor)
    averaged (``soup``)         a model of the anchor's own class
    ``lora``, any router        PEFT adapters, a folder an owner; the router stays behind
    ==========================  ============================================================================

    Args:
        opened: The release.
        folder: New or empty; it is there whole or not at all.
        without: Owners to leave out.

    Returns:
        The transformers class, or :data:`ADAPTERS`.

    Raises:
        MixtureError: the release cannot be expressed so (says what can be done), the folder holds something, an owner
            is unknown, nobody is left, the disk refuses, or what was written, loaded by transformers or PEFT alone,
            does not compute what the release does.
    """
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise MixtureError(f"{folder} is there already and not an empty folder: name a new one")
    opened.mixture.allowed(without)  # names that are not there
    experts = [expert for expert in opened.experts if expert.card.owner not in without]
    if not experts:
        raise MixtureError("nobody is left to export: that would be the anchor by itself")
    owners = [expert.card.owner for expert in experts]
    mixture = opened.mixture.restrict(owners) if without else opened.mixture
    if mixture.composition == "outputs":
        raise MixtureError(
            "an ensemble mixes the predictions of whole models, and no single checkpoint computes that; "
            "build the release with --integrator flexolmo or soup to export it"
        )
    if opened.anchor.workload != "text" and (mixture.composition == "weights" or mixture.kind.name != "lora"):
        raise MixtureError(
            f"transformers has no class for an anchor that reads {opened.anchor.workload}: only lora experts are "
            "exported from it, as adapters; one owner's expert in the anchor's form is written by `atoll expert export`"
        )
    if mixture.composition == "weights":
        checkpoint = dense_checkpoint(mixture)
    elif mixture.kind.name == "ffn":
        checkpoint = moe_checkpoint(mixture)
    elif mixture.kind.name == "lora":
        return _write(folder, opened, experts, ADAPTERS, None)
    else:
        raise MixtureError(f"experts of the kind '{mixture.kind.name}' have no standard format to be exported to")
    return _write(folder, opened, experts, str(checkpoint.model_class.__name__), checkpoint)


def _write(
    folder: Path, opened: OpenRelease, experts: Sequence[ExpertPackage], form: str, checkpoint: Checkpoint | None
) -> str:
    """Everything into a folder beside it, which takes its name once it is known to compute the same."""
    partial = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
        if checkpoint is None:
            _write_adapters(partial, experts)
            _check_adapters(partial, opened, [expert.card.owner for expert in experts])
        else:
            with no_progress_bars():
                checkpoint.build().save_pretrained(partial)
            opened.anchor.tokenizer().save_pretrained(partial)
            _check_checkpoint(partial, opened, [expert.card.owner for expert in experts])
        (partial / README).write_text(_readme(opened, experts, form), encoding="utf-8")
        partial.chmod(0o755)
        partial.replace(folder)
    except OSError as error:
        reason = error.strerror or str(error)
        raise MixtureError(f"{folder}: cannot be written ({reason}); check the path and the disk") from error
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)
    return form


def _check_checkpoint(folder: Path, opened: OpenRelease, owners: Sequence[str]) -> None:
    """Against the release as it answers for these owners, and not against what the checkpoint was made from."""
    inputs = probe(opened.anchor)
    with opened.mixture.use(owners):
        wanted = logits_of(opened.mixture, inputs)
    compare(lambda: plain_model(folder), wanted, inputs, "the checkpoint")


def _check_adapters(folder: Path, opened: OpenRelease, owners: Sequence[str]) -> None:
    """Each against the release with all weight on its owner's expert."""
    inputs = probe(opened.anchor)
    for owner in owners:
        with only(opened.mixture, owner):
            wanted = logits_of(opened.mixture, inputs)
        load = functools.partial(adapted_model, folder / owner, opened.anchor)
        compare(load, wanted, inputs, f"the adapter of {owner}")


def _write_adapters(folder: Path, experts: Sequence[ExpertPackage]) -> None:
    for expert in experts:
        own = folder / expert.card.owner
        own.mkdir()
        (own / "adapter_model.safetensors").write_bytes(tensors.save(expert.weights))
        for name, content in expert.extra.items():
            (own / name).write_bytes(content)


_CHECKPOINT_USE = """\
A checkpoint of the class {form}, for everything that reads those of transformers:

    from transformers import AutoModelForCausalLM, AutoTokenizer
    model = AutoModelForCausalLM.from_pretrained("{folder}")
    tokenizer = AutoTokenizer.from_pretrained("{folder}")

It cannot leave an owner out: the release can. When one of the owners below withdraws, delete this
folder and export the next release.
"""
_ADAPTERS_USE = """\
A PEFT adapter for each owner. They change the anchor {anchor}
({digest}),
whose folder this prints: python -c "from atoll.anchors import resolve; print(resolve('{anchor}').path)"

    from peft import PeftModel
    from transformers import AutoModelForCausalLM
    model = AutoModelForCausalLM.from_pretrained("ANCHOR_FOLDER", dtype="float32")
    model = PeftModel.from_pretrained(model, "{folder}/{owner}", adapter_name="{owner}")

Further owners: model.load_adapter("{folder}/OWNER", adapter_name="OWNER"), then model.set_adapter("OWNER").
The router, which weighs the owners for every token, is no part of an adapter and is not here.
When one of the owners below withdraws, delete its folder.
"""


def _readme(opened: OpenRelease, experts: Sequence[ExpertPackage], form: str) -> str:
    use = _ADAPTERS_USE if form == ADAPTERS else _CHECKPOINT_USE
    text = use.format(
        form=form,
        folder="THIS_FOLDER",
        owner=experts[0].card.owner,
        anchor=opened.anchor.name,
        digest=opened.anchor.digest,
    )
    cards = [(expert.card, expert.digest) for expert in experts]
    rows = [f"- {card.owner}: {card.domain}; licence: {card.licence}; {digest}" for card, digest in cards]
    return "\n".join([text, f"Exported by Atoll from release {opened.release.digest}, with the experts of", *rows, ""])
