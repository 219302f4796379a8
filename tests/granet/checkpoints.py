"""Helpers for the tests of checkpoints."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from granet import GraNet, GraNetConfig, load_checkpoint
from granet.errors import UserError
from tests.patience import PATIENCE

# Nothing of it is a default, so that a setting that is lost on the way is seen.
CONFIG = GraNetConfig(
    channels=6, growth=3, dense_layers=2, nonlocal_channels=5, fine_blocks=3,
    key_stride=2, region_extent=64, residual_output=False, fold=2,
)  # fmt: skip
SUFFIXES = [".pt", ".pth", ".safetensors"]


def refused(path: Path) -> str:
    """The message of a refusal: one printable line that names the file."""
    with pytest.raises(UserError) as caught:
        load_checkpoint(path)
    message = str(caught.value)
    assert message.isprintable() and str(path) in message and len(message) < 400 + len(str(path)) + 20
    return message


def saved(content: Any, path: Path, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


def with_record(path: Path, model: GraNet, record: str) -> Path:
    if path.suffix == ".safetensors":
        save_file(model.state_dict(), path, metadata={"granet": record})
        return path
    return saved({"granet": record, "state_dict": model.state_dict()}, path)


def record_of(**changes: Any) -> str:
    config = asdict(CONFIG) | changes
    return json.dumps({"format": "granet-checkpoint/1", "config": config, "facts": {}})


def python(code: str, *paths: Path) -> list[str]:
    """The lines that ``code`` prints in a process of its own, given ``paths``."""
    start = "import resource, sys; from granet import *; from granet.errors import UserError\n"
    command = [sys.executable, "-W", "error", "-c", start + code, *map(str, paths)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()
