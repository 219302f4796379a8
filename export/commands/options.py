"""Options that several commands of ``granet-export`` share."""

from pathlib import Path
from typing import Annotated

import typer

Checkpoint = Annotated[Path, typer.Option("--ckpt", help="Checkpoint of GraNet: .pt or .safetensors.")]
