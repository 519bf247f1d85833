"""One expert in the formats of others: what an owner takes along when it leaves.

It needs the package and the anchor, and nothing of a coordinator: no release, no consent, no connection.
"""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from atoll.anchors import Anchor, cache_root
from atoll.anchors.anchor import no_progress_bars
from atoll.anchors.weights import write_anchor
from atoll.coordinator.checkpoints import Checkpoint, dense_checkpoint, dense_state, moe_checkpoint
from atoll.coordinator.export_check import Load, adapted_model, compare, logits_of, plain_model, probe
from atoll.errors import AnchorError, DataError, MixtureError
from atoll.experts import tensors
from atoll.experts.integrator import Integrator
from atoll.experts.package import ExpertPackage
from atoll.experts.signing import PublicKey
from atoll.experts.training import ROUTER
from atoll.federation.units import Choice
from atoll.mixture import Mixture, Router
from atoll.plugins import build
from atoll.releases.members import verify
from atoll.workloads.workload import workload_class

CHECKPOINT, PEFT = FORMS = ("checkpoint", "peft")
README = "README.txt"


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, and how near it is to what Atoll computes.

    Attributes:
        owner: Whose expert.
        digest: Of the package.
        form: Class of the checkpoint, or ``PEFT adapter``.
        difference: Largest difference of a logit between what was written, loaded again, and the expert in Atoll.
        from_anchor: The same between the expert and the anchor by itself: what the expert changes.
    """

    owner: str
    digest: str
    form: str
    difference: float
    from_anchor: float


def export_expert(
    source: Path, folder: Path, *, form: str, anchor: Anchor, trusted: PublicKey | None = None
) -> Exported:
    """Write anchor and own expert as a model that needs no Atoll.

    =========================  ==========================================================================
    expert                     ``checkpoint``
    =========================  ==========================================================================
    ``ffn``                    the anchor's own class, with the expert's blocks in place of the anchor's
    ``ffn``, coordinated       ``FlexOlmoForCausalLM`` or ``MixtralForCausalLM`` of two experts: the anchor's
                               block and the owner's, as it was trained
    ``lora``                   the anchor's own class, with the change added to its weights
    =========================  ==========================================================================

    ``peft`` is for ``lora``: the adapter alone, for the anchor. Of anchors that are no class of transformers, a
    checkpoint is a folder like the anchor's own. What was written is loaded again, with transformers and PEFT alone
    where they can, and compared on a probe; where it computes something else, nothing is left there.

    Args:
        source: The package, a file or an unpacked folder.
        folder: New or empty; it is there whole or not at all.
        form: ``checkpoint`` or ``peft``.
        anchor: What the expert is for.
        trusted: Who must have signed the package; ``None`` takes anyone's valid signature.

    Raises:
        PackageError: the package is refused.
        MixtureError: the expert has no such form (says why), the folder holds something, the disk refuses, or what was
            written does not compute the same.
    """
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise MixtureError(f"{folder} is there already and not an empty folder: name a new one")
    expert = verify(source, None, trusted, anchor)
    kind = expert.card.kind
    if form == PEFT and kind != "lora":
        raise MixtureError(
            f"the expert is of kind '{kind}', which replaces whole blocks, and no PEFT adapter holds that: "
            "take --as checkpoint"
        )
    own = own_model(expert, anchor)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
        try:
            name, load = _write_adapter(partial, expert, anchor) if form == PEFT else _write(partial, own, anchor)
            (partial / README).write_text(_readme(expert, anchor, name), encoding="utf-8")
            inputs = probe(anchor)
            with own.use(None):
                wanted = logits_of(own, inputs)
            difference = compare(load, wanted, inputs, "what was written")
            from_anchor = float((logits_of(anchor.model(), inputs) - wanted).abs().max())
            partial.chmod(0o755)
            partial.replace(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise MixtureError(f"{folder}: cannot be written ({reason}); check the path and the disk") from error
    return Exported(expert.card.owner, expert.digest, name, difference, from_anchor)


def own_model(expert: ExpertPackage, anchor: Anchor) -> Mixture:
    """The expert alone, as it was trained: in the anchor's place, or, coordinated, in a mixture of two with it."""
    coordinated = bool(expert.card.settings.get("coordinated"))
    if coordinated and "context" in expert.card.settings:
        raise MixtureError(
            "the expert was trained beside the anchor under a router that looks at the context, which no standard "
            "class does: it has no plain form"
        )
    integrator: Integrator = build("atoll.integrators", "flexolmo" if coordinated else "soup", {})
    model = anchor.model()
    cache = cache_root() / "descriptors"
    frame = workload_class(anchor.workload).frame(anchor, model, expert.card.sites, cache)
    return integrator.integrate(model, frame, [expert], _trained_under(expert))


