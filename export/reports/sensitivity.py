"""The sensitivity of a model's layers as JSON and as a table."""

from collections.abc import Collection
from typing import Any

import numpy as np
from rich.table import Table

from calibration.search.quality import Judge
from calibration.search.sensitivity import Sensitivity
from export.reports.kept_cost import KeptCost
from granet.app.results import ResultConsole

_WIDTH = 110


def sensitivity_json(
    record: Sensitivity, judge: Judge, kept: Collection[str], budget_db: float, cost: KeptCost
) -> dict[str, Any]:
    """Lists the layers in the order of keeping them; drops are means over the pictures."""
    layers = []
    for name in record.order:
        noise = record.noise[name]
        mean = float(np.mean(noise))
        layers.append(
            {
                "layer": name,
                "drop_db": float(np.mean(judge.drops(noise))),
                "psnr_to_fp32_db": min(150.0, float(10 * np.log10(255**2 / max(mean, 1e-12)))),
                "noise": mean,
                "arithmetic": record.share([name]),
                "kept": name in kept,
            }
        )
    return {
        **record.key,
        "budget_db": budget_db,
        "arithmetic_kept": record.share(list(kept)),
        "slower": cost.to_json(),
        "not_worth_it": sorted(name for name in record.multiplications if name not in record.noise),
        "layers": layers,
    }


def print_sensitivity(result: dict[str, Any], title: str) -> None:
    """Prints the table on stdout."""
    out = ResultConsole(_WIDTH)
    table = Table("layer", "drop", "PSNR to float32 (Y)", "arithmetic", "kept", title=title)
    for column in table.columns[1:]:
        column.justify = "right"
    for layer in result["layers"]:
        table.add_row(
            layer["layer"],
            f"{layer['drop_db']:.4f} dB",
            f"{layer['psnr_to_fp32_db']:.1f} dB",
            f"{layer['arithmetic']:.1%}",
            "yes" if layer["kept"] else "",
        )
    out.print(table)
    kept = sum(layer["kept"] for layer in result["layers"])
    out.print(
        f"{kept} of {len(result['layers'])} layers kept for a drop of {result['budget_db']:g} dB, and "
        f"{len(result['not_worth_it'])} that always are: "
        f"{result['arithmetic_kept']:.1%} of the convolutions' arithmetic stays in more bits"
    )
    slower = result["slower"]
    out.print(f"the layers kept for the drop make it {slower['times']:.2f} times as slow ({slower['by']})")
