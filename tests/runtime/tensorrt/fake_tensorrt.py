"""A TensorRT without a GPU, on :class:`FakeCuda`: the network in its engines is ``255 - x``."""

import types
from typing import Any

import numpy as np

from runtime.tensorrt.flavour import Flavour, FlavourName
from runtime.tensorrt.record import EngineRecord
from tests.runtime.tensorrt.fake_cuda import FakeCuda

VERSIONS: dict[str, str] = {"tensorrt": "10.16.1.11", "tensorrt-rtx": "1.7.1.116"}


class FakeTensorRt:
    """The part of the API that runs engines.

    Attributes:
        events: what was made, done and dropped, in order.
    """

    def __init__(self, record: EngineRecord, name: FlavourName = "tensorrt") -> None:
        self.record, self.name = record, name
        self.events: list[str] = []
        self.cuda: FakeCuda | None = None
        self.given: bytes | None = None
        self.dla_core = -1
        self.broken: str | None = None
        """Calls that fail: ``deserialise``, ``context``, ``enqueue``, ``capture``, ``invalid``, ``profiles``
        or ``shape``."""
        self.compiled = b"kernels of this GPU"
        self.logger: Any = None
        self.flavour = Flavour(name, VERSIONS[name], self._module())

    def open_cuda(self, **options: Any) -> Any:
        """For the engine: opens a :class:`FakeCuda` and keeps it."""

        def opened(index: int) -> FakeCuda:
            self.cuda = FakeCuda(index, **options)
            return self.cuda

        return opened

    def _module(self) -> types.ModuleType:
        fake, module = self, types.ModuleType("fake_tensorrt")

        class ILogger:
            INTERNAL_ERROR, ERROR, WARNING = 0, 1, 2

            def __init__(self) -> None:
                pass

        class Runtime(_Noted):
            engine_host_code_allowed = True
            DLA_core = -1

            def __init__(self, logger: Any) -> None:
                super().__init__(fake, "runtime")
                fake.logger = logger

            def get_engine_validity(self, plan: bytes) -> tuple[str, int]:
                return ("INVALID" if fake.broken == "invalid" else "VALID"), 2

            def deserialize_cuda_engine(self, plan: bytes) -> "_Engine | None":
                assert not self.engine_host_code_allowed
                fake.given = plan
                fake.dla_core = self.DLA_core
                if fake.broken == "deserialise":
                    fake.logger.log(1, "Error Code 6: API Usage Error (CUDA error 35. In f at a.cpp:1)")
                    return None
                return _Engine(fake, self)

        vars(module).update(
            ILogger=ILogger,
            Runtime=Runtime,
            TensorIOMode=types.SimpleNamespace(INPUT="in", OUTPUT="out"),
            EngineValidity=types.SimpleNamespace(INVALID="INVALID"),
            CudaGraphStrategy=types.SimpleNamespace(WHOLE_GRAPH_CAPTURE="whole", DISABLED="off"),
            nptype=lambda kind: kind,
        )
        return module


class _Noted:
    def __init__(self, fake: FakeTensorRt, name: str) -> None:
        self._fake, self._noted = fake, name
        fake.events.append(f"{name} made")

    def __del__(self) -> None:
        self._fake.events.append(f"{self._noted} dropped")