def _trained_under(expert: ExpertPackage) -> Router:
    """The router that the card names; packages of earlier versions, which name none, were trained under ``top-k``.

    Raises:
        MixtureError: it is named in a way that cannot be read.
        PluginError: it is not registered here.
    """
    told = expert.card.training.get(ROUTER)
    if told is None:
        router: Router = build("atoll.routers", "top-k", {})
        return router
    try:
        choice = Choice.from_json(str(told), "the card's router")
    except DataError as error:
        raise MixtureError(
            f"the expert of '{expert.card.owner}' does not say under which router it was trained: {error}"
        ) from error
    router = build("atoll.routers", choice.name, choice.options)
    return router


def _write(folder: Path, own: Mixture, anchor: Anchor) -> tuple[str, Load]:
    """The checkpoint; what it is called, and how it is loaded without Atoll's mixtures."""
    if anchor.workload != "text":
        return _write_like_anchor(folder, own, anchor)
    made: Checkpoint = dense_checkpoint(own) if own.composition == "weights" else moe_checkpoint(own)
    with no_progress_bars():
        made.build().save_pretrained(folder)
    anchor.tokenizer().save_pretrained(folder)
    return str(made.model_class.__name__), lambda: plain_model(folder)


def _write_like_anchor(folder: Path, own: Mixture, anchor: Anchor) -> tuple[str, Load]:
    if own.composition != "weights":
        raise MixtureError(
            f"a coordinated expert of an anchor that reads {anchor.workload} is a mixture of two, and only language "
            "models have a standard class for that: it has no plain form"
        )
    model = anchor.model()
    model.load_state_dict(dense_state(own))
    architecture = anchor.architecture
    config = getattr(architecture, "config", None)
    if config is None:
        raise AnchorError(f"anchor {anchor.name}: there is no way to write a model of its form")
    write_anchor(model, config(), folder)
    return type(model).__name__, lambda: Anchor.open(folder).model()


def _write_adapter(folder: Path, expert: ExpertPackage, anchor: Anchor) -> tuple[str, Load]:
    (folder / "adapter_model.safetensors").write_bytes(tensors.save(expert.weights))
    for name, content in expert.extra.items():
        (folder / name).write_bytes(content)

    return "PEFT adapter", lambda: adapted_model(folder, anchor)


_USE = {
    PEFT: """\
The adapter changes the anchor {anchor}
({digest}),
whose folder this prints: python -c "from atoll.anchors import resolve; print(resolve('{anchor}').path)"

    from peft import PeftModel
    from transformers import AutoModelForCausalLM
    model = AutoModelForCausalLM.from_pretrained("ANCHOR_FOLDER", dtype="float32")
    model = PeftModel.from_pretrained(model, "THIS_FOLDER")
""",
    CHECKPOINT: """\
A checkpoint of the class {form}, with the weights of the anchor {anchor} in it:

    from transformers import AutoModelForCausalLM, AutoTokenizer
    model = AutoModelForCausalLM.from_pretrained("THIS_FOLDER")
    tokenizer = AutoTokenizer.from_pretrained("THIS_FOLDER")
""",
    "": """\
A model of the class {form}, with the weights of the anchor {anchor} in it, in the anchor's own form; transformers has
no class for what it reads. Atoll loads it: Anchor.open("THIS_FOLDER").model(), of atoll.anchors.
""",
}


def _readme(expert: ExpertPackage, anchor: Anchor, form: str) -> str:
    use = PEFT if form == "PEFT adapter" else CHECKPOINT if anchor.workload == "text" else ""
    text = _USE[use].format(form=form, anchor=anchor.name, digest=anchor.digest)
    card = expert.card
    return f"{text}\nThe expert of {card.owner}: {card.domain}; licence: {card.licence}; {expert.digest}\n"
