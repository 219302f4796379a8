"""The options of ``granet-eval`` as one object."""

from dataclasses import dataclass
from pathlib import Path

from runtime.evaluation.models import is_checkpoint
from runtime.model_option import model_path


@dataclass(frozen=True)
class EvalOptions:
    """The options by their names; ``None`` or empty where one was not given.

    Attributes:
        models: each ``--model``: the name of a packaged model, or a path.
        picked: each ``--pick``.
        as_json: ``--json``.
    """

    ckpt: tuple[Path, ...] = ()
    models: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    clean: Path | None = None
    fixed_camera: str | None = None
    limit: int | None = None
    table1: bool = False
    table2: bool = False
    table3: bool = False
    tables: bool = False
    figure6: Path | None = None
    figure7: Path | None = None
    figure8: Path | None = None
    images: Path | None = None
    picked: tuple[str, ...] = ()
    as_json: bool = False
    device: str = "auto"
    backend: str = "auto"
    overwrite: bool = False

    def paths(self) -> list[Path]:
        """The files of the models, in the order in which they are shown.

        Raises:
            UserError: if a packaged model does not exist.
        """
        return [*self.ckpt, *(model_path(model, self.device, self.backend) for model in self.models)]

    @property
    def has_checkpoint(self) -> bool:
        """Whether one of the models runs in PyTorch, and so shows its stages."""
        return any(map(is_checkpoint, [*self.ckpt, *map(Path, self.models)]))

    @property
    def measures_every_model(self) -> bool:
        """Whether all models are measured, and not only stages of checkpoints."""
        return self.measures_results or self.clean is not None or self.fixed_camera is not None

    @property
    def figures(self) -> tuple[Path, ...]:
        """The files of the figures."""
        return tuple(path for path in (self.figure6, self.figure7, self.figure8) if path is not None)

    @property
    def measures_results(self) -> bool:
        """Whether all models run on every picture of ``--data``."""
        some = self.table1 or self.table2 or self.tables or self.figure8 is not None
        return bool(self.data) and (some or not (self.table3 or self.figure7))

    @property
    def measures_stages(self) -> bool:
        """Whether the stages of each checkpoint are measured on ``--data``."""
        return self.table3 or (self.tables and self.has_checkpoint)
