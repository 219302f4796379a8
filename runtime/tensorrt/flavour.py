"""TensorRT 10, TensorRT 11 and TensorRT-RTX: which is there, and all that differs between them.

They share one Python API (module ``tensorrt``, or ``tensorrt_rtx``). Everything else in this project
uses only names that all three have; what one of them lacks or adds is asked for here.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

from granet.errors import UserError

FlavourName = Literal["tensorrt", "tensorrt-rtx"]

MODULES: dict[FlavourName, str] = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
"""Flavour -> its Python module. TensorRT 10 and 11 are one flavour that differs by its version."""

_INSTALL = {
    "tensorrt": 'pip install "granet-deploy[tensorrt]" (a Jetson has it with JetPack: see docs/jetson.md)',
    "tensorrt-rtx": "pip install tensorrt-rtx",
}

_REFUSALS = {
    1: "it was built with another version",
    2: "its compute capability is not supported",
    4: "NVIDIA's driver is too old",
    8: "the CUDA runtime is too old",
    16: "the GPU has not enough memory",
    32: "the plan is malformed",
    64: "CUDA or its driver is not installed correctly",
}
"""The bits of RTX's ``EngineInvalidityDiagnostics``."""


@dataclass(frozen=True)
class Flavour:
    """A TensorRT that is installed.

    Attributes:
        name: ``tensorrt`` or ``tensorrt-rtx``.
        version: as the module says it, ``10.16.1.11``.
        module: the imported Python module.
    """

    name: FlavourName
    version: str
    module: Any

    def __str__(self) -> str:
        """``TensorRT 10.16.1.11`` or ``TensorRT-RTX 1.7.1.116``."""
        return f"{'TensorRT-RTX' if self.is_rtx else 'TensorRT'} {self.version}"

    @property
    def is_rtx(self) -> bool:
        """Whether it is TensorRT-RTX."""
        return self.name == "tensorrt-rtx"

    @property
    def builds_without_gpu(self) -> bool:
        """RTX compiles for the GPU when the engine is loaded; TensorRT times kernels on it while building."""
        return self.is_rtx

    @property
    def has_timing_cache(self) -> bool:
        """In RTX timing caches are deprecated and do nothing."""
        return not self.is_rtx

    @property
    def captures_graphs(self) -> bool:
        """RTX makes CUDA graphs itself, when a shape's kernels are ready; with TensorRT the caller does."""
        return self.is_rtx

    def execution_context(self, engine: Any, *, graphs: bool, fill: Callable[[Any], None]) -> tuple[Any, Any]:
        """An ``IExecutionContext`` of an ``ICudaEngine``, and what must outlive it.

        The context is ``None`` if there is no memory for it.

        Args:
            engine: the engine.
            graphs: with RTX, launch it as CUDA graphs.
            fill: with RTX, called with a new ``IRuntimeCache``, which takes the kernels that are compiled.
        """
        if not self.is_rtx:
            return engine.create_execution_context(), None
        runtime_config = engine.create_runtime_config()
        strategies = self.module.CudaGraphStrategy
        strategy = strategies.WHOLE_GRAPH_CAPTURE if graphs else strategies.DISABLED
        runtime_config.cuda_graph_strategy = strategy
        kernels = runtime_config.create_runtime_cache()
        fill(kernels)
        runtime_config.set_runtime_cache(kernels)
        return engine.create_execution_context(runtime_config), runtime_config

    def refusal(self, runtime: Any, plan: bytes) -> str | None:
        """Why this GPU cannot run a plan, asked before it is loaded; ``None`` if it may, or cannot be asked.

        RTX plans serve many GPUs and are asked about this one; a TensorRT plan is for one kind of GPU,
        which its record names.
        """
        if not self.is_rtx:
            return None
        validity, diagnostics = runtime.get_engine_validity(plan)
        if validity != self.module.EngineValidity.INVALID:
            return None
        found = [text for bit, text in _REFUSALS.items() if int(diagnostics) & bit]
        return ", ".join(found) or "it gives no reason"

    @property
    def has_dla(self) -> bool:
        """RTX takes a DLA core and ignores it."""
        return not self.is_rtx

    @property
    def newest_opset(self) -> int:
        """The last ONNX opset that the parser knows: that of 10.3 (JetPack 6) ends at 20, others at 24."""
        return 24 if self.is_rtx or self._numbers >= (10, 16) else 20

    @property
    def network_flags(self) -> int:
        """What ``Builder.create_network`` gets: strongly typed, so that precision is what the file says.

        TensorRT 11 and RTX have no other networks and take the flag all the same.
        """
        return 1 << int(self.module.NetworkDefinitionCreationFlag.STRONGLY_TYPED)

    @property
    def capabilities(self) -> tuple[str, ...]:
        """Compute capabilities that an engine can be built for by name; none where the GPU decides."""
        if not self.is_rtx:
            return ()
        names = (name for name in dir(self.module.ComputeCapability) if re.fullmatch(r"SM\d+", name))
        return tuple(sorted((_dotted(name) for name in names), key=_capability_order))

    def check_capabilities(self, capabilities: tuple[str, ...]) -> None:
        """Refuses what this flavour does not build for.

        Raises:
            UserError: names it, and what there is.
        """
        for name in capabilities:
            if name not in self.capabilities:
                raise UserError(self._cannot_choose(name))

    def set_capabilities(self, config: Any, capabilities: tuple[str, ...]) -> None:
        """Tells an ``IBuilderConfig`` what to build for; nothing if ``capabilities`` is empty.

        Raises:
            UserError: for one that this flavour does not build for.
        """
        self.check_capabilities(capabilities)
        if capabilities:
            config.num_compute_capabilities = len(capabilities)
        for index, name in enumerate(capabilities):
            value = getattr(self.module.ComputeCapability, f"SM{name.replace('.', '')}")
            config.set_compute_capability(value, index)

    def _cannot_choose(self, name: str) -> str:
        if not self.capabilities:
            return (
                f"{self} builds for the GPU of the machine it runs on: leave --compute-capability out, "
                "or build with --flavour tensorrt-rtx"
            )
        return (
            f"{self} does not build for compute capability {name}: it does for {', '.join(self.capabilities)}"
        )

    @property
    def _numbers(self) -> tuple[int, ...]:
        return tuple(int(part) for part in re.findall(r"\d+", self.version)[:2])


