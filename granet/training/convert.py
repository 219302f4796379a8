"""``python -m granet.training.convert``: converts a checkpoint to another file format."""

from pathlib import Path
from typing import Annotated

import typer

from granet.app.console import DebugOption, say
from granet.app.options import Map
from granet.app.program import run_program
from granet.errors import UserError
from granet.weights.packaged import named_checkpoint

app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None, add_completion=False)


@app.command()
def convert(
    source: Annotated[
        Path, typer.Argument(metavar="CKPT", parser=named_checkpoint, help="Checkpoint to read.")
    ],
    target: Annotated[Path, typer.Argument(help="File to write: .safetensors, .pt or .pth.")],
    renames: Map = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")] = False,
    debug: DebugOption = False,
) -> None:
    """Convert a checkpoint to the file format that the suffix of TARGET names."""
    from granet.checkpoint import read_checkpoint, save_checkpoint
    from granet.training.recipe import shareable_facts
    from granet.weights.renames import parse_renames

    if target.exists() and not overwrite:
        raise UserError(f"{target} exists: give --overwrite or another name")
    checkpoint = read_checkpoint(source, parse_renames(renames))
    save_checkpoint(target, checkpoint.network(), overwrite, **shareable_facts(checkpoint.facts))
    say(f"{target}: {target.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    run_program(app)
