"""``granet-export trt``: a checkpoint or an ONNX model to a TensorRT engine and its record."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from export.commands.trt_options import TrtOptions
from export.tensorrt.source import checkpoint_option
from granet.app.console import say
from granet.app.extras import require

if TYPE_CHECKING:
    from export.tensorrt.make import MadeEngine


def trt(options: TrtOptions) -> None:
    """Build a TensorRT engine from an ONNX model or a checkpoint.

    A checkpoint is exported, calibrated and quantised first, and each step is checked. A model in fp32 can
    become int8 or fp8; otherwise the engine has the precision of its model. TensorRT-RTX builds without a
    GPU. Exit status 3 if the engine misses its parity budget.
    """
    options.check()
    require("checking a model before the build", "onnx")
    from export.commands.trt_plan import planned

    with planned(options) as plan:
        made = plan.run()
    if made.cached and options.timing_cache is not None:
        say(f"note: --timing-cache {options.timing_cache} was not needed: the engine was built before")
    _report(made, options.ckpt)
    if options.as_json:
        sys.stdout.write(made.engine.metadata.to_json())


def _report(made: "MadeEngine", checkpoint: Path | None) -> None:
    path, record = made.engine.path, made.engine.metadata
    where = ", ".join(record.compute_capabilities) or "8.0, 8.6, 8.9, 12.0 and later"
    how = "taken from the cache" if made.cached else f"built in {record.build_seconds:.1f} s"
    profile = "; ".join(str(each) for each in record.profiles)
    say(
        f"{path}: {len(made.engine.content) / 1e6:.1f} MB, {record.metadata.precision}, {profile}, "
        f"{made.flavour}, compute capability {where}; {how}"
    )
    if made.dla_layers is not None:
        say(
            f"note: {made.dla_layers[0]} of {made.dla_layers[1]} layers run on the DLA, the others on the GPU"
        )
    for warning in record.warnings:
        say(f"note: TensorRT warns: {warning}")
    if record.parity is None:
        say(
            "note: this engine is unverified: run it against PyTorch on the machine it is for: "
            f"granet-export parity {checkpoint_option(record.metadata, checkpoint)} {shlex.quote(str(path))}"
        )
