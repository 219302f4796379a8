"""Exports a module to ONNX with ``torch.export`` and our translations."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import onnx
import torch
from torch import Tensor, nn
from torch.export import Dim

from export.onnx.guided_pooling import guided_pooling
from export.onnx.regional_attention import translate_regional_attention


def translate(
    graph: nn.Module,
    example: Tensor,
    spatial_axes: tuple[int, int] | None,
    multiple: int,
    outputs: list[str],
    opset: int,
) -> onnx.ModelProto:
    """Exports ``graph`` to an ONNX model in memory.

    Args:
        graph: module with one input, ``rainy``, and a tuple of tensors as output.
        example: an input of a valid size.
        spatial_axes: axes of height and width of a dynamic graph; ``None`` for a static one.
        multiple: height and width are multiples of this many pixels.
        outputs: names of the outputs.
        opset: ONNX opset, one of :data:`export.onnx.opsets.OPSETS`.
    """
    shapes: Any = None
    if spatial_axes is not None:
        height, width = (
            multiple * Dim(f"{name}_{multiple}", min=2, max=32768 // multiple) for name in ("height", "width")
        )
        shapes = ({0: Dim("batch", min=1, max=4096), spatial_axes[0]: height, spatial_axes[1]: width},)
    pool, unpool = guided_pooling()
    with _quiet():
        program = torch.onnx.export(
            graph,
            (example,),
            dynamo=True,
            verbose=False,
            opset_version=opset,
            input_names=["rainy"],
            output_names=outputs,
            dynamic_shapes=shapes,
            custom_translation_table={
                torch.ops.aten.max_pool2d_with_indices.default: pool,
                torch.ops.aten.max_unpool2d.default: unpool,
                torch.ops.granet.regional_attention.default: translate_regional_attention,
            },
        )
    assert program is not None  # None comes only from the fallback, which dynamo does not have
    model = program.model_proto
    onnx.checker.check_model(model, full_check=True)
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences the exporter's messages, which users cannot act on."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
