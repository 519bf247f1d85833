"""An anchor: the frozen public model that every expert is trained against."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from atoll.anchors.architecture import Architecture
from atoll.anchors.checkpoint import StoredTensor, read_config, same_content, stored_tensors
from atoll.anchors.classifier.architecture import MODEL_TYPE as CLASSIFIER
from atoll.anchors.classifier.architecture import ClassifierArchitecture
from atoll.anchors.digest import anchor_digest
from atoll.anchors.loaded import check_loaded
from atoll.anchors.mobility.architecture import MODEL_TYPE as MOBILITY
from atoll.anchors.mobility.architecture import MobilityArchitecture
from atoll.errors import AnchorError

Form = Architecture | MobilityArchitecture | ClassifierArchitecture


@dataclass(frozen=True, kw_only=True, slots=True)
class Anchor:
    """A checkpoint on disk, and what identifies it. Make one with :meth:`open` or ``resolve``.

    It holds a language model as transformers saves it, a mobility model as ``save_mobility_anchor`` does, or a
    classifier as ``save_classifier_anchor`` does.

    Attributes:
        name: What it is called: ``atoll-3m``, ``smollm2``, ``atoll-mobility``, ``atoll-images``, or the folder's name.
        path: Folder with config.json, safetensors weights and, for text, a tokenizer.
        digest: ``sha256:…`` of weights, form and tokenizer; experts are bound to it.
        architecture: Its form, from config.json.
    """

    name: str
    path: Path
    digest: str
    architecture: Form = field(compare=False, repr=False)
    _shapes: tuple[tuple[str, tuple[int, ...]], ...] = field(compare=False, repr=False)

    @classmethod
    def open(cls, path: Path, name: str | None = None) -> "Anchor":
        """Read what identifies the checkpoint in ``path``; the model is not built.

        Raises:
            AnchorError: not a checkpoint that can be an anchor; says why and what to do.
        """
        path = path.resolve()
        config = read_config(path)
        architecture: Form
        tokenizer = b""
        if config["model_type"] == MOBILITY:
            architecture = MobilityArchitecture.of(config)
        elif config["model_type"] == CLASSIFIER:
            architecture = ClassifierArchitecture.of(config)
        else:
            architecture, tokenizer = Architecture.of(config), (path / "tokenizer.json").read_bytes()
        tensors = stored_tensors(path)
        if architecture.tied and (head := tensors.pop("lm_head.weight", None)) is not None:
            # A copy of the embedding, which some writers store; of another one programs differ in which they read.
            embedding = tensors.get("model.embed_tokens.weight")
            if embedding is None or not same_content(head, embedding):
                raise AnchorError(
                    f"{path}: config.json says that output and input embeddings are one (tie_word_embeddings), and the "
                    "file holds two that differ: set it to false, or leave lm_head.weight out"
                )
        digest = anchor_digest(architecture, tokenizer, tensors.values())
        shapes = tuple((tensor.name, tensor.shape) for tensor in tensors.values())
        return cls(name=name or path.name, path=path, digest=digest, architecture=architecture, _shapes=shapes)

    @property
    def family(self) -> str:
        """``llama``, ``olmo2``, ``mobility`` or ``classifier``."""
        return self.architecture.family

    @property
    def workload(self) -> str:
        """Name of the workload whose data it reads: ``text``, ``mobility``, or what a classifier's stem takes."""
        if isinstance(self.architecture, ClassifierArchitecture):
            return self.architecture.input
        return "mobility" if self.family == "mobility" else "text"

    @property
    def layers(self) -> int:
        """How many decoder layers."""
        return self.architecture.layers

    @property
    def hidden_size(self) -> int:
        """Width of the residual stream."""
        return self.architecture.hidden_size

    @property
    def intermediate_size(self) -> int:
        """Width of the feed-forward blocks."""
        return self.architecture.intermediate_size

    @property
    def parameters(self) -> int:
        """How many parameters the model has."""
        return sum(math.prod(shape) for _, shape in self._shapes)

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Shape of every parameter by name, from the files' headers.

        The names are those of the model's ``named_parameters``: where ``architecture.tied`` there is no
        ``lm_head.weight``, because it is ``model.embed_tokens.weight``.
        """
        return MappingProxyType(dict(self._shapes))

    def model(self, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu") -> nn.Module:
        """The causal LM, mobility model or classifier, frozen and in evaluation mode.

        Raises:
            AnchorError: transformers is missing, or the weights are not those of the architecture.
        """
        if isinstance(self.architecture, ClassifierArchitecture):
            from atoll.anchors.classifier.checkpoint import read_model as read_classifier

            return read_classifier(self.path, self.architecture).to(dtype).to(device)
        transformers = _transformers()
        if isinstance(self.architecture, MobilityArchitecture):
            from atoll.anchors.mobility.checkpoint import read_model

            return read_model(self.path, self.architecture).to(dtype).to(device)
        auto = transformers.AutoModelForCausalLM
        try:
            with no_progress_bars():
                model, report = auto.from_pretrained(
                    self.path, dtype=dtype, local_files_only=True, trust_remote_code=False, output_loading_info=True
                )
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise AnchorError(f"anchor {self.name}: {self.path} does not load: {error}") from error
        # transformers fills what is missing with random numbers and goes on.
        for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
            if names := sorted(map(str, report[what])):
                raise AnchorError(
                    f"anchor {self.name}: the weights in {self.path} are not those of config.json: "
                    f"{what.replace('_', ' ')} {', '.join(names[:5])}"
                )
        check_loaded(model, self._stored(), dtype)
        model.requires_grad_(False)
        return model.to(device).eval()  # type: ignore[no-any-return]

    def _stored(self) -> dict[str, StoredTensor]:
        """Where the parameters lie, by name, as they were digested."""
        stored = stored_tensors(self.path)
        return {name: stored[name] for name, _ in self._shapes}

    def tokenizer(self) -> Any:
        """The transformers tokenizer.

        Raises:
            AnchorError: the anchor reads no text, transformers is missing, or the tokenizer's files do not load.
        """
        if self.workload != "text":
            reads = {"mobility": "trajectories", "tabular": "tables"}.get(self.workload, self.workload)
            raise AnchorError(f"anchor {self.name} reads {reads}, not text: it has no tokenizer")
        auto = _transformers().AutoTokenizer
        try:
            made = auto.from_pretrained(self.path, local_files_only=True, trust_remote_code=False)
        except Exception as error:  # the tokenizers library raises bare Exception
            raise AnchorError(f"anchor {self.name}: the tokenizer in {self.path} does not load: {error}") from error
        rows = self.shapes["model.embed_tokens.weight"][0]
        # What was only added to steer other models than this one never comes of a text.
        made_of_text = set(made.get_vocab().values()) - set(made.added_tokens_decoder)
        largest = max(made_of_text | {made.eos_token_id or 0})
        if largest >= rows:
            raise AnchorError(
                f"anchor {self.name}: the tokenizer in {self.path} has tokens up to number {largest}, and the model "
                f"has embeddings for {rows}: they are not of one model"
            )
        return made


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise AnchorError(f"anchors' models need transformers ({error}); run: pip install 'atoll[text]'") from error
    return transformers


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Without transformers' own bars, which would cut through ours."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
