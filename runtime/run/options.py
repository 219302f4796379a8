"""The options of ``granet-run`` as one object."""

from dataclasses import dataclass
from pathlib import Path

from runtime.live.outputs import Outputs, View
from runtime.sinks.open import NULL, WINDOW
from runtime.sources.camera.source import CameraOptions, parse_camera_options
from runtime.telemetry.listen import parse_listen


@dataclass(frozen=True)
class RunOptions:
    """The options by their names; ``None`` or empty where one was not given.

    Attributes:
        source: ``--input``.
        outputs: each ``--output``.
        as_json: ``--json``.
    """

    camera: str | None = None
    source: str | None = None
    model: str | None = None
    outputs: tuple[str, ...] = ()
    serve: str | None = None
    metrics: str | None = None
    show: View | None = None
    compare: bool = False
    skip_dry: bool = False
    no_window: bool = False
    max_frames: int | None = None
    config: Path | None = None
    live: bool = False
    list_cameras: bool = False
    raw: str | None = None
    give_up_after: float | None = None
    camera_format: str | None = None
    camera_size: str | None = None
    camera_rate: str | None = None
    as_json: bool = False
    device: str = "auto"
    backend: str = "auto"
    rebuild: bool = False
    overwrite: bool = False

    @property
    def view(self) -> View:
        """What of the frames is shown and written."""
        return "compare" if self.compare else self.show or "result"

    @property
    def viewers(self) -> tuple[str, ...]:
        """The outputs that show a view; the page, which has views of its own, is not one of them."""
        if self.outputs:
            return tuple(output for output in self.outputs if output != NULL)
        return () if self.no_window or self.serve is not None else (WINDOW,)

    def parsed_outputs(self) -> Outputs:
        """All that is written to.

        Raises:
            UsageError: if an address to listen on is not one.
        """
        return Outputs(
            self.outputs,
            serve=None if self.serve is None else parse_listen(self.serve),
            metrics=None if self.metrics is None else parse_listen(self.metrics),
            view=self.view,
            window=not self.no_window,
            overwrite=self.overwrite,
            limit=self.max_frames,
        )

    def parsed_camera(self) -> CameraOptions:
        """What the camera is asked for.

        Raises:
            UsageError: if size or rate are not written as they must be.
        """
        return parse_camera_options(self.camera_format, self.camera_size, self.camera_rate)
