"""Draws the map of the code in CONTRIBUTING.md: ``python docs/draw_rooms.py docs/rooms.png``.

The imports are read by grimp, which import-linter brings along. Each package is a house. A room is a
folder or a file in it, and stands above all rooms that it imports. An arrow says "imports"; those that
follow from others are left out, and so are arrows between packages, which all point to the right.
"""

import ast
import sys
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import grimp
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

ROOT = Path(__file__).parents[1]
HOUSES = {"export": "#e8d9f0", "calibration": "#f7dfc8", "runtime": "#d3e5f5", "granet": "#d8ecd3"}
"""Packages in the direction of imports, from left to right, with the colour of their rooms."""

WIDTH, HEIGHT = 1.96, 1.02
"""Size of a room in inches."""

ACROSS, DOWN, BETWEEN = 2.12, 1.46, 0.6
"""Distance of neighbours, of floors and of houses, in inches."""

BENDS = (0.0, 0.1, -0.1, 0.2, -0.2, 0.3, -0.3, 0.4, -0.4, 0.5, -0.5, 0.6, -0.6, 0.7, -0.7)
"""Curvature of arrows: distance of the control point from the straight line, over the line's length."""

Arrow = tuple[str, str]
Point = tuple[float, float]


@dataclass(frozen=True)
class House:
    """A package.

    Attributes:
        name: name of the package.
        floors: names of rooms, the ground floor first.
        arrows: (importer, imported), without those that follow from others.
    """

    name: str
    floors: list[list[str]]
    arrows: list[Arrow]

    @property
    def width(self) -> float:
        """Size in inches."""
        return ACROSS * max(len(floor) for floor in self.floors)


def read_house(graph: grimp.ImportGraph, name: str) -> House:
    """The rooms of a package and their imports.

    Raises:
        ValueError: if rooms import each other in a circle.
    """
    rooms = sorted(child.partition(".")[2] for child in graph.find_children(name))
    imports: dict[str, set[str]] = {room: set() for room in rooms}
    for module in graph.find_descendants(name):
        for imported in graph.find_modules_directly_imported_by(module):
            if imported.startswith(f"{name}."):
                imports[module.split(".")[1]].add(imported.split(".")[1])
    for room, others in imports.items():
        others.discard(room)
    below = {room: _reached(imports, room) for room in rooms}
    arrows = [
        (room, other)
        for room in rooms
        for other in sorted(imports[room])
        if not any(other in below[between] for between in imports[room] - {other})
    ]
    return House(name, _ordered(_floors(imports), arrows), arrows)


def _reached(imports: dict[str, set[str]], room: str) -> set[str]:
    """All rooms that one imports, directly or through others."""
    found: set[str] = set()
    left = set(imports[room])
    while left:
        found |= left
        left = {other for one in left for other in imports[one]} - found
    if room in found:
        raise ValueError(f"{room} imports itself through other rooms")
    return found


def _floors(imports: dict[str, set[str]]) -> list[list[str]]:
    floors: list[list[str]] = []
    left = dict(imports)
    while left:
        floor = sorted(room for room, others in left.items() if not others & left.keys())
        floors.append(floor)
        left = {room: others for room, others in left.items() if room not in floor}
    return floors


def _ordered(floors: list[list[str]], arrows: list[Arrow]) -> list[list[str]]:
    """The same floors, with each room over the middle of those that it imports."""
    places: dict[str, float] = {}
    ordered = []
    for floor in floors:
        middles = {room: _mean([places[b] for a, b in arrows if a == room]) for room in floor}
        row = sorted(floor, key=lambda room: (middles[room], room))
        places |= {room: number - (len(row) - 1) / 2 for number, room in enumerate(row)}
        ordered.append(row)
    return ordered


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def purpose(module: str) -> str:
    """The first sentence of a module's docstring, without markup."""
    path = ROOT.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    line = (ast.get_docstring(ast.parse(file.read_text())) or "").splitlines()[0]
    for markup in ("``", "`", ":class:", ":mod:"):
        line = line.replace(markup, "")
    return line.rstrip(".")


