"""Device names, the same for every backend."""

import re
from dataclasses import dataclass
from typing import Literal, cast

from granet.errors import UserError

Kind = Literal["auto", "cpu", "cuda", "gpu", "npu"]

NAMES = "auto, cpu, cuda, cuda:N, gpu, npu"
_PATTERN = re.compile(r"(auto|cpu|cuda|gpu|npu)|cuda:([0-9]{1,3})")


@dataclass(frozen=True)
class Device:
    """A requested device.

    Attributes:
        kind: ``auto`` (what is available), ``cpu``, ``cuda`` (NVIDIA), ``gpu`` or ``npu`` (Intel).
        index: index of the CUDA device, from 0.
    """

    kind: Kind
    index: int = 0

    @classmethod
    def parse(cls, name: str) -> "Device":
        """Parses one of :data:`NAMES`.

        Raises:
            UserError: for any other name.
        """
        match = _PATTERN.fullmatch(name)
        if match is None:
            raise UserError(f"unknown device {name!r}: choose one of {NAMES}")
        if match[2] is not None:
            return cls("cuda", int(match[2]))
        return cls(cast(Kind, match[1]))

    def __str__(self) -> str:
        """The name; a CUDA device includes its index."""
        return f"cuda:{self.index}" if self.kind == "cuda" else self.kind
