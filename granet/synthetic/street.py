"""A synthetic street: clean video for the demo and for parity checks, drawn with numpy only.

It contains what makes deraining hard: thin upright structures that look like streaks (railings, lamp posts,
window frames), wires, texture on many scales, bright and dark areas, and motion. Lengths are fractions of
the frame's height (:mod:`granet.synthetic.canvas`).
"""

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from granet.errors import UserError
from granet.synthetic.canvas import Box, Canvas, Colour, rectangle

_PAN_SPAN = 0.3  # range of the camera's pan, as a fraction of the width
_PAN_PERIOD = 24.0  # seconds for a full pan there and back
_GROUND = 0.72  # base of the houses; the pavement and the road are below
_KERB = 0.765

_FACADES = [(158, 96, 78), (186, 170, 146), (120, 124, 130), (204, 190, 160), (140, 110, 96), (168, 174, 176)]
_AWNINGS = [(150, 44, 46), (44, 92, 84), (190, 140, 60), (54, 70, 110)]
_PAINTS = [(178, 36, 38), (36, 78, 140), (206, 206, 204), (42, 46, 52), (214, 160, 44)]


def street(height: int, width: int, time: float = 0.0, seed: int = 0) -> NDArray[np.uint8]:
    """Draws one clean frame of a street with cars, seen by a slowly panning camera.

    Args:
        height: pixels, at least 16.
        width: pixels, at least 16.
        time: seconds; frames with the same seed and size at increasing times form a video.
        seed: selects the street.

    Returns:
        uint8 H x W x 3, RGB; equal arguments give equal bytes.

    Raises:
        UserError: if a side is below 16 pixels.
    """
    if min(height, width) < 16:
        raise UserError(f"a street of {width}x{height} pixels is too small to draw: at least 16x16")
    world = _world(height, width, seed)
    turn = (world.shape[1] - width - 1) * (0.5 - 0.5 * np.cos(2 * np.pi * time / _PAN_PERIOD))
    left = int(turn)
    between = np.float32(turn - left)
    view = world[:, left : left + width + 1].astype(np.float32)
    canvas = Canvas(view[:, :-1] * (1 - between) + view[:, 1:] * between, seed, offset=turn)
    _drive(canvas, world.shape[1] / height, time, seed)
    # Shot and read noise of a small sensor, new in every frame.
    rng = np.random.default_rng([seed, round(time * 1e6) % 2**63])
    grain = rng.standard_normal((height, width, 1), np.float32) * (
        0.6 + 0.11 * np.sqrt(np.maximum(canvas.pixels, 0))
    )
    return np.clip(np.rint(canvas.pixels + grain), 0, 255).astype(np.uint8)


