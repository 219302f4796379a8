"""Peaks of some NVIDIA GPUs, from NVIDIA's data sheets and architecture white papers.

Dense figures (without structured sparsity), at boost clock, tensor cores except for float32, which is
computed without TF32 here. Where a GeForce multiplies float16 or float8 twice as fast with a float16
sum, it is the figure with a float32 sum. A Jetson's depend on its power mode: these are of the
highest one, the GPU alone.
"""

from dataclasses import dataclass

from granet.errors import UserError


@dataclass(frozen=True)
class GpuPeaks:
    """The peaks of a GPU.

    Attributes:
        name: for people.
        peaks: operations a second by precision, a multiplication and an addition being two.
        bandwidth: bytes a second.
    """

    name: str
    peaks: dict[str, float]
    bandwidth: float

    def flops(self, precision: str) -> float:
        """Peak of a precision; that of fp16 where a GPU has no float8 arithmetic.

        Raises:
            UserError: for a precision without a figure.
        """
        if precision in self.peaks:
            return self.peaks[precision]
        if precision == "fp8" and "fp16" in self.peaks:
            return self.peaks["fp16"]
        raise UserError(f"{self.name}: no peak is known for {precision}: give it with --gflops")


def _gpu(name: str, gigabytes: float, fp32: float, fp16: float, int8: float, fp8: float | None) -> GpuPeaks:
    """From figures in GB/s and tera-operations a second."""
    peaks = {"fp32": fp32, "fp16": fp16, "int8": int8} | ({} if fp8 is None else {"fp8": fp8})
    return GpuPeaks(name, {kind: 1e12 * value for kind, value in peaks.items()}, 1e9 * gigabytes)


GPUS = {
    "h200": _gpu("H200 SXM", 4800, 66.9, 989.4, 1978.9, 1978.9),
    "h100": _gpu("H100 SXM", 3350, 66.9, 989.4, 1978.9, 1978.9),
    "a100": _gpu("A100 SXM 80 GB", 2039, 19.5, 312, 624, None),
    "l4": _gpu("L4", 300, 30.3, 121, 242.5, 242.5),
    "t4": _gpu("T4", 320, 8.1, 65, 130, None),
    "rtx4090": _gpu("GeForce RTX 4090", 1008, 82.6, 165.2, 660.6, 330.3),
    "rtx3090": _gpu("GeForce RTX 3090", 936, 35.6, 71, 284, None),
    "agx-orin": _gpu("Jetson AGX Orin 64 GB", 204.8, 5.3, 42.5, 85, None),
}


def find_gpu(name: str) -> GpuPeaks:
    """One of :data:`GPUS`.

    Raises:
        UserError: for any other name.
    """
    if name.lower() not in GPUS:
        raise UserError(
            f"no figures for a GPU called {name!r}: there are {', '.join(GPUS)}; "
            "or give --gflops and --bandwidth"
        )
    return GPUS[name.lower()]


def own_gpu(gflops: float, bandwidth: float) -> GpuPeaks:
    """A GPU by its figures: one peak for all precisions in 10^9 operations a second, and GB/s."""
    peaks = dict.fromkeys(("fp32", "fp16", "int8", "fp8"), 1e9 * gflops)
    return GpuPeaks(f"{gflops:g} GFLOP/s and {bandwidth:g} GB/s", peaks, 1e9 * bandwidth)
