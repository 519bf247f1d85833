"""Replay ``vae``: vectors of the anchor's frozen stem, drawn by the decoder of a conditional variational autoencoder.

Deep generative replay (Shin, Lee, Kim and Kim 2017, arXiv 1705.08690) in the space of the stem's vectors (internal
replay, van de Ven, Siegelmann and Tolias 2020, doi 10.1038/s41467-020-17866-2). The owner trains the autoencoder
(Kingma and Welling 2014; Sohn, Lee and Yan 2015) on its own vectors, of pictures or of rows. Its decoder and the shares
of the classes are the prior; its encoder never leaves. The teacher says what is to be distilled.

A decoder that was trained without noise may hold single samples by heart; its declaration says so. Where the owner asks
for noise, the decoder is trained by DP-SGD.

Shapes: K classes, D width of a vector, Z of a code, B drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import one_hot

from atoll.errors import ConfigError
from atoll.replay import Declaration, Disclosure, Prior, Replay, Sample, Teacher
from atoll.replay.disclosure import counted_once, disclosed
from atoll.replay.prior import LIMIT
from atoll.replay.replay import check_draw
from atoll.replay.sampling import draw_alike, streams
from atoll.strategies.replay.autoencoder import SPREAD, Form, Weights, decoded, trained
from atoll.strategies.replay.private_steps import Noise, Vectors, least_noise
from atoll.strategies.replay.vectors import as_samples, as_stem, check_private, in_steps, said, side_by_side
from atoll.workloads.classification import FeatureSpace, LabelledFeatures

_CLASS, _DECODER = "class", "decoder"
_SHARES = 0.1
"""Of the epsilon, for the classes; the rest is the decoder's."""
_CLIP = 2.0
"""Largest norm of one vector's gradient under DP-SGD."""
_BY_HEART = ", without noise: it may hold single samples by heart"