class _Engine(_Noted):
    def __init__(self, fake: FakeTensorRt, runtime: Any) -> None:
        super().__init__(fake, "engine")
        meta = fake.record.metadata
        frames = meta.layout == "frames"
        self.frames = frames
        self.kind = np.uint8 if frames else np.float32
        sides = [meta.height or -1, meta.width or -1]
        self.shape = [meta.batch or -1, *sides, 3] if frames else [meta.batch or -1, 3, *sides]
        if fake.broken == "shape":
            self.shape[1] = 24
        self.names = ["rainy", *meta.outputs]
        self.num_io_tensors = len(self.names)
        self.num_optimization_profiles = len(fake.record.profiles) + (fake.broken == "profiles")

    def get_tensor_name(self, index: int) -> str:
        return self.names[index]

    def get_tensor_mode(self, name: str) -> str:
        return "in" if name == "rainy" else "out"

    def get_tensor_dtype(self, name: str) -> Any:
        return self.kind

    def get_tensor_shape(self, name: str) -> list[int]:
        return list(self.shape)

    def create_runtime_config(self) -> Any:
        return _Config(self._fake)

    def create_execution_context(self, config: Any = None) -> "_Context | None":
        assert (config is not None) == (self._fake.name == "tensorrt-rtx")
        if config is not None:
            self._fake.events.append(f"graphs {config.cuda_graph_strategy}")
            assert config.cache is not None
        return None if self._fake.broken == "context" else _Context(self._fake, self)


class _Config:
    """An ``IRuntimeConfig``."""

    def __init__(self, fake: FakeTensorRt) -> None:
        self._fake = fake
        self.cuda_graph_strategy: str | None = None
        self.cache: _Kernels | None = None

    def create_runtime_cache(self) -> "_Kernels":
        return _Kernels(self._fake)

    def set_runtime_cache(self, cache: "_Kernels") -> bool:
        self.cache = cache
        return True


class _Kernels(_Noted):
    """An ``IRuntimeCache`` with the kernels of :attr:`FakeTensorRt.compiled`."""

    def __init__(self, fake: FakeTensorRt) -> None:
        super().__init__(fake, "kernels")

    def deserialize(self, blob: bytes) -> bool:
        assert self._fake.cuda is not None and not self._fake.cuda.closed
        fits = bytes(blob).startswith(b"kernels of this GPU")
        self._fake.events.append("kernels read" if fits else "kernels refused")
        return fits

    def serialize(self) -> bytes:
        return self._fake.compiled


class _Context(_Noted):
    def __init__(self, fake: FakeTensorRt, engine: _Engine) -> None:
        super().__init__(fake, "context")
        self._engine = engine
        self._shape = list(engine.shape)
        self._addresses: dict[str, int] = {}
        self.active_optimization_profile = 0
        self._warm: Any = None

    def set_optimization_profile_async(self, index: int, stream: int) -> bool:
        self._fake.events.append(f"profile {index}")
        self.active_optimization_profile = index
        self._fake.cuda.enqueue(stream, lambda: None)  # type: ignore[union-attr]
        return 0 <= index < self._engine.num_optimization_profiles

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        assert -1 in self._engine.shape, "a static engine has its shape"
        n, a, b, c = shape
        nhw = (n, a, b) if self._engine.frames else (n, b, c)
        self._shape = list(shape)
        return self._fake.record.profiles[self.active_optimization_profile].takes(nhw)

    def get_tensor_shape(self, name: str) -> list[int]:
        return list(self._shape)

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        cuda = self._fake.cuda
        assert cuda is not None and -1 not in self._shape
        assert set(self._addresses) == set(self._engine.names), "every tensor needs an address"
        self._fake.events.append("enqueued")
        if self._fake.broken == "enqueue":
            self._fake.logger.log(1, "IExecutionContext::enqueueV3: Error Code 1: Cuda Runtime (out of luck)")
            return False
        capturing = any(getattr(x, "capturing", None) is not None for x in cuda.alive.values())
        if capturing and self._fake.broken == "capture":
            self._fake.logger.log(1, "operation not permitted when stream is capturing")
            return False
        # TensorRT: after the shape changed, run once before capturing, so that nothing deferred is captured.
        assert not capturing or self._warm == tuple(self._shape), "captured without a run before"
        self._warm = tuple(self._shape)
        addresses, kind = dict(self._addresses), self._engine.kind
        frames = self._engine.frames

        def work() -> None:
            source = cuda.at(addresses["rainy"]).data.view(kind)
            for name, address in addresses.items():
                if name != "rainy":
                    top = 255 if frames else np.float32(1)
                    cuda.at(address).data.view(kind)[:] = top - source

        cuda.enqueue(stream, work)
        return True
