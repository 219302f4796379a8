"""The measurements of one ``granet-eval`` run, and their JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from granet.app.progress import terminal_progress
from granet.data.datasets import Dataset
from granet.errors import UserError
from granet.evaluation.scoring import Evaluation, evaluate, evaluate_dry, evaluate_stages
from granet.paper.tables import ablation_of
from runtime.evaluation.models import EvaluatedModel


@dataclass(frozen=True)
class EvaluationReport:
    """The results; empty where not requested.

    Attributes:
        models: description of each, JSON values.
        data: the results of all models, an evaluation for each data set.
        stages: table 3, an evaluation for each data set, by checkpoint.
        clean: results on dry pictures.
    """

    models: Sequence[Mapping[str, Any]]
    data: Sequence[Evaluation] = ()
    stages: Mapping[str, Sequence[Evaluation]] = field(default_factory=dict)
    clean: Evaluation | None = None

    def to_json(self) -> dict[str, Any]:
        """All of it, as ``--json`` prints it."""
        return {
            "models": list(self.models),
            "data": [evaluation.to_json() for evaluation in self.data],
            "stages": {
                model: [evaluation.to_json() for evaluation in evaluations]
                for model, evaluations in self.stages.items()
            },
            "clean": None if self.clean is None else self.clean.to_json(),
        }


def measure_results(
    datasets: Sequence[Dataset], models: Sequence[EvaluatedModel], limit: int | None
) -> list[Evaluation]:
    """Results and rainy input against the ground truth, on each data set; progress is shown.

    Raises:
        UserError: if a picture cannot be read or computed on.
    """
    derain = {model.name: model.derain for model in models}
    evaluations = []
    for dataset in datasets:
        with terminal_progress(dataset.title) as progress:
            evaluations.append(evaluate(dataset, derain, limit, progress))
    return evaluations


def measure_stages(
    datasets: Sequence[Dataset], models: Sequence[EvaluatedModel], limit: int | None
) -> dict[str, list[Evaluation]]:
    """Table 3 for each checkpoint among ``models``; progress is shown.

    Raises:
        UserError: if there is none, or a picture cannot be read or computed on.
    """
    measured: dict[str, list[Evaluation]] = {}
    for model in checkpoints(models, "table 3"):
        stages = model.open_stages()
        measured[model.name] = []
        for dataset in datasets:
            with terminal_progress(f"{dataset.title}, stages") as progress:
                measured[model.name].append(evaluate_stages(dataset, stages, limit, progress))
    return measured


def measure_dry(dataset: Dataset, models: Sequence[EvaluatedModel], limit: int | None) -> Evaluation:
    """Results of the models on clean pictures; progress is shown.

    Raises:
        UserError: if a picture cannot be read or computed on.
    """
    derain = {model.name: model.derain for model in models}
    with terminal_progress(dataset.title) as progress:
        return evaluate_dry(dataset, derain, limit, progress)


def checkpoints(models: Sequence[EvaluatedModel], what: str) -> list[EvaluatedModel]:
    """The models whose stages can be seen: those that run in PyTorch.

    Raises:
        UserError: if there is none; ``what`` needs one.
    """
    found = [model for model in models if model.is_checkpoint]
    if not found:
        raise UserError(
            f"{what} shows the stages of a network, which come from a checkpoint: name one with --ckpt"
        )
    return found


def settings_of_table2(models: Sequence[EvaluatedModel]) -> dict[str, str]:
    """Model -> which of the four ablations it is; models that are none of them are left out.

    Raises:
        UserError: if the configuration of a model cannot be read.
    """
    settings = {model.name: ablation_of(model.config) for model in models}
    return {name: setting for name, setting in settings.items() if setting is not None}
