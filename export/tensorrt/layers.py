"""The precision of every layer of an engine, from TensorRT's engine inspector."""

import json
from typing import Any

from runtime.tensorrt.flavour import Flavour
from runtime.tensorrt.log import collected


def layer_precisions(flavour: Flavour, plan: bytes) -> dict[str, str] | None:
    """Name of each layer -> type of what it puts out, ``Half`` or ``Int8`` say.

    Returns:
        ``None`` if the engine cannot be loaded here (TensorRT-RTX builds without a GPU and loads with
        one only) or the inspector gives no types.
    """
    with collected(flavour) as (logger, _):
        engine = flavour.module.Runtime(logger).deserialize_cuda_engine(plan)
        if engine is None:
            return None
        inspector = engine.create_engine_inspector()
        text = inspector.get_engine_information(flavour.module.LayerInformationFormat.JSON)
    return parse_layers(text)


def parse_layers(text: str) -> dict[str, str] | None:
    """Reads the inspector's JSON, whose layers are objects only in an engine of detailed verbosity."""
    try:
        layers = json.loads(text)["Layers"]
    except (ValueError, KeyError, TypeError):
        return None
    found = {str(layer.get("Name", "")): _precision(layer) for layer in layers if isinstance(layer, dict)}
    return {name: kind for name, kind in found.items() if name and kind} or None


def _precision(layer: dict[str, Any]) -> str:
    """``Format/Datatype`` of the outputs, which older versions write as ``Row major linear FP16 format``."""
    kinds = [
        str(output.get("Format/Datatype", output.get("Format", ""))) for output in layer.get("Outputs", [])
    ]
    return ", ".join(dict.fromkeys(kind for kind in kinds if kind))