@lru_cache(maxsize=2)
def _world(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """The static scene over the whole pan; uint8 H x W' x 3, read-only."""
    rng = np.random.default_rng(seed)
    columns = width + int(_PAN_SPAN * width) + 2
    canvas = Canvas(np.empty((height, columns, 3), np.float32), seed)
    _sky(canvas)
    right = columns / height
    left = -rng.uniform(0, 0.2)
    while left < right:
        size = rng.uniform(0.3, 0.58)
        _house(canvas, (left, rng.uniform(0.06, 0.42), left + size, _GROUND), rng)
        left += size + (rng.uniform(0.05, 0.22) if rng.random() < 0.35 else 0.0)
    _road(canvas)
    _railing(canvas, (rng.uniform(0.1, 0.5), 0.675, rng.uniform(0.8, 1.3), 0.75), 0.016, (58, 62, 66))
    for place in np.arange(rng.uniform(0.15, 0.4), right, 0.62):
        _tree(canvas, place + rng.uniform(-0.12, 0.12), rng.uniform(0.12, 0.19))
    _lamps(canvas, rng.uniform(0.05, 0.6), right)
    world = np.clip(np.rint(canvas.pixels), 0, 255).astype(np.uint8)
    world.flags.writeable = False
    return world


def _sky(canvas: Canvas) -> None:
    """An overcast sky, brighter towards the horizon, with a hazy ridge of hills."""
    y, x, part = canvas.area((0, 0, canvas.pixels.shape[1] / canvas.unit, 1))
    y = y + 0 * x
    zenith, horizon = np.array([132, 152, 178], np.float32), np.array([226, 222, 212], np.float32)
    part[:] = zenith + y[..., None] * (horizon - zenith)
    clouds = np.clip(canvas.texture(part, 0.22, 0.6) + 0.08, 0, 0.3)[..., None] * 3
    part += clouds * (np.array([222, 224, 228], np.float32) - part)
    ridge = 0.54 + 0.16 * canvas.texture(part[:1], 1, 0.5)
    canvas.paint(part, y - ridge, (146, 158, 164))


def _house(canvas: Canvas, box: Box, rng: np.random.Generator) -> None:
    left, top, right, bottom = box
    wall = np.array(_FACADES[rng.integers(len(_FACADES))], np.float32) * np.float32(rng.uniform(0.8, 1.1))
    y, x, part = canvas.area(box)
    rough = canvas.texture(part, 0.05, 0.05)
    stains = canvas.texture(part, 0.5, 0.02)  # long and upright, like rain
    courses = 0.05 * (np.sin(2 * np.pi * y / 0.013) > 0.8)
    light = 1.04 - 0.3 * (y - top) + 0.24 * rough + 0.14 * stains - courses - 0.12 * (x > right - 0.012)
    canvas.paint(part, rectangle(y, x, box), light[..., None] * wall)
    canvas.box((left - 0.006, top - 0.01, right + 0.006, top + 0.008), (92, 88, 86))
    for _ in range(rng.integers(1, 4)):
        mast = rng.uniform(left + 0.02, right - 0.02)
        canvas.box((mast, top - rng.uniform(0.03, 0.1), mast + 0.004, top), (60, 60, 64))
    across = max(int((right - left - 0.04) / 0.078), 1)
    pitch = (right - left - 0.03) / across
    balconies = rng.random() < 0.5
    for floor in np.arange(top + 0.035, bottom - 0.19, 0.105):
        for i in range(across):
            place = left + 0.015 + (i + 0.5) * pitch
            _window(canvas, (place - 0.021, floor, place + 0.021, floor + 0.066), rng)
        if balconies and rng.random() < 0.6:
            _railing(canvas, (left + 0.02, floor + 0.045, right - 0.02, floor + 0.078), 0.011, (50, 50, 54))
    _shop(canvas, box, rng)


def _window(canvas: Canvas, box: Box, rng: np.random.Generator) -> None:
    left, top, right, bottom = box
    canvas.box((left - 0.005, top - 0.005, right + 0.005, bottom + 0.005), (216, 212, 204))
    lit = rng.random() < 0.12
    glass = np.array((236, 204, 140) if lit else (58, 70, 84), np.float32) * np.float32(rng.uniform(0.8, 1.2))
    y, x, part = canvas.area(box)
    reflection = np.clip((bottom - y) / (bottom - top) + 0.4 * (x - left) / (right - left) - 0.6, 0, 1)
    canvas.paint(part, rectangle(y, x, box), glass + 70 * reflection[..., None])
    middle = (left + right) / 2
    canvas.box((middle - 0.002, top, middle + 0.002, bottom), (206, 202, 194))
    canvas.box((left, top + 0.02, right, top + 0.0225), (206, 202, 194))
    canvas.box((left - 0.008, bottom + 0.004, right + 0.008, bottom + 0.009), (120, 116, 110))


def _shop(canvas: Canvas, house: Box, rng: np.random.Generator) -> None:
    """The ground floor: a shop window, a door and a striped awning."""
    left, _, right, bottom = house
    canvas.box((left + 0.02, bottom - 0.115, right - 0.02, bottom - 0.012), (44, 50, 56))
    for place in np.arange(left + 0.03, right - 0.06, 0.058):
        goods = tuple(rng.uniform(40, 90) + rng.uniform(20, 80, 3))
        canvas.box((place, bottom - 0.1, place + 0.048, bottom - 0.02), (72, 84, 92))
        canvas.box((place + 0.006, bottom - 0.055, place + 0.04, bottom - 0.022), goods, 0.8, 0.006)
    colour = np.array(_AWNINGS[rng.integers(len(_AWNINGS))], np.float32)
    box = (left + 0.012, bottom - 0.15, right - 0.012, bottom - 0.098)
    y, x, part = canvas.area(box)
    stripes = (np.sin(2 * np.pi * (x - left) / 0.036) > 0)[..., None]
    cloth = np.where(stripes, colour, np.float32(214)) * (1.1 - 4 * (y - box[1]))[..., None]
    canvas.paint(part, rectangle(y, x, box), cloth)


def _railing(canvas: Canvas, box: Box, pitch: float, colour: Colour) -> None:
    """A handrail, a foot rail, and thin bars at a distance of ``pitch``."""
    left, top, right, bottom = box
    y, x, part = canvas.area(box)
    bars = 0.0018 - np.abs((x - left) % pitch - pitch / 2)
    canvas.paint(part, np.minimum(bars, rectangle(y, x, box)), colour)
    canvas.box((left, top - 0.002, right, top + 0.003), colour)
    canvas.box((left, bottom - 0.005, right, bottom - 0.002), colour)


def _road(canvas: Canvas) -> None:
    """Pavement, kerb, lane marks, and asphalt that gets coarser towards the camera."""
    far = canvas.pixels.shape[1] / canvas.unit
    y, x, part = canvas.area((0, _GROUND, far, 1))
    slabs = 14 * ((x + 0.4 * y) % 0.07 < 0.003) + 14 * ((y - _GROUND) % 0.016 < 0.0025)
    rough = canvas.texture(part, 0.02, 0.06)[..., None]
    canvas.paint(part, y - _GROUND + 0 * x, np.array([166, 162, 154]) + 46 * rough - slabs[..., None])
    nearness = ((y - _KERB) / (1 - _KERB))[..., None]
    worn = canvas.texture(part, 0.06, 1.6)[..., None]
    asphalt = np.array([86, 88, 92]) + 14 * nearness + (30 + 30 * nearness) * rough + 24 * worn
    canvas.paint(part, y - _KERB + 0 * x, asphalt)
    along = (x + 0.5 * (y - 0.88)) % 0.5 - 0.125
    canvas.paint(part, np.minimum(0.12 - np.abs(along), 0.006 - np.abs(y - 0.885)), 206 + 60 * rough, 0.9)
    canvas.box((0, _KERB - 0.004, far, _KERB + 0.006), (190, 188, 182))
    canvas.box((0, _KERB + 0.006, far, _KERB + 0.014), (54, 54, 56), 0.7)


def _tree(canvas: Canvas, place: float, size: float) -> None:
    """A trunk, branches, and a crown whose edge and leaves come from one fractal."""
    middle = _GROUND - 0.1 - 1.3 * size
    for lean in (-0.5, -0.2, 0.15, 0.45):
        y, x, part = canvas.area((place - size, middle - 0.4 * size, place + size, _GROUND + 0.02))
        up = np.clip((_GROUND - 0.03 - y) / size, 0, None)
        trunk = 0.009 - 0.0022 * up - np.abs(x - place - lean * 0.22 * size * up**1.4)
        canvas.paint(part, np.minimum(trunk, _GROUND + 0.012 - y), (74, 60, 50))
    reach = 1.5 * size
    y, x, part = canvas.area((place - reach, middle - reach, place + reach, middle + reach))
    boughs, leaves = canvas.texture(part, 0.08, 0.08), canvas.texture(part, 0.012, 0.012)
    edge = 0.9 - ((x - place) / size) ** 2 - ((y - middle) / size) ** 2 + 2.6 * boughs + 1.3 * leaves
    sun = 0.78 - 0.35 * (y - middle) / size + 1.2 * boughs + 0.9 * leaves
    canvas.paint(part, edge * 0.05, sun[..., None] * np.array([88, 122, 62]))


def _lamps(canvas: Canvas, first: float, right: float) -> None:
    """Street lamps and the wires between them."""
    steel, pitch = (70, 74, 78), 0.85
    for post in np.arange(first - pitch, right + pitch, pitch):
        canvas.box((post - 0.004, 0.3, post + 0.004, _KERB - 0.01), steel)
        canvas.box((post - 0.008, 0.66, post + 0.008, _KERB - 0.01), steel, radius=0.003)
        canvas.box((post, 0.3, post + 0.08, 0.305), steel)
        canvas.box((post + 0.055, 0.303, post + 0.1, 0.315), (236, 232, 214), radius=0.004)
        for height, sag in ((0.31, 0.035), (0.33, 0.05)):
            y, x, part = canvas.area((post, height, post + pitch, height + sag + 0.01))
            along = (x - post) / pitch
            wire = 0.0014 - np.abs(y - height - sag * 4 * along * (1 - along))
            span = rectangle(y, x, (post, 0, post + pitch, 1))
            canvas.paint(part, np.minimum(wire, span), (46, 48, 52))


def _drive(canvas: Canvas, right: float, time: float, seed: int) -> None:
    """Three cars: one drives left on the far lane, two drive right on the near one."""
    rng = np.random.default_rng([seed, 1])
    loop = right + 1.0  # in heights; a car that leaves the scene enters it again
    paints = rng.permutation(len(_PAINTS))
    far, near = rng.uniform(0.4, 0.9) * loop, rng.uniform(0.2, 0.5) * loop
    cars = ((far, 0.855, 0.34, -0.32), (near, 0.975, 0.44, 0.4), (near + loop / 2, 0.975, 0.44, 0.4))
    for paint, (start, lane, size, speed) in zip(paints, cars, strict=False):
        place = (start + speed * time) % loop - 0.5
        _car(canvas, place, lane, size if speed > 0 else -size, _PAINTS[paint])


def _car(canvas: Canvas, place: float, lane: float, size: float, paint: Colour) -> None:
    """A car of length ``|size|`` on the line ``lane``; it faces right if ``size`` is positive."""
    reach = abs(size)
    around = (place - 0.6 * reach, lane - 0.4 * reach, place + 0.6 * reach, lane + 0.05 * reach)
    y, x, part = canvas.area(around)
    u, v = (x - place) / size, (lane - y) / reach  # in lengths of the car; v is up

    def layer(inside: ArrayLike, colour: ArrayLike, opacity: float = 1.0) -> None:
        canvas.paint(part, np.asarray(inside) * reach, colour, opacity)

    shadow = 1 - np.hypot(u / 0.56, (v - 0.005) / 0.045)
    layer(0.05 * shadow, (26, 27, 30), 0.75)
    rear, front = u + 0.40 - 0.45 * (v - 0.16), 0.27 - u - 0.75 * (v - 0.16)
    cabin = np.minimum(0.335 - v, 0.85 * np.minimum(rear, front))
    body = np.maximum(rectangle(v, u, (-0.5, 0.06, 0.5, 0.2), 0.05), np.minimum(cabin, v - 0.12))
    shine = 0.72 + 1.5 * v + 0.25 * (np.abs(v - 0.17) < 0.006)
    layer(body, np.clip(shine, 0.6, 1.25)[..., None] * np.asarray(paint, np.float32))
    glass = np.minimum(np.minimum(cabin - 0.025, v - 0.205), np.abs(u + 0.06) - 0.008)
    layer(glass, 62 + 380 * np.clip(v - 0.2, 0, 1)[..., None] * np.array([0.8, 0.95, 1.1]))
    layer(rectangle(v, u, (0.44, 0.14, 0.495, 0.175), 0.012), (248, 240, 210))
    layer(rectangle(v, u, (-0.5, 0.14, -0.465, 0.18), 0.01), (196, 30, 30))
    for wheel in (-0.3, 0.31):
        distance = np.hypot(u - wheel, v - 0.075)
        layer(0.085 - distance, (30, 31, 34))
        layer(0.045 - distance, (150, 152, 156))
        layer(0.018 - distance, (70, 72, 76))
