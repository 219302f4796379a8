"""The models that an evaluation compares: opened, named, and all taking RGB."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from granet.app.distinct_names import distinct_names
from granet.config import GraNetConfig
from granet.errors import UserError
from granet.evaluation.scoring import Stages
from granet.weights.file_names import is_checkpoint
from granet.weights.renames import Rename
from runtime.artefacts.onnx_file import read_metadata
from runtime.engines.base import Engine
from runtime.media.frame import Pixels
from runtime.open import open_engine


@dataclass(frozen=True)
class EvaluatedModel:
    """A model and the name it is shown under.

    Attributes:
        name: its file name; with folders if another one has the same.
        path: the path that the user gave.
        engine: its engine.
        renames: names of the weights of a checkpoint of another program.
    """

    name: str
    path: Path
    engine: Engine
    renames: Sequence[Rename] = ()

    def derain(self, rainy: Pixels) -> Pixels:
        """uint8 N x H x W x 3, RGB -> the rain-free pictures, of the same shape."""
        if self.engine.info.colour == "rgb":
            return self.engine.run(rainy)
        return np.asarray(self.engine.run(rainy[..., ::-1])[..., ::-1], np.uint8)

    @property
    def is_checkpoint(self) -> bool:
        """Whether it is a checkpoint, not an exported model."""
        return is_checkpoint(self.path)

    @property
    def config(self) -> GraNetConfig:
        """Configuration of the network, from the file.

        Raises:
            UserError: if the file cannot be read, or has no valid configuration.
        """
        if not self.is_checkpoint:
            return GraNetConfig.from_dict(read_metadata(self.path).config)
        from granet.checkpoint import read_checkpoint  # imports torch

        return read_checkpoint(self.path, self.renames).config

    def open_stages(self) -> Callable[[Pixels], Stages]:
        """Mask, coarse and fine result of a checkpoint, on the device of its engine.

        Raises:
            UserError: if it is not a checkpoint.
        """
        from granet.evaluation.stages import open_stages  # imports torch

        return open_stages(self.path, self.engine.info.device, self.renames)

    def to_json(self) -> dict[str, Any]:
        """Name, file and backend."""
        info = self.engine.info
        facts = {"backend": info.backend, "device": info.device, "precision": info.precision}
        return {"name": self.name, "file": str(self.path), **facts, "description": info.description}


@contextmanager
def open_models(
    paths: Sequence[Path], device: str, backend: str, renames: Mapping[Path, Sequence[Rename]] | None = None
) -> Iterator[list[EvaluatedModel]]:
    """Opens models and closes them at the end.

    Args:
        paths: checkpoints and exported models, in the order in which they are shown.
        device: device of all models, as for :func:`runtime.open.open_engine`.
        backend: backend of the exported models; checkpoints run in torch.
        renames: names of the weights, by checkpoint.

    Yields:
        The models; names are distinct.

    Raises:
        UserError: if one is named twice or cannot be opened, or ``backend`` concerns none.
    """
    twice = [path for path, count in Counter(paths).items() if count > 1]
    if twice:
        raise UserError(f"{twice[0]} is named twice")
    if backend not in ("auto", "torch") and all(map(is_checkpoint, paths)):
        raise UserError(f"--backend {backend} is for exported models, and only checkpoints are named")
    with ExitStack() as stack:
        models = []
        for path, name in zip(paths, distinct_names(paths), strict=True):
            mapped = (renames or {}).get(path, ())
            open_it = partial(open_engine, renames=mapped) if mapped else open_engine
            engine = open_it(path, device, "auto" if is_checkpoint(path) else backend, colour="rgb")
            models.append(EvaluatedModel(name, path, stack.enter_context(engine), mapped))
        yield models
