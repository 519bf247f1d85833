"""The mobility anchor's model: where a trajectory goes next, among the locations of its own city.

Shapes: B trajectories, S positions, n locations of the city, D width, C features of the mobility context.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from atoll.anchors.mobility.architecture import MobilityArchitecture
from atoll.anchors.mobility.context import WIDTH, city_features, context_features
from atoll.anchors.mobility.encoder import LocationEncoder
from atoll.anchors.mobility.kept_city import KeptCity
from atoll.anchors.mobility.output import MobilityOutput
from atoll.anchors.mobility.pointer import Pointer
from atoll.anchors.mobility.tower import CandidateTower


class MobilityModel(nn.Module):
    """A decoder over visits that embeds locations and candidates from the city's table of features.

    The score of a location is the scaled dot product of a position's state and the candidate, and what the pointer adds
    for places that were visited before.

    The backbone is transformers' Llama (RMS norms, gated feed-forward blocks, rotary positions), so that modules have
    the names that experts of every kind target: ``model.layers.{i}.mlp.gate_proj`` and so on. Rotary positions rather
    than learned ones: within a window what counts is how many visits ago something was, windows begin anywhere, and no
    length is built in. Absolute time is an input of its own: day of the week and slot of the day.
    """

    def __init__(self, architecture: MobilityArchitecture) -> None:
        super().__init__()
        from transformers import LlamaConfig, LlamaModel

        width = architecture.hidden_size
        self.architecture = architecture
        self.encoder = LocationEncoder(architecture)
        self.tower = CandidateTower(architecture)
        self.day = nn.Embedding(architecture.days, width)
        self.slot = nn.Embedding(architecture.slots, width)
        self.context = nn.Linear(WIDTH, width)
        self.pointer = Pointer(width)
        self.model = LlamaModel(
            LlamaConfig(
                vocab_size=1,
                hidden_size=width,
                intermediate_size=architecture.intermediate_size,
                num_hidden_layers=architecture.layers,
                num_attention_heads=architecture.heads,
                max_position_embeddings=architecture.context,
                rms_norm_eps=architecture.norm_epsilon,
                rope_parameters={"rope_type": "default", "rope_theta": architecture.rope_theta},
                use_cache=False,
                bos_token_id=None,
                eos_token_id=None,
            )
        )
        self._places, self._candidates, self._cities = KeptCity(), KeptCity(), KeptCity()
        self.model.embed_tokens = nn.Identity()  # type: ignore[assignment]  # there are no tokens
        for embedding in (self.day, self.slot):
            nn.init.normal_(embedding.weight, std=0.02)  # as the backbone's; of size one they would drown the places

    @torch.no_grad()
    def routing_features(
        self, *, wait: Tensor, jump: Tensor, radius: Tensor, entropy: Tensor, locations: Tensor, **_: Any
    ) -> Tensor:
        """What routers see beside the token, [B, S, C + D]; causal.

        The mobility context of every position, see :func:`context_features`, and the same everywhere, which city it
        is, see :func:`city_features`: that is known before anybody moves, and one location says little of it.
        """
        context = context_features(wait, jump, radius, entropy)
        places = self._places.of(self.encoder, locations, self.encoder)
        city = self._cities.of(self.encoder, locations, lambda _: city_features(places))
        return torch.cat([context, city.expand(*context.shape[:2], -1)], -1)

    def read(self, *, location: Tensor, **_: Any) -> Tensor:
        """Which column of the logits each position is, [B, S]."""
        return location

    def forward(
        self,
        location: Tensor,
        day: Tensor,
        slot: Tensor,
        wait: Tensor,
        jump: Tensor,
        radius: Tensor,
        entropy: Tensor,
        mask: Tensor,
        locations: Tensor,
        **_: Any,
    ) -> MobilityOutput:
        """Scores of the next location.

        Args:
            location: int64 [B, S], numbers of the city's locations; 0 at padding.
            day: int64 [B, S], 0 to 6.
            slot: int64 [B, S], 0 to 47.
            wait: [B, S], half-hour slots since the visit before; 0 for the first.
            jump: [B, S], km from the visit before; 0 for the first.
            radius: [B], the user's radius of gyration, km.
            entropy: [B], the user's location entropy, nats.
            mask: bool [B, S], False at padding, which is on the right; attention is causal, so what is real never sees
                it, and what is said of it means nothing.
            locations: [n, F], the city's table of features.

        Raises:
            DataError: a table of another form than the anchor reads.
        """
        context = context_features(wait, jump, radius, entropy)
        places = self._places.of(self.encoder, locations, self.encoder)
        visits = places[location] + self.day(day) + self.slot(slot)
        states = self.model(inputs_embeds=visits + self.context(context.to(visits.dtype))).last_hidden_state
        scaled = states / math.sqrt(self.architecture.hidden_size)
        candidates = self._candidates.of(self.tower, locations, self.tower)
        return MobilityOutput(scaled, candidates, self.pointer(states, location), location)