def draw_house(axes: Axes, house: House, left: float, colour: str) -> None:
    """Draws a house with its left wall at ``left`` and its ground at 0."""
    middle = left + house.width / 2
    centres = {
        room: (middle + ACROSS * (number - (len(row) - 1) / 2), DOWN * (floor + 0.5))
        for floor, row in enumerate(house.floors)
        for number, room in enumerate(row)
    }
    top = DOWN * len(house.floors)
    axes.text(middle, top + 0.05, f"{house.name}/", ha="center", va="bottom", size=20, weight="bold")
    for room, centre in centres.items():
        _draw_room(axes, f"{house.name}.{room}", centre, colour)
    for importer, imported in house.arrows:
        _draw_arrow(axes, centres[importer], centres[imported], centres.values())


def _draw_room(axes: Axes, module: str, centre: Point, colour: str) -> None:
    x, y = centre
    name = module.partition(".")[2]
    is_folder = ROOT.joinpath(*module.split(".")).is_dir()
    box = FancyBboxPatch(
        (x - WIDTH / 2, y - HEIGHT / 2), WIDTH, HEIGHT, boxstyle="round,pad=0,rounding_size=0.07",
        facecolor=colour if is_folder else "white", edgecolor="#444444", linewidth=1.1, zorder=3,
    )  # fmt: skip
    axes.add_patch(box)
    title = f"{name}/" if is_folder else f"{name}.py"
    axes.text(
        x,
        y + 0.33,
        title,
        ha="center",
        va="center",
        size=12 if len(title) < 20 else 10.5,
        weight="bold",
        zorder=4,
    )
    text = textwrap.shorten(purpose(module), 96, placeholder=" …")
    text = "\n".join(textwrap.wrap(text, 31))
    axes.text(x, y - 0.12, text, ha="center", va="center", size=8, color="#222222", zorder=4)


def _draw_arrow(axes: Axes, importer: Point, imported: Point, rooms: Iterable[Point]) -> None:
    """An arrow from the bottom of a room to the top of another, with the least curve that avoids rooms."""
    start = (importer[0], importer[1] - HEIGHT / 2)
    end = (imported[0], imported[1] + HEIGHT / 2)
    bend = min(BENDS, key=lambda bend: (_hits(_curve(start, end, bend), rooms), abs(bend)))
    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            connectionstyle=f"arc3,rad={bend}",
            arrowstyle="-|>",
            mutation_scale=10,
            linewidth=0.9,
            color="#555555",
            shrinkA=0,
            shrinkB=1,
            zorder=2,
        )
    )


def _curve(start: Point, end: Point, bend: float) -> list[Point]:
    """Points of the curve that matplotlib's ``arc3`` draws."""
    across, up = end[0] - start[0], end[1] - start[1]
    control = (start[0] + across / 2 + bend * up, start[1] + up / 2 - bend * across)
    steps = [step / 60 for step in range(2, 59)]
    return [
        (
            (1 - t) ** 2 * start[0] + 2 * t * (1 - t) * control[0] + t**2 * end[0],
            (1 - t) ** 2 * start[1] + 2 * t * (1 - t) * control[1] + t**2 * end[1],
        )
        for t in steps
    ]


def _hits(curve: list[Point], rooms: Iterable[Point]) -> int:
    """Number of points of a curve that lie in rooms."""
    return sum(abs(x - a) < WIDTH / 2 + 0.03 and abs(y - b) < HEIGHT / 2 for x, y in curve for a, b in rooms)


def main() -> None:
    """Writes the picture to the path that the command line names."""
    sys.path.insert(0, str(ROOT))
    graph = grimp.build_graph(*HOUSES, cache_dir=None)
    houses = [read_house(graph, name) for name in HOUSES]
    width = sum(house.width + BETWEEN for house in houses)
    height = DOWN * max(len(house.floors) for house in houses) + 0.6
    figure = plt.figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(-BETWEEN / 2, width - BETWEEN / 2)
    axes.set_ylim(-0.1, height - 0.1)
    axes.axis("off")
    left = 0.0
    for house in houses:
        draw_house(axes, house, left, HOUSES[house.name])
        left += house.width + BETWEEN
        if house is not houses[-1]:
            arrow = ((left - BETWEEN + 0.02, DOWN / 2), (left - 0.02, DOWN / 2))
            axes.add_patch(
                FancyArrowPatch(*arrow, arrowstyle="-|>", mutation_scale=28, linewidth=3, color="#999")
            )
    figure.savefig(sys.argv[1], dpi=90)


if __name__ == "__main__":
    main()
