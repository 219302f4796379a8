"""TensorRT 10, TensorRT 11 and TensorRT-RTX: finds the installed one and hides the differences.

They share one Python API (module ``tensorrt`` or ``tensorrt_rtx``). The rest of this project uses only
names that all three have; this module handles whatever one of them lacks or adds.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

from granet.app.extras import missing_packages, pip_install
from granet.errors import UserError

FlavourName = Literal["tensorrt", "tensorrt-rtx"]

MODULES: dict[FlavourName, str] = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
"""Flavour -> its Python module. TensorRT 10 and 11 are one flavour in two versions."""

_REFUSALS = {
    1: "it was built with another version",
    2: "its compute capability is not supported",
    4: "NVIDIA's driver is too old",
    8: "the CUDA runtime is too old",
    16: "the GPU does not have enough memory",
    32: "the plan is malformed",
    64: "CUDA or its driver is not installed correctly",
}
"""The bits of RTX's ``EngineInvalidityDiagnostics``."""


@dataclass(frozen=True)
class Flavour:
    """An installed TensorRT.

    Attributes:
        name: ``tensorrt`` or ``tensorrt-rtx``.
        version: version of the module, such as ``10.16.1.11``.
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
        """Whether this is TensorRT-RTX."""
        return self.name == "tensorrt-rtx"

    @property
    def builds_without_gpu(self) -> bool:
        """Whether a build needs no GPU: RTX compiles on loading, TensorRT times kernels during the build."""
        return self.is_rtx

    @property
    def has_timing_cache(self) -> bool:
        """Whether a timing cache has an effect; in RTX it is deprecated and does nothing."""
        return not self.is_rtx

    @property
    def has_optimisation_levels(self) -> bool:
        """RTX 1.7.1 built the same bytes at levels 0 to 5: it compiles where the engine is loaded."""
        return not self.is_rtx

    @property
    def captures_graphs(self) -> bool:
        """Whether it captures CUDA graphs itself, as RTX does; with TensorRT the caller captures them."""
        return self.is_rtx

    def execution_context(self, engine: Any, *, graphs: bool, fill: Callable[[Any], None]) -> tuple[Any, Any]:
        """Makes an ``IExecutionContext``; returns it with the object that must outlive it.

        The context is ``None`` if the GPU has no memory for it.

        Args:
            engine: the ``ICudaEngine``.
            graphs: with RTX, launch the network as CUDA graphs.
            fill: with RTX, called with a new ``IRuntimeCache``, which receives the compiled kernels.
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
        """Why this GPU cannot run a plan, checked before loading; ``None`` if it can or cannot be checked.

        An RTX plan serves many GPUs, so RTX is asked about this one. A TensorRT plan is for one kind of
        GPU, which its record names.
        """
        if not self.is_rtx:
            return None
        validity, diagnostics = runtime.get_engine_validity(plan)
        if validity != self.module.EngineValidity.INVALID:
            return None
        found = [text for bit, text in _REFUSALS.items() if int(diagnostics) & bit]
        return ", ".join(found) or "no reason given"

    @property
    def has_dla(self) -> bool:
        """Whether it can run on a DLA core; RTX accepts one and ignores it."""
        return not self.is_rtx

    @property
    def newest_opset(self) -> int:
        """The newest ONNX opset that the parser reads: 20 for TensorRT 10.3 (JetPack 6), else 24."""
        return 24 if self.is_rtx or self._numbers >= (10, 16) else 20

    @property
    def network_flags(self) -> int:
        """Flags for ``Builder.create_network``: strongly typed, so that the file decides the precision.

        TensorRT 11 and RTX have only strongly typed networks, but accept the flag.
        """
        return 1 << int(self.module.NetworkDefinitionCreationFlag.STRONGLY_TYPED)

    @property
    def capabilities(self) -> tuple[str, ...]:
        """Compute capabilities that a build can target by name; empty if the GPU decides."""
        if not self.is_rtx:
            return ()
        names = (name for name in dir(self.module.ComputeCapability) if re.fullmatch(r"SM\d+", name))
        return tuple(sorted((parse_capability(name) for name in names), key=_capability_order))

    def check_capabilities(self, capabilities: tuple[str, ...]) -> None:
        """Refuses compute capabilities that this flavour cannot target.

        Raises:
            UserError: names the capability and lists the supported ones.
        """
        for name in capabilities:
            if name not in self.capabilities:
                raise UserError(self._cannot_choose(name))

    def set_capabilities(self, config: Any, capabilities: tuple[str, ...]) -> None:
        """Sets the targets of an ``IBuilderConfig``; does nothing if ``capabilities`` is empty.

        Raises:
            UserError: for a capability that this flavour cannot target.
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
                f"{self} builds only for the GPU of this machine: omit --compute-capability, or build with "
                "--flavour tensorrt-rtx"
            )
        return (
            f"{self} does not support compute capability {name}: choose from {', '.join(self.capabilities)}"
        )

    @property
    def _numbers(self) -> tuple[int, ...]:
        return tuple(int(part) for part in re.findall(r"\d+", self.version)[:2])


def find_flavour(choice: str = "auto") -> Flavour:
    """Imports the requested TensorRT.

    Args:
        choice: ``tensorrt``, ``tensorrt-rtx``, or ``auto``: TensorRT if its package is installed, else
            TensorRT-RTX. A broken installation is an error; there is no fallback to the other.

    Raises:
        UserError: if it is not installed or cannot be imported; the message says what to do.
    """
    if choice == "auto":
        installed = [name for name in MODULES if find_spec(MODULES[name]) is not None]
        if not installed:
            raise UserError(
                f"TensorRT is not installed: {pip_install('tensorrt')}, or {pip_install('tensorrt-rtx')}, "
                "which builds without a GPU"
            )
        return _load(installed[0])
    for name in MODULES:
        if name == choice:
            return _load(name)
    raise UserError(f"unknown TensorRT flavour {choice!r}: choose auto, {', '.join(MODULES)}")


@cache
def _load(name: FlavourName) -> Flavour:
    if find_spec(MODULES[name]) is None:
        raise missing_packages("building or running an engine", name)
    try:
        module = import_module(MODULES[name])
        version = str(module.__version__)
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        other = next(each for each in MODULES if each != name)
        raise UserError(
            f"{MODULES[name]} is installed but cannot be used ({' '.join(str(error).split()):.200}): "
            f"repair it with {pip_install(name)}, or choose --flavour {other}"
        ) from error
    return Flavour(name, version, module)


def parse_capability(text: str) -> str:
    """``8.6``, ``86`` or ``SM86`` -> ``8.6``.

    Raises:
        UserError: for anything else.
    """
    match = re.fullmatch(r"(?:sm_?)?(\d{1,2})\.?(\d)", text.strip(), re.IGNORECASE)
    if match is None:
        raise UserError(f"{text!r} is not a compute capability: write it like 8.6")
    return f"{int(match[1])}.{match[2]}"


def _capability_order(name: str) -> tuple[int, int]:
    major, minor = name.split(".")
    return int(major), int(minor)
