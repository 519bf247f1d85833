"""A mixture: one model made of an anchor and experts, that answers under any entitlement."""

import copy
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from atoll.errors import MixtureError
from atoll.mixture.call import Call, current_call, enter, leave
from atoll.mixture.descriptor import Descriptor
from atoll.mixture.kind import ExpertKind, Settings, Site
from atoll.mixture.layer import Averaged, Gate, Mixed, average_shares
from atoll.mixture.outputs import posterior_mixture, uniform_mixture
from atoll.mixture.padding import input_mask
from atoll.mixture.routing import ANCHOR, Router, Rows, stack_rows

Composition = Literal["modules", "weights", "outputs"]
"""Where experts meet: in the outputs of each target module, in its weights, or in the probabilities of whole models."""


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class Member:
    """One expert as a mixture needs it."""

    owner: str
    targets: tuple[str, ...]
    settings: Settings
    weights: Mapping[str, Tensor]
    descriptor: Descriptor


class Mixture(nn.Module):
    """An anchor, its experts and a router as one model.

    The anchor is not changed: the mixture shares its tensors and has modules of its own. Slot 0 is the anchor, slot
    i the i-th member; :attr:`members` share the mixture's stacked tensors where those are what they brought, so that
    nothing is held twice. Every forward pass runs inside :meth:`use`, which says whose experts may answer.

    An anchor's model that reads no token ids may have two methods, each called with its keyword arguments before a
    forward pass: ``routing_features``, for what routers may look at besides the token ([B, S, C], causal), and
    ``read``, for which column of the logits each position is ([B, S]), as an ensemble's weights ask.
    """

    def __init__(
        self,
        anchor: nn.Module,
        anchor_descriptor: Descriptor,
        kind: ExpertKind,
        members: Sequence[Member],
        router: Router,
        *,
        composition: Composition = "modules",
        branches: Literal["modules", "weights"] = "weights",
        weighting: Literal["uniform", "posterior"] = "posterior",
        rows: Rows | None = None,
    ) -> None:
        """Build the mixture.

        Args:
            anchor: The frozen model.
            anchor_descriptor: The anchor's own domain, from public text.
            kind: The kind of every member.
            members: The experts, in slot order.
            router: Chooses slots at every site; not consulted where experts meet in the weights.
            composition: Where the experts meet.
            branches: For ``outputs`` only: what each of the models is. An expert in the anchor's place
                (``weights``), or the two-expert mixture of anchor and expert under the router (``modules``), as
                coordinated experts are trained.
            weighting: For ``outputs`` only: equal weights, or the posterior of each expert given the text so far.
            rows: The router's state by site, slot and name, where it was fitted; slots without one get a row of their
                descriptor. A row here of somebody who is no member is not used.

        Raises:
            MixtureError: two members of one owner, or members that change different modules.
        """
        super().__init__()
        owners = [member.owner for member in members]
        if len(set(owners)) != len(owners) or ANCHOR in owners:
            raise MixtureError(f"owners must differ and none may be called '{ANCHOR}': {', '.join(owners)}")
        for member in members[1:]:
            if member.targets != members[0].targets:
                raise MixtureError(
                    f"expert of '{member.owner}' changes other modules than that of '{members[0].owner}': "
                    "one mixture needs one list of targets; train them with the same kind, targets and layers"
                )
        self.kind = kind
        self.router = router
        self.composition: Composition = composition
        self.branches = branches
        self.weighting = weighting
        self._rows: Rows = rows or {}
        self._routed = composition == "modules" or (composition == "outputs" and branches == "modules")
        self.members = tuple(members)
        self.anchor_descriptor = anchor_descriptor
        self.model = _share(anchor)
        self.sites: tuple[Site, ...] = kind.sites(members[0].targets) if members else ()
        self.gates = nn.ModuleList()
        for site in self.sites:
            self._install(site, self.sites[0] if router.everywhere else site)
        self.gates.to(self._device())  # rows come from descriptors, which are read to the CPU
        if members:  # without any it is the anchor by itself, which needs nobody's permission
            self.model.register_forward_pre_hook(_note_inputs, with_kwargs=True)
        self.requires_grad_(False)
        self.eval()

    def _install(self, site: Site, gate_at: Site) -> None:
        layer = Mixed if self._routed else Averaged
        gated = self._routed and gate_at is site
        if gated:
            frame = self.anchor_descriptor
            fitted = self._rows.get(site.path, {})
            rows = [fitted.get(ANCHOR) or self.router.row(site.path, frame, frame, {})]
            for member in self.members:
                learned = self.kind.learned(site.path, member.weights)
                rows.append(fitted.get(member.owner) or self.router.row(site.path, member.descriptor, frame, learned))
            self.gates.append(Gate(site.path, self.router, stack_rows(rows)))
        for target in site.targets:
            module = _submodule(self.model, target)
            experts = [self.kind.unpack(target, member.weights, member.settings) for member in self.members]
            stacked = self.kind.stack(module, experts)
            _replace(self.model, target, layer(module, gate_at.path, self.kind, stacked))
            self._hold_once(target, experts, stacked)
        if gated:
            gate = self.gates[-1]
            assert isinstance(gate, Gate)
            _submodule(self.model, site.path).register_forward_pre_hook(gate.before, with_kwargs=True)

    def _hold_once(self, target: str, experts: Sequence[Mapping[str, Tensor]], stacked: Mapping[str, Tensor]) -> None:
        """Let the members' weights of a target be rows of the stacks."""
        held = []
        for place, (member, expert) in enumerate(zip(self.members, experts, strict=True)):
            # Counted from the end: some kinds have the anchor in front.
            rows = {name: _row(stacked[name], place - len(experts), own) for name, own in expert.items()}
            held.append(replace(member, weights={**member.weights, **self.kind.pack(target, rows)}))
        self.members = tuple(held)

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of the slots: the anchor, then the owners."""
        return (ANCHOR, *(member.owner for member in self.members))

    def allowed(self, entitlement: Collection[str] | None) -> Tensor:
        """The entitlement as a bool tensor over slots; the anchor is public and always in. ``None`` is everyone.

        Raises:
            MixtureError: a name that is not in this mixture.
        """
        if entitlement is None:
            return torch.ones(len(self.slots), dtype=torch.bool, device=self._device())
        wanted = {ANCHOR, *entitlement}  # a set: a list would be searched for every slot
        unknown = sorted(wanted - set(self.slots))
        if unknown:
            raise MixtureError(
                f"not in this mixture: {', '.join(unknown)}; it has {', '.join(self.slots[1:]) or 'no expert'}"
            )
        return torch.tensor([slot in wanted for slot in self.slots], device=self._device())

    @contextmanager
    def use(
        self,
        entitlement: Collection[str] | None = None,
        *,
        mask_BS: Tensor | None = None,
        text_BS: Tensor | None = None,
        remember: bool = False,
    ) -> Iterator[Call]:
        """Say whose experts may answer inside the block.

        Args:
            entitlement: Owners; ``None`` for everyone in the mixture.
            mask_BS: bool, False at padding; where it is not given, a model's own masks are read.
            text_BS: Token ids that are read; only a mixture that is run on ``inputs_embeds`` needs them.
            remember: Whether forward passes continue one text in pieces, as in generation with a cache.
        """
        call = Call(self.allowed(entitlement), mask_BS, {} if remember else None, text_BS)
        token = enter(call)
        try:
            yield call
        finally:
            leave(token)

    def restrict(self, owners: Collection[str]) -> "Mixture":
        """The mixture of these owners only, as if the others had never been there.

        Raises:
            MixtureError: a name that is not in this mixture.
        """
        self.allowed(owners)
        kept = set(owners)
        return self._again([member for member in self.members if member.owner in kept], self._rows)

    def with_rows(self, rows: Rows) -> "Mixture":
        """The same mixture under a router that was fitted: its state by site, slot and name.

        Raises:
            MixtureError: rows of other names or shapes than this router's.
        """
        fitted: dict[str, dict[str, dict[str, Tensor]]] = {}
        for gate in self.gates:
            assert isinstance(gate, Gate)
            whole = gate.state()
            own = {name: value.shape[1:] for name, value in whole.items()}
            for slot, state in rows.get(gate.site, {}).items():
                if {name: value.shape for name, value in state.items()} != own:
                    raise MixtureError(
                        f"the fitted row of '{slot}' at '{gate.site}' is none of router {self.router.name} over this "
                        "anchor: it was fitted for another"
                    )
                # They are kept as float32, whatever they are: flags of a slot's among them.
                cast = {name: value.to(whole[name].dtype) for name, value in state.items()}
                fitted.setdefault(gate.site, {})[slot] = cast
        return self._again(self.members, fitted)

    def _again(self, members: Sequence[Member], rows: Rows) -> "Mixture":
        if type(self) is not Mixture:
            raise MixtureError(
                f"{type(self).__name__} is a mixture of a class of its own, and without some of its members it would "
                "become a plain one, which computes something else: let its integrator make a Mixture with a kind or "
                "router of its own, or let the class say what it becomes, in `_again`"
            )
        return Mixture(
            _share(self.model, unwrap=True),
            self.anchor_descriptor,
            self.kind,
            members,
            self.router,
            composition=self.composition,
            branches=self.branches,
            weighting=self.weighting,
            rows=rows,
        )

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the mixed model as the anchor is run; inside :meth:`use`.

        For the composition ``outputs`` the result's ``logits`` are the logarithm of the mixed probabilities; the
        anchor's own logits where no expert is allowed.
        """
        if self.composition != "outputs" or not self.members:
            return self.model(*args, **kwargs)
        return self._branches(*args, **kwargs)

    def _branches(self, *args: Any, **kwargs: Any) -> Any:
        """Run the anchor with each allowed expert alone, and mix what they predict (Branch-Train-Merge)."""
        call = current_call()
        if not bool(call.allowed_N[1:].any()):
            return self.model(*args, **kwargs)  # the anchor alone: to the bit, which its normalised copy is not
        shares = average_shares(call.allowed_N)
        outputs, mask_BS = [], None
        for slot in [int(slot) for slot in shares.nonzero()]:
            alone = torch.zeros_like(call.allowed_N)
            alone[0] = alone[slot] = True
            branch = Call(alone, call.mask_BS, text_BS=call.text_BS)
            token = enter(branch)
            try:
                outputs.append(self.model(*args, **kwargs))
            finally:
                leave(token)
            call.text_BS, mask_BS = branch.text_BS, branch.mask_BS
        logits = [output.logits for output in outputs]
        if self.weighting == "posterior":
            outputs[0].logits = posterior_mixture(logits, self._read(call, kwargs), mask_BS)
        else:
            outputs[0].logits = uniform_mixture(logits)
        return outputs[0]

    def _read(self, call: Call, inputs: Mapping[str, Any]) -> Tensor:
        if hasattr(self.model, "read"):
            read: Tensor = self.model.read(**inputs)  # type: ignore[operator]
            return read
        if call.text_BS is None:
            raise MixtureError("an ensemble that is run on states needs the token ids: give them to `use` as text_BS")
        return call.text_BS

    def _device(self) -> torch.device:
        return next(self.model.parameters()).device


