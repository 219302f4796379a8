"""Peak rates of some NVIDIA GPUs, each with its source (November 2026).

The figures are dense (without structured sparsity), at boost clock, for tensor cores; float32 is without
tensor cores, because this project does not use TF32. A GeForce multiplies float16 and float8 twice as fast
if it accumulates in float16; the figures here are for float32 accumulation. A Jetson's figures depend on
its power mode; these are for the GPU alone in the highest mode.

The figures of Jetson and GeForce follow from the CUDA cores, the highest clock and the bandwidth in NVIDIA's
data sheets, and from the work of each core per clock. A test compares them with the TOPS that NVIDIA states.
NVIDIA's own pages could not be read here: ``source`` names NVIDIA's document, and the copy or the page that
repeats its figures with which they were compared.
"""

from dataclasses import dataclass
from difflib import get_close_matches

from granet.errors import UserError


@dataclass(frozen=True)
class GpuPeaks:
    """The peaks of a GPU.

    Attributes:
        name: display name.
        peaks: operations per second by precision; a multiply-add is two.
        bandwidth: memory bandwidth in bytes per second.
        source: the document that states the figures, and whether they were compared with it.
    """

    name: str
    peaks: dict[str, float]
    bandwidth: float
    source: str

    def flops(self, precision: str) -> float:
        """Peak of a precision in operations per second; fp8 runs as fp16 on a GPU without float8.

        Raises:
            UserError: if the peak is unknown.
        """
        if precision in self.peaks:
            return self.peaks[precision]
        if precision == "fp8" and "fp16" in self.peaks:
            return self.peaks["fp16"]
        raise UserError(f"{self.name}: its peak in {precision} is unknown: give it with --gflops")


def _gpu(
    name: str, gigabytes: float, fp32: float, fp16: float, int8: float, fp8: float | None, source: str
) -> GpuPeaks:
    """Makes the peaks from GB/s and tera-operations per second."""
    peaks = {"fp32": fp32, "fp16": fp16, "int8": int8} | ({} if fp8 is None else {"fp8": fp8})
    return GpuPeaks(name, {kind: 1e12 * value for kind, value in peaks.items()}, 1e9 * gigabytes, source)


@dataclass(frozen=True)
class _Architecture:
    """Rates over that of float32, which is one multiplication and addition per CUDA core and clock."""

    fp16: float
    int8: float
    fp8: float | None


_ORIN = _Architecture(fp16=8, int8=16, fp8=None)
_THOR = _Architecture(fp16=32, int8=64, fp8=64)
"""Int8 at the rate of float8, as in NVIDIA's data sheet of the B200, whose tensor cores these are."""
_GEFORCE = _Architecture(fp16=2, int8=8, fp8=4)
"""Ada and Blackwell alike, with float32 sums."""


def _of(
    kind: _Architecture, name: str, cores: int, gigahertz: float, gigabytes: float, source: str
) -> GpuPeaks:
    """The peaks that follow from CUDA cores, highest clock and GB/s."""
    fp32 = 2e-3 * cores * gigahertz
    fp8 = None if kind.fp8 is None else kind.fp8 * fp32
    return _gpu(name, gigabytes, fp32, kind.fp16 * fp32, kind.int8 * fp32, fp8, source)


