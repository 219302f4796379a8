"""A server that speaks KServe v2 over gRPC, in this process: it inverts frames, or misbehaves."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

SERVED = {
    "format": 1,
    "precision": "int8",
    "colour": "bgr",
    "multiple": 8,
    "extent": 512,
    "height": None,
    "width": None,
    "batch": None,
    "outputs": ["derained"],
}


class FakeServer(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Holds one model, ``granet``.

    Attributes:
        served: the parameter ``granet`` of the configuration; ``None`` for a model that is not ours.
        most: ``max_batch_size``.
        delay: called with the number of the call, from 0; returns the seconds that it takes.
        answer: what becomes of the frames.
        refuse: status and text that every call gets instead of an answer.
        knows_config: false for a server that is not Triton.
        empty: whether answers have a shape and no bytes.
        batches: number of frames of each call.
    """

    def __init__(self, address: str = "127.0.0.1:0") -> None:
        self.served: dict[str, Any] | None = dict(SERVED)
        self.most = 8
        self.delay: Callable[[int], float] = lambda call: 0.0
        self.answer: Callable[[np.ndarray], np.ndarray] = lambda frames: 255 - frames
        self.refuse: tuple[grpc.StatusCode, str] | None = None
        self.knows_config = True
        self.empty = False
        self.batches: list[int] = []
        self._lock = threading.Lock()
        self._server: grpc.Server | None = None
        self.port = 0
        self.start(address)

    def start(self, address: str = "", compression: grpc.Compression | None = None) -> None:
        pool = ThreadPoolExecutor(16)
        self._server = grpc.server(pool, options=[("grpc.so_reuseport", 0)], compression=compression)
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(address or f"127.0.0.1:{self.port}")
        self._server.start()

    def stop(self) -> None:
        """Dies: calls in progress fail, and the port is free."""
        if self._server is not None:
            self._server.stop(0).wait()
            self._server = None

    def ServerMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        return service_pb2.ServerMetadataResponse(name="fake", version="1")

    def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return service_pb2.ModelReadyResponse(ready=True)

    def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.name != "granet":
            context.abort(grpc.StatusCode.NOT_FOUND, f"Request for unknown model: '{request.name}'")
        reply = service_pb2.ModelMetadataResponse(name=request.name, versions=["9", "10"])
        model = self.served or SERVED
        shape = [model["batch"] or -1, model["height"] or -1, model["width"] or -1, 3]
        reply.inputs.add(name="rainy", datatype="UINT8", shape=shape)
        for name in model["outputs"]:
            reply.outputs.add(name=name, datatype="UINT8", shape=shape)
        return reply

    def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        if not self.knows_config:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "")
        config = model_config_pb2.ModelConfig(name=request.name, max_batch_size=self.most)
        if self.served is not None:
            config.parameters["granet"].string_value = json.dumps(self.served)
        return service_pb2.ModelConfigResponse(config=config)

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        with self._lock:
            call = len(self.batches)
            self.batches.append(request.inputs[0].shape[0])
        if self.refuse is not None:
            context.abort(*self.refuse)
        time.sleep(self.delay(call))
        frames = np.frombuffer(request.raw_input_contents[0], np.uint8).reshape(request.inputs[0].shape)
        reply = service_pb2.ModelInferResponse(model_name=request.model_name)
        for output in request.outputs:
            result = frames if output.name == "mask" else self.answer(frames)
            reply.outputs.add(name=output.name, datatype="UINT8", shape=result.shape)
            content = np.ascontiguousarray(result).tobytes()
            reply.raw_output_contents.append(b"" if self.empty else content)
        return reply


@contextmanager
def running_server() -> Iterator[FakeServer]:
    server = FakeServer()
    try:
        yield server
    finally:
        server.stop()
