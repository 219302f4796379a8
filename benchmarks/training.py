"""The overhead of the training loop of ``granet-train``: ``python benchmarks/training.py``.

Three loops take turns on the same samples, network, number format and layout:

- *bare*: forward, backward and Adam on batches that lie ready;
- *loop*: the trainer with its clipping, moving average, checks and counters, on batches that lie ready;
- *with data*: the trainer that also reads pictures, lets rain fall on them and cuts them, beside the steps.

A round's first steps are not counted, and neither are validation and files, which come once an epoch. CPU
seconds are of the whole process over all threads; the median of the rounds is printed.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import torch

from granet import GraNetConfig
from granet.data.datasets import open_dataset
from granet.data.image_files import Pixels
from granet.synthetic.street import street
from granet.training.compute import Compute, fastest
from granet.training.losses import restoration_loss
from granet.training.processes import Processes
from granet.training.recipe import Limits, Recipe
from granet.training.samples import Cutting, TrainingData
from granet.training.start import first_network
from granet.training.trainer import Trainer
from granet.training.validation import Validation
from runtime.checks.machine import this_machine

WARM_UP = 2
"""Steps of a round that are not counted."""
TINY = GraNetConfig(channels=8, growth=4, dense_layers=2, nonlocal_channels=4, fine_blocks=2, fold=2)
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Cost:
    """Time of the counted steps in seconds."""

    cpu: float
    wall: float


class Watch:
    """Counts from the end of the warm-up to the last step; true when that is reached."""

    def __init__(self, steps: int) -> None:
        self._steps, self._done = steps, 0
        self._cpu = self._wall = 0.0
        self.cost = Cost(0.0, 0.0)

    def __call__(self) -> bool:
        """The stop function, called after each step."""
        self._done += 1
        if self._done == WARM_UP:
            self._cpu, self._wall = time.process_time(), time.perf_counter()
        if self._done == WARM_UP + self._steps:
            self.cost = Cost(time.process_time() - self._cpu, time.perf_counter() - self._wall)
        return self._done >= WARM_UP + self._steps


class Ready(TrainingData):
    """The batches of other data, made before they are needed."""

    def __init__(self, data: TrainingData, batch: int, steps: int) -> None:
        self.epoch_size = data.epoch_size
        self._batches = {first: data.batch(first, batch) for first in range(0, steps * batch, batch)}

    def batch(self, first: int, count: int) -> tuple[Pixels, Pixels]:
        """See :meth:`TrainingData.batch`; beyond the last the batches begin again."""
        return self._batches[first % (len(self._batches) * count)]


def bare(recipe: Recipe, compute: Compute, data: TrainingData, watch: Watch) -> None:
    """The least that a training can do."""
    network = compute.place(first_network(recipe).train(), CPU)
    optimiser = torch.optim.Adam(network.parameters(), lr=recipe.lr)
    first, done = 0, False
    while not done:
        batch = data.batch(first, recipe.batch)
        rainy, clean = (compute.image(torch.from_numpy(pixels), CPU) for pixels in batch)
        optimiser.zero_grad(set_to_none=True)
        with compute.autocast(CPU):
            derained = network(rainy).float()
        restoration_loss(derained, clean, recipe.loss).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        first += recipe.batch
        done = watch()


def trained(recipe: Recipe, compute: Compute, data: TrainingData, watch: Watch, workers: int) -> None:
    """The loop of ``granet-train``."""
    processes = Processes(0, 1, CPU)
    validation = Validation(
        [open_dataset("drawn:1", "test")], processes, GraNetConfig.from_dict(recipe.config).size_rule
    )
    with tempfile.TemporaryDirectory() as out:
        trainer = Trainer(
            recipe, data, validation, Path(out), Limits(epochs=1), processes, print, workers, compute=compute
        )
        trainer.run(watch)


def main() -> None:
    """Prints the machine, how it computes, and a table."""
    options = _options()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    print(f"{this_machine('torch', 'numpy')}\n")
    with tempfile.TemporaryDirectory() as folder:
        for index in range(8):
            cv2.imwrite(f"{folder}/{index}.png", street(240, 320, seed=index)[..., ::-1])
        _measure(options, f"synthetic:{folder}?split=all")


def _measure(options: argparse.Namespace, spec: str) -> None:
    config = TINY if options.preset == "tiny" else GraNetConfig.preset(options.preset)
    recipe = Recipe(
        config=asdict(config), train=(spec,), val=("drawn:1",), batch=options.batch, crop=(options.crop,),
        epoch_size=10**6, ema=0.999, clip_gradient=0.5, lr=1e-4,
    )  # fmt: skip
    cutting = Cutting(recipe.crop, epochs=1)
    data = TrainingData([open_dataset(spec, "train")], None, 0, cutting, recipe.epoch_size)
    ready = Ready(data, options.batch, WARM_UP + options.steps)
    pixels = torch.from_numpy(ready.batch(0, options.batch)[0])
    compute, line = fastest(first_network(recipe), pixels, CPU)
    print(f"{line}\n")
    loops: dict[str, Callable[[Watch], None]] = {
        "bare": lambda watch: bare(recipe, compute, ready, watch),
        "loop": lambda watch: trained(recipe, compute, ready, watch, 0),
        "with data": lambda watch: trained(recipe, compute, data, watch, options.workers),
    }
    costs: dict[str, list[Cost]] = {name: [] for name in loops}
    for _ in range(options.rounds):
        for name, loop in loops.items():
            watch = Watch(options.steps)
            loop(watch)
            costs[name].append(watch.cost)
    _print(costs, options)


def _print(costs: dict[str, list[Cost]], options: argparse.Namespace) -> None:
    crops = options.steps * options.batch
    print(
        f"`{options.preset}`, {options.batch} crops of {options.crop} a step, {options.threads} threads, "
        f"{options.workers} workers, {options.steps} steps, {options.rounds} rounds\n\n"
        "| | CPU-ms a crop | wall ms a crop | CPU over bare | wall over bare |\n|---|---:|---:|---:|---:|"
    )
    for name, measured in costs.items():
        cpu, wall = (statistics.median(getattr(cost, key) for cost in measured) for key in ("cpu", "wall"))
        # Ratios within a round: what else the machine does hits its loops alike.
        over = [
            statistics.median(
                getattr(mine, key) / getattr(base, key)
                for mine, base in zip(measured, costs["bare"], strict=True)
            )
            for key in ("cpu", "wall")
        ]
        print(
            f"| {name} | {1e3 * cpu / crops:.1f} | {1e3 * wall / crops:.1f} | {over[0]:.3f} | {over[1]:.3f} |"
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--preset", choices=("lite", "base", "paper", "tiny"), default="lite")
    parser.add_argument("--crop", type=int, default=128, help="Side of the crops, in pixels.")
    parser.add_argument("--batch", type=int, default=8, help="Crops per step.")
    parser.add_argument("--steps", type=int, default=12, help="Counted steps per round.")
    parser.add_argument("--rounds", type=int, default=3, help="Turns of each loop.")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads.")
    parser.add_argument("--workers", type=int, default=1, help="Threads that prepare batches.")
    parser.add_argument(
        "--smallest", action="store_true", help="Run in seconds: a tiny network, to see that it works."
    )
    options = parser.parse_args()
    if options.smallest:
        options.preset, options.crop, options.batch, options.steps, options.rounds = "tiny", 32, 2, 4, 1
    return options


if __name__ == "__main__":
    main()