_HOPPER = "NVIDIA H100 architecture white paper; compared with glennklockwood.com/garden/processors/h100"
_ORIN_NANO = "NVIDIA Jetson Orin Nano Series data sheet (DS-11105-001)"
_NANO_COPY = f"{_ORIN_NANO}; cores, clock and TOPS compared with the copy scribd.com/document/673174036"
_SEEED = "compared with wiki.seeedstudio.com"
_NANO_SUPER = "NVIDIA Jetson Orin Nano Super developer kit data sheet"
_ORIN_NX = "NVIDIA Jetson Orin NX Series data sheet (DS-10712-001)"
_NX_SUPER = (
    f"NVIDIA Jetson Linux Developer Guide, JetPack 6.2; bandwidth {_SEEED}, reComputer Super J4012, "
    "clock with power modes that owners list (MAXN_SUPER)"
)
_AGX_ORIN = f"NVIDIA Jetson AGX Orin Series data sheet (DS-10662-001); {_SEEED}, reComputer Robotics J501"
_JETSON_THOR = (
    "NVIDIA Jetson Thor technical brief (TB-12572-001), which rounds 1.575 GHz to 1.57; compared with "
    "github.com/jcf94/OpCompass"
)
_RTX_40 = "NVIDIA Ada GPU Architecture 2.1, appendix A; compared with"
_ADA_TABLE = f"{_RTX_40} svethardware.cz, 2024-01 (all RTX 4070 to 4090)"
_RTX_50 = "NVIDIA RTX Blackwell GPU Architecture 1.1, appendix"
_CES_TABLE = f"{_RTX_50}; compared with tweaktown.com/news/102469"
_GB206_TABLE = f"{_RTX_50}; compared with prepmusiclog.com, review of the RTX 5060"