@final
@dataclass(frozen=True, slots=True)
class Vae(Replay):
    """A decoder, and shares of the classes.

    Without a prior, vectors point anywhere alike, and their class is what the teacher says.

    Attributes:
        code: Width of a code, Z.
        hidden: Width of the encoder's and the decoder's hidden layer.
        steps: Optimizer steps at the owner.
        size: Vectors of a step, on average.

    Raises:
        ConfigError: a size that cannot be.
    """

    name: ClassVar[str] = "vae"
    workloads: ClassVar[tuple[str, ...]] = ("images", "tabular")
    above: ClassVar[str] = "stem"
    code: int = 8
    hidden: int = 128
    steps: int = 600
    size: int = 64

    def __post_init__(self) -> None:
        for name in ("code", "hidden", "steps", "size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"replay vae: {name} is {getattr(self, name)}; it must be at least 1")

    def remember(self, private: LabelledFeatures, context: FeatureSpace, disclosure: Disclosure) -> Prior:
        """Train on the vectors of all classes that may be told; a unit with many has one of them in a step.

        Raises:
            DataError: no samples, vectors of another width, or no class with enough units.
            ConfigError: noise without Opacus, or a decoder that is too large.
        """
        check_private(self.name, private, context)
        classes = len(context.classes)
        # Without noise there is nothing to hide, and the same data makes the same prior.
        rng = np.random.default_rng(0) if disclosure.epsilon is None else disclosure.generator()
        counts = counted_once(private.unit, private.label, classes)
        shares, of_shares = disclosed(
            counts, disclosure, rng, what="share of the units by class", unit="unit", fraction=_SHARES
        )
        decoder, declared = self._decoder(private, shares, self._form(context), disclosure, rng)
        return Prior(
            generator=self.name,
            settings=self._settings,
            tensors={_CLASS: shares, _DECODER: decoder},
            declared={_CLASS: of_shares, _DECODER: declared},
        )

    def generate(
        self,
        teacher: Teacher,
        prior: Prior | None,
        context: FeatureSpace,
        *,
        budget: int,
        seed: int,
        templates: object = None,
        batch: int = 64,
    ) -> list[Sample]:
        """Samples as ``features`` float32 [1, D], of the stem's own length, and ``label`` int64 []."""
        check_draw(self.name, budget, batch)
        if templates is not None:
            raise ConfigError("replay vae: it aligns samples to nothing; give no templates")
        uniform = streams(seed, range(budget), 1 + self.code + context.width)
        normal = torch.special.ndtri(uniform[:, 1:].clamp_min(1e-15)).float()
        code_BZ, around_BD = normal.split([self.code, context.width], 1)
        if prior is None:
            vectors = as_stem(around_BD)
            return as_samples(vectors, said(teacher, vectors, context, batch))
        weights = self._read(prior, self._form(context))
        labels = draw_alike(prior.tensors[_CLASS].double(), uniform[:, 0])
        means = decoded(weights, code_BZ, one_hot(labels, len(context.classes)).float())
        return as_samples(as_stem(means + weights["decoder_spread"].clamp(*SPREAD).exp() * around_BD), labels)

    def tokens(self, sample: Sample) -> NDArray[np.int64]:
        """The vector's coordinates, in steps of a quarter."""
        return in_steps(sample["features"][0])

    def private_tokens(self, private: LabelledFeatures) -> list[NDArray[np.int64]]:
        """The same of the owner's own vectors."""
        return [in_steps(vector) for vector in private.features]

    def batch(self, samples: Sequence[Sample], context: FeatureSpace) -> tuple[dict[str, Tensor], Tensor]:
        """As :func:`side_by_side`."""
        return side_by_side(samples, context)

    @property
    def _settings(self) -> dict[str, int]:
        """All options: decoders are read by them, and those of other trainings must have noise of their own."""
        return {"code": self.code, "hidden": self.hidden, "steps": self.steps, "size": self.size}

    def _form(self, context: FeatureSpace) -> Form:
        form = Form(width=context.width, classes=len(context.classes), code=self.code, hidden=self.hidden)
        if 4 * form.told > LIMIT // 2:
            raise ConfigError(f"replay vae: a decoder of {form.told:,} numbers is too large; lower hidden")
        return form

    def _decoder(
        self,
        private: LabelledFeatures,
        shares_K: Tensor,
        form: Form,
        disclosure: Disclosure,
        rng: np.random.Generator,
    ) -> tuple[Tensor, Declaration]:
        """The decoder's weights one after the other, and what is to be declared of them."""
        units = len(np.unique(private.unit))
        rate = min(1.0, self.size / units)
        epsilon = None if disclosure.epsilon is None else disclosure.epsilon * (1 - _SHARES)
        delta = 0.0 if epsilon is None else units**-1.1
        noise = Noise()
        if epsilon is not None:
            noise = Noise(multiplier=least_noise(epsilon, delta, rate, self.steps), clip=_CLIP)
        weights = form.fresh(0)
        vectors = self._vectors(private, shares_K, form)
        trained(weights, vectors.steps(weights, self.steps, rate, rate * units, noise, rng))
        declared = Declaration(
            what="weights of a decoder trained on the stem's vectors" + ("" if epsilon else _BY_HEART),
            unit="unit",
            units=units,
            smallest=disclosure.smallest,
            sensitivity=noise.clip,
            epsilon=epsilon,
            delta=delta,
        )
        return form.packed(weights), declared

    def _vectors(self, private: LabelledFeatures, shares_K: Tensor, form: Form) -> Vectors:
        """Those of the classes that are told."""
        told = (shares_K > 0).numpy()[private.label]
        return Vectors(
            vector_ND=private.features[torch.from_numpy(told)],
            class_NK=one_hot(torch.from_numpy(private.label[told]), form.classes).float(),
            unit_N=private.unit[told],
            code=self.code,
        )

    def _read(self, prior: Prior, form: Form) -> Weights:
        prior.expect(self.name, self._settings, {_CLASS: (form.classes,), _DECODER: (form.told,)}, shares=(_CLASS,))
        return form.unpacked(prior.tensors[_DECODER])
