"""``config.pbtxt``: the configuration of a model for Triton, in protobuf's text format."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from export.triton.servable import Servable
from runtime.artefacts.served import INPUT, PARAMETER
from runtime.triton_model import FILE_PARAMETER

QUEUE_SECONDS = 10
"""A frame that waits longer in Triton's queue is dropped. Clients may ask for less, and ours do."""

QUEUE_LENGTH = 64
"""More frames than these do not wait: they are dropped at once."""


@dataclass(frozen=True)
class Serving:
    """User-selectable settings of a served model.

    Attributes:
        name: the model's name on the server.
        max_batch: maximum number of frames that Triton puts into one batch.
        instances: copies of the model that compute at the same time, on every device.
        queue_delay_us: microseconds that a frame waits for others to form a batch.
    """

    name: str = "granet"
    max_batch: int = 8
    instances: int = 1
    queue_delay_us: int = 5000


def config_text(model: Servable, serving: Serving) -> str:
    """The content of ``config.pbtxt``; equal arguments give equal text."""
    return "".join(f"{line}\n" for line in _lines(model, serving))


def _lines(model: Servable, serving: Serving) -> Iterator[str]:
    served = model.served
    batch = [] if model.fixed_batch is None else [model.fixed_batch]
    dims = [*batch, served.height or -1, served.width or -1, 3]
    yield "# Written by granet-export triton."
    yield f"name: {_text(serving.name)}"
    yield f"backend: {_text(model.via)}"
    if model.via != "python":  # whose file is model.py
        yield f"default_model_filename: {_text(model.file)}"
    yield f"max_batch_size: {0 if batch else serving.max_batch}"
    yield f"input [ {{ name: {_text(INPUT)} data_type: TYPE_UINT8 dims: {dims} }} ]"
    for name in served.outputs:
        yield f"output [ {{ name: {_text(name)} data_type: TYPE_UINT8 dims: {dims} }} ]"
    yield f"instance_group [ {{ count: {serving.instances}{_kind(model)} }} ]"
    yield from _batching(serving, forms_batches=not batch)
    yield "version_policy { latest { num_versions: 1 } }"
    yield from _warm_up(model, batch)
    yield _parameter(PARAMETER, served.to_json())
    if model.via == "python":
        yield _parameter(FILE_PARAMETER, model.file)


def _kind(model: Servable) -> str:
    """The placement of instances; Triton's default is every GPU that the back end can use."""
    return {"openvino": " kind: KIND_CPU", "python": " kind: KIND_MODEL"}.get(model.via, "")


def _batching(serving: Serving, *, forms_batches: bool) -> Iterator[str]:
    yield "dynamic_batching {"
    if forms_batches:
        yield f"  max_queue_delay_microseconds: {serving.queue_delay_us}"
    yield "  default_queue_policy {"
    yield "    timeout_action: REJECT"
    yield f"    default_timeout_microseconds: {QUEUE_SECONDS * 1_000_000}"
    yield "    allow_timeout_override: true"
    yield f"    max_queue_size: {QUEUE_LENGTH}"
    yield "  }"
    yield "}"


def _warm_up(model: Servable, batch: list[int]) -> Iterator[str]:
    yield "model_warmup [ {"
    yield '  name: "one frame"'
    yield "  batch_size: 1"
    yield "  inputs {"
    yield f"    key: {_text(INPUT)}"
    yield f"    value {{ data_type: TYPE_UINT8 dims: {[*batch, *model.warm_up, 3]} random_data: true }}"
    yield "  }"
    yield "} ]"


def _parameter(key: str, value: str) -> str:
    return f"parameters {{ key: {_text(key)} value {{ string_value: {_text(value)} }} }}"


def _text(value: str) -> str:
    """A string of protobuf's text format; JSON's escapes of ASCII are among its own."""
    return json.dumps(value)
