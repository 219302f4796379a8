"""GraNet (Yu et al., ACM MM 2019): the network, its configurations and its checkpoints.

Importing this package does not import torch: the names below are imported on first use. So the numpy-only
modules (``granet.synthetic.rain``, ``granet.size_rule``, ``granet.errors``) work with the base install.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from granet.config import GraNetConfig

if TYPE_CHECKING:
    from granet.checkpoint import load_checkpoint, save_checkpoint
    from granet.model import GraNet

__version__ = "0.1.0"
__all__ = ["GraNet", "GraNetConfig", "load_checkpoint", "save_checkpoint"]

_HOMES = {
    "GraNet": "granet.model",
    "load_checkpoint": "granet.checkpoint",
    "save_checkpoint": "granet.checkpoint",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'granet' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
