"""``atoll anchor``: make anchors that depend on what the data is, and look at them."""

from pathlib import Path
from typing import Annotated

import typer

# Nothing heavy is imported up here: `--help` must answer at once.

app = typer.Typer(
    name="anchor",
    epilog="Example: atoll anchor show atoll-3m",
    help="Anchors, as folders: make one for tables, show.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def tabular(
    schema: Annotated[
        Path, typer.Argument(metavar="SCHEMA", help="YAML file: columns, label, groups; all of it public.")
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The anchor to write: a new or empty folder.")],
    seed: Annotated[int, typer.Option(help="Of its weights.")] = 0,
    layers: Annotated[int, typer.Option(min=1, help="Blocks that experts train.")] = 2,
) -> None:
    """Make the anchor for tables of a public schema: everyone who gives the same makes the same.

    Example: atoll anchor tabular heart.yaml --out heart-anchor
    """
    from atoll.anchors import Anchor
    from atoll.anchors.classifier import make_tabular_anchor, read_schema
    from atoll.errors import ConfigError

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} is there already: name a new or empty folder")
    make_tabular_anchor(read_schema(schema), out, seed=seed, layers=layers)
    _tell(Anchor.open(out))


@app.command()
def show(anchor: Annotated[str, typer.Argument(metavar="SPEC", help="A name or a folder.")]) -> None:
    """What an anchor is, and the digest that experts are bound to.

    Example: atoll anchor show heart-anchor
    """
    from atoll.anchors import resolve

    _tell(resolve(anchor, progress=lambda line: typer.echo(line, err=True)))


def _tell(found: object) -> None:
    from atoll.anchors import Anchor

    assert isinstance(found, Anchor)
    typer.echo(f"{found.path}: {found.digest}")
    typer.echo(
        f"reads {found.workload}; {found.layers} layers of width {found.hidden_size}, {found.parameters:,} parameters"
    )
