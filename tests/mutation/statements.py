"""A mutation that Cosmic Ray does not have: a check removed.

A refusal, or a call whose result nobody takes, is dropped.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import parso.python.tree
from cosmic_ray.operators.operator import Example, Operator

_Span = tuple[tuple[int, int], tuple[int, int]]


class RemoveStatement(Operator):  # type: ignore[misc]
    """Put ``pass`` in the place of a ``raise`` or of a call by itself."""

    def mutation_positions(self, node: Any) -> Iterator[_Span]:
        """Where there is such a statement."""
        if node.type == "raise_stmt" or _is_call(node):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        """``pass``, where the statement was."""
        return parso.python.tree.Keyword("pass", node.start_pos, node.get_first_leaf().prefix)

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """Of a refusal and of a check."""
        return (Example("if x:\n    raise X()\n", "if x:\n    pass\n"), Example("check(x)\n", "pass\n"))


class Provider:
    """The operators of this file, as Cosmic Ray asks for them."""

    def __iter__(self) -> Iterator[str]:
        """Their names."""
        return iter(("RemoveStatement",))

    def __getitem__(self, name: str) -> type[Operator]:
        """The operator of a name."""
        return {"RemoveStatement": RemoveStatement}[name]


def _is_call(node: Any) -> bool:
    inside = node.parent is not None and node.parent.type == "simple_stmt"
    calls = node.type in ("atom_expr", "power") and node.children[-1].type == "trailer"
    return inside and calls and node.children[-1].children[0].value == "("