def find_flavour(choice: str = "auto") -> Flavour:
    """Imports the TensorRT that is asked for.

    Args:
        choice: ``tensorrt``, ``tensorrt-rtx``, or ``auto``: TensorRT if its package is installed, else
            TensorRT-RTX. One that is installed and broken is an error, never a reason to take the other.

    Raises:
        UserError: if it is not installed or cannot be imported; the message says what to do.
    """
    if choice == "auto":
        installed = [name for name in MODULES if find_spec(MODULES[name]) is not None]
        if not installed:
            raise UserError(
                f"no TensorRT is installed: {_INSTALL['tensorrt']}, or {_INSTALL['tensorrt-rtx']}, "
                "which needs no GPU to build"
            )
        return _load(installed[0])
    for name in MODULES:
        if name == choice:
            return _load(name)
    raise UserError(f"no TensorRT is called {choice!r}: there are auto, {', '.join(MODULES)}")


@cache
def _load(name: FlavourName) -> Flavour:
    if find_spec(MODULES[name]) is None:
        raise UserError(f"{MODULES[name]} is not installed: {_INSTALL[name]}")
    try:
        module = import_module(MODULES[name])
        version = str(module.__version__)
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        other = next(each for each in MODULES if each != name)
        raise UserError(
            f"{MODULES[name]} is installed but cannot be used ({' '.join(str(error).split()):.200}): "
            f"mend it with {_INSTALL[name]}, or choose --flavour {other}"
        ) from error
    return Flavour(name, version, module)


def parse_capability(text: str) -> str:
    """``8.6``, ``86`` or ``SM86`` -> ``8.6``.

    Raises:
        UserError: for anything else.
    """
    match = re.fullmatch(r"(?:sm_?)?(\d{1,2})\.?(\d)", text.strip(), re.IGNORECASE)
    if match is None:
        raise UserError(f"{text!r} is not a compute capability: write it as in 8.6")
    return f"{int(match[1])}.{match[2]}"


def _dotted(name: str) -> str:
    return parse_capability(name)


def _capability_order(name: str) -> tuple[int, int]:
    major, minor = name.split(".")
    return int(major), int(minor)
