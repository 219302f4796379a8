"""Peaks of some NVIDIA GPUs. Where each figure was read, in November 2026, stands with it.

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
    # That of the H100, with faster memory:
    # huggingface.co/datasets/devidasmishra/ai-inference-hardware-economics-2026
    "h200": _gpu("H200 SXM", 4800, 66.9, 989.4, 1978.9, 1978.9),
    # glennklockwood.com/garden/processors/h100, from NVIDIA's H100 architecture white paper
    "h100": _gpu("H100 SXM", 3350, 66.9, 989.4, 1978.9, 1978.9),
    # glennklockwood.com/garden/processors/A100, from NVIDIA's A100 data sheet (1758950-r4)
    "a100": _gpu("A100 SXM 80 GB", 2039, 19.5, 312, 624, None),
    # Halves of the data sheet's 242 and 485 with sparsity: grokipedia.com/page/NVIDIA_L4_vs_L40S;
    # float32 and memory: Google Cloud's list of GPUs, in huggingface.co/spaces/Elfsong/gcp_allocator
    "l4": _gpu("L4", 300, 30.3, 121, 242.5, 242.5),
    # NVIDIA's announcement: geektopia.es, 13 September 2018; memory: sysrqmts.com/en/gpus/nvidia/tesla/t4
    "t4": _gpu("T4", 320, 8.1, 65, 130, None),
    # waredb.com/processor/nvidia-geforce-rtx-4090
    "rtx4090": _gpu("GeForce RTX 4090", 1008, 82.6, 165.2, 660.6, 330.3),
    # Int8 is half of 171 with sparsity (MAXN): github.com/NVIDIA/Deep-Learning-Accelerator-SW; float16 is
    # half of that; float32 and memory: NVIDIA's technical brief of the Jetson AGX Orin series
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