def _row(whole: Tensor, place: int, own: Tensor) -> Tensor:
    """An expert's row of a stack; its own tensor, where it was cast, moved or padded to go there."""
    row = whole[place]
    same = row.dtype == own.dtype and row.device == own.device and row.shape == own.shape
    return row if same else own


def _share(model: nn.Module, *, unwrap: bool = False) -> nn.Module:
    """A copy of the module tree that shares every tensor with the original.

    With ``unwrap``, mixed modules give way to the anchor's, and gates' hooks to none.
    """
    shared: dict[int, Any] = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    twin = copy.deepcopy(model, shared)
    if unwrap:
        for path, module in [*twin.named_modules()]:
            for key in [key for key, hook in module._forward_pre_hooks.items() if _is_ours(hook)]:
                del module._forward_pre_hooks[key]
                module._forward_pre_hooks_with_kwargs.pop(key, None)
            if isinstance(module, Mixed):
                _replace(twin, path, module.anchor)
    return twin


def _note_inputs(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Forward pre-hook: the model's own inputs say what routers may read and which positions are padding."""
    ids = kwargs.get("input_ids", args[0] if args else None)
    features = model.routing_features(**kwargs) if hasattr(model, "routing_features") else None  # type: ignore[operator]
    current_call().note(
        text_BS=ids if isinstance(ids, Tensor) and not ids.is_floating_point() else None,
        mask_BS=input_mask(args, kwargs),
        features_BSC=features,
    )


def _is_ours(hook: Any) -> bool:
    return hook is _note_inputs or isinstance(getattr(hook, "__self__", None), Gate)


def _submodule(model: nn.Module, path: str) -> nn.Module:
    try:
        return model.get_submodule(path)
    except AttributeError as error:
        raise MixtureError(f"the anchor has no module '{path}': was the expert trained against another one?") from error


def _replace(model: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(_submodule(model, parent), name, module)