GPUS = {
    "h200": _gpu(
        "H200 SXM", 4800, 66.9, 989.4, 1978.9, 1978.9,
        "NVIDIA H200 data sheet; arithmetic that of the H100; memory compared with "
        "huggingface.co/datasets/devidasmishra/ai-inference-hardware-economics-2026",
    ),
    "h100": _gpu("H100 SXM", 3350, 66.9, 989.4, 1978.9, 1978.9, _HOPPER),
    "a100": _gpu(
        "A100 SXM 80 GB", 2039, 19.5, 312, 624, None,
        "NVIDIA A100 data sheet (1758950-r4); compared with glennklockwood.com/garden/processors/A100",
    ),
    # Half of the 242 and 485 with sparsity in the data sheet.
    "l4": _gpu(
        "L4", 300, 30.3, 121, 242.5, 242.5,
        "NVIDIA L4 data sheet; compared with grokipedia.com/page/NVIDIA_L4_vs_L40S, float32 and memory with "
        "Google Cloud's list of GPUs (huggingface.co/spaces/Elfsong/gcp_allocator)",
    ),
    "t4": _gpu(
        "T4", 320, 8.1, 65, 130, None,
        "NVIDIA T4 announcement; compared with geektopia.es (2018-09-13), memory with sysrqmts.com",
    ),
    # "Super" is the power mode of JetPack 6.2.
    "orin-nano-4gb": _of(
        _ORIN, "Jetson Orin Nano 4 GB", 512, 0.625, 34,
        f"{_NANO_COPY}, bandwidth with wiki.seeedstudio.com, reComputer J3010",
    ),
    "orin-nano": _of(
        _ORIN, "Jetson Orin Nano 8 GB", 1024, 0.625, 68, f"{_NANO_COPY}, bandwidth with brojogopalsapui.com"
    ),
    "orin-nano-4gb-super": _of(
        _ORIN, "Jetson Orin Nano 4 GB Super", 512, 1.020, 51,
        f"{_ORIN_NANO}, Super; TOPS {_SEEED}, reComputer Super J3010; half the memory bus of the 8 GB",
    ),
    "orin-nano-super": _of(
        _ORIN, "Jetson Orin Nano 8 GB Super", 1024, 1.020, 102,
        f"{_NANO_SUPER}; compared with brojogopalsapui.com, Jetson Orin Nano Super",
    ),
    "orin-nx-8gb": _of(
        _ORIN, "Jetson Orin NX 8 GB", 1024, 0.765, 102.4, f"{_ORIN_NX}; {_SEEED}, reComputer J4011"
    ),
    "orin-nx": _of(
        _ORIN, "Jetson Orin NX 16 GB", 1024, 0.918, 102.4,
        f"{_ORIN_NX}; {_SEEED}, reComputer J4012, and a device (gist.github.com/atinfinity)",
    ),
    "orin-nx-super": _of(_ORIN, "Jetson Orin NX 16 GB Super", 1024, 1.173, 102.4, _NX_SUPER),
    "agx-orin-32gb": _of(_ORIN, "Jetson AGX Orin 32 GB", 1792, 0.930, 204.8, _AGX_ORIN),
    "agx-orin": _of(_ORIN, "Jetson AGX Orin 64 GB", 2048, 1.3, 204.8, _AGX_ORIN),
    "thor-t4000": _of(_THOR, "Jetson T4000", 1536, 1.53, 273, _JETSON_THOR),
    "thor": _of(_THOR, "Jetson T5000 (AGX Thor)", 2560, 1.575, 273, _JETSON_THOR),
    "rtx4060": _of(_GEFORCE, "GeForce RTX 4060", 3072, 2.46, 272, f"{_RTX_40} fpsbench.com"),
    "rtx4060-ti": _of(
        _GEFORCE, "GeForce RTX 4060 Ti", 4352, 2.535, 288,
        f"{_RTX_40} prepmusiclog.com, review of the RTX 5060",
    ),
    "rtx4070": _of(_GEFORCE, "GeForce RTX 4070", 5888, 2.475, 504, _ADA_TABLE),
    "rtx4070-super": _of(_GEFORCE, "GeForce RTX 4070 SUPER", 7168, 2.475, 504, _ADA_TABLE),
    "rtx4070-ti": _of(_GEFORCE, "GeForce RTX 4070 Ti", 7680, 2.61, 504, _ADA_TABLE),
    "rtx4070-ti-super": _of(_GEFORCE, "GeForce RTX 4070 Ti SUPER", 8448, 2.61, 672, _ADA_TABLE),
    "rtx4080": _of(_GEFORCE, "GeForce RTX 4080", 9728, 2.505, 716.8, _ADA_TABLE),
    "rtx4080-super": _of(_GEFORCE, "GeForce RTX 4080 SUPER", 10240, 2.55, 736, _ADA_TABLE),
    "rtx4090": _of(_GEFORCE, "GeForce RTX 4090", 16384, 2.52, 1008, _ADA_TABLE),
    "rtx5050": _of(
        _GEFORCE, "GeForce RTX 5050", 2560, 2.572, 320,
        f"{_RTX_50}; compared with fpsbench.com and tweakers.net/nieuws/236558",
    ),
    "rtx5060": _of(_GEFORCE, "GeForce RTX 5060", 3840, 2.497, 448, _GB206_TABLE),
    "rtx5060-ti": _of(_GEFORCE, "GeForce RTX 5060 Ti", 4608, 2.572, 448, _GB206_TABLE),
    "rtx5070": _of(_GEFORCE, "GeForce RTX 5070", 6144, 2.512, 672, _CES_TABLE),
    "rtx5070-ti": _of(_GEFORCE, "GeForce RTX 5070 Ti", 8960, 2.452, 896, _CES_TABLE),
    "rtx5080": _of(_GEFORCE, "GeForce RTX 5080", 10752, 2.617, 960, _CES_TABLE),
    "rtx5090": _of(_GEFORCE, "GeForce RTX 5090", 21760, 2.407, 1792, _CES_TABLE),
}  # fmt: skip


def find_gpu(name: str) -> GpuPeaks:
    """Finds a GPU in :data:`GPUS`; spaces, hyphens and capitals do not matter (``RTX 4070 Ti``).

    Raises:
        UserError: if it is not there.
    """
    found = {_plain(each): gpu for each, gpu in GPUS.items()}.get(_plain(name))
    if found is None:
        near = get_close_matches(_plain(name), GPUS, n=6, cutoff=0)
        raise UserError(
            f"no figures for a GPU called {name!r}; the nearest of {len(GPUS)} names are {', '.join(near)}: "
            "give one of them, or --gflops and --bandwidth"
        )
    return found


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def own_gpu(gflops: float, bandwidth: float) -> GpuPeaks:
    """A GPU with the same peak in every precision: 10^9 operations per second, and bandwidth in GB/s."""
    peaks = dict.fromkeys(("fp32", "fp16", "int8", "fp8"), 1e9 * gflops)
    return GpuPeaks(
        f"{gflops:g} GFLOP/s and {bandwidth:g} GB/s", peaks, 1e9 * bandwidth, "--gflops and --bandwidth"
    )
