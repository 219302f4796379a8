"""Runs a built engine of TensorRT 10, TensorRT 11 or TensorRT-RTX on an NVIDIA GPU."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from granet.errors import UserError
from runtime.engines.base import GraphEngine
from runtime.engines.device import Device
from runtime.engines.fitting import FittingPlan
from runtime.engines.onnx_model import OnnxModel
from runtime.media.frame import Pixels
from runtime.tensorrt.buffers import SLOTS, Slot
from runtime.tensorrt.cuda.base import Cuda
from runtime.tensorrt.cuda.open import open_cuda
from runtime.tensorrt.flavour import Flavour, find_flavour
from runtime.tensorrt.gpu_thread import GpuThread
from runtime.tensorrt.record import as_built
from runtime.tensorrt.session import Session
from runtime.tensorrt.trust import check_software, read_trusted


class TensorRtEngine(GraphEngine):
    """A TensorRT engine. Several threads may call :meth:`run` at once; their frames overlap on the GPU."""

    concurrency = SLOTS

    def __init__(
        self,
        path: Path,
        device: Device,
        *,
        graphs: bool = True,
        cuda: Callable[[int], Cuda] = open_cuda,
        flavours: Callable[[str], Flavour] = find_flavour,
    ) -> None:
        """Loads ``path`` on ``device``: ``auto`` (the first GPU) or ``cuda``.

        Args:
            path: the engine, with its record beside it.
            device: the GPU.
            graphs: launch the network as a CUDA graph, which saves launching every kernel. An engine that
                uses a DLA core is never captured.
            cuda: opens CUDA on a GPU.
            flavours: finds TensorRT.

        Raises:
            UserError: if the engine has no record that matches it and this machine, or if GPU, driver or
                TensorRT are missing. TensorRT gets the engine only after these checks.
        """
        if device.kind not in ("auto", "cuda"):
            raise UserError(
                f"{path}: a TensorRT engine runs only on NVIDIA GPUs, not on {device}: use --device cuda, or "
                "run the ONNX model"
            )
        trusted = read_trusted(path)
        try:
            flavour = flavours(trusted.record.flavour)
        except UserError as error:
            raise trusted.refuse([str(error)]) from error
        check_software(trusted, flavour)
        self._record, self._path = trusted.record, path
        graphs = graphs and trusted.record.dla_core is None  # CUDA captures only work on the GPU
        self._model = OnnxModel(path, as_built(trusted.record))
        described: list[str] = []

        def open_session() -> Session:
            opened = cuda(device.index)
            described.extend((opened.gpu.name, opened.package))
            session = Session(trusted, flavour, opened, graphs=graphs)
            self._dtype = session.source_dtype
            return session

        self._thread: GpuThread[Slot] = GpuThread(open_session)
        version = flavour.version if not flavour.is_rtx else f"RTX {flavour.version}"
        note = f"{', '.join(described)}, {'with' if graphs else 'without'} CUDA graphs"
        self.info = self._model.info("tensorrt", version, f"cuda:{device.index}", note)

    def plan(self, height: int, width: int) -> FittingPlan:
        """See :meth:`Engine.plan`; also refuses frames that no optimisation profile takes."""
        plan = super().plan(height, width)
        self._group(1, plan.tiles.tile)
        return plan

    def _infer(self, batch: Pixels, want_mask: bool) -> tuple[Pixels, ...]:
        inputs = self._model.to_input(batch, self._dtype)
        least, most = self._group(len(inputs), (batch.shape[1], batch.shape[2]))
        pending = []
        for start in range(0, len(inputs), most):
            group = inputs[start : start + most]
            missing = least - len(group)
            if missing > 0:  # fill the batch by repeating the last frame
                group = np.concatenate([group, np.repeat(group[-1:], missing, axis=0)])
            pending.append(self._thread.submit(group))
        results = [future.result() for future in pending]
        output = results[0] if len(results) == 1 else np.concatenate(results)
        return (self._model.to_frames(output[: len(batch)], batch),)

    def _group(self, frames: int, sides: tuple[int, int]) -> tuple[int, int]:
        """Least and most frames per batch for ``frames`` frames of (height, width).

        Raises:
            UserError: if no optimisation profile takes this height and width.
        """
        profiles = self._record.profiles
        clipped = [min(max(frames, profile.min[0]), profile.max[0]) for profile in profiles]
        fitting = [n for n, profile in zip(clipped, profiles, strict=True) if profile.takes((n, *sides))]
        n = max(fitting, default=frames)
        profile = profiles[self._record.profile_for((n, *sides), self._path)]
        return profile.min[0], profile.max[0]

    def close(self) -> None:
        """Waits for the frames in flight and releases the GPU."""
        super().close()
        self._thread.close()
