"""Draws the frames of the sample films: slow moves over photos, slideshows of them, scenes from simple shapes.

Every scene is a pure function of the share of the film that has passed, u in [0, 1], so that a film is the same
each time it is made.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageOps

WIDTH, HEIGHT = 640, 360  # pixels of a frame
SCALE = 2  # scenes are drawn this much larger and reduced, which smooths their edges
SLIDE = 3.0  # seconds a photo of a slideshow stays

Colour = tuple[int, int, int]
Scene = Callable[[float], Image.Image]


def _mix(first: Colour, second: Colour, share: float) -> Colour:
    """The colour a share of the way from the first to the second."""
    near = min(max(share, 0.0), 1.0)
    return tuple(round(a + (b - a) * near) for a, b in zip(first, second))  # type: ignore[return-value]


class Canvas:
    """A frame being drawn in its own coordinates, WIDTH x HEIGHT, at SCALE times the pixels."""

    def __init__(self, top: Colour, bottom: Colour) -> None:
        column = Image.new("RGB", (1, 32))
        for row in range(32):
            column.putpixel((0, row), _mix(top, bottom, row / 31))
        self.image = column.resize((WIDTH * SCALE, HEIGHT * SCALE), Image.Resampling.BILINEAR)
        self.pen = ImageDraw.Draw(self.image)

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        self.pen.rectangle([value * SCALE for value in (left, top, right, bottom)], fill=colour)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        self.oval(x - radius, y - radius, x + radius, y + radius, colour)

    def oval(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        self.pen.ellipse([value * SCALE for value in (left, top, right, bottom)], fill=colour)

    def shape(self, points: Sequence[tuple[float, float]], colour: Colour) -> None:
        self.pen.polygon([(x * SCALE, y * SCALE) for x, y in points], fill=colour)

    def frame(self) -> Image.Image:
        return self.image.reduce(SCALE)


# ---- photos


def load_photo(path: Path) -> Image.Image:
    """A photo as RGB, cut to the shape of a frame somewhat above its middle, where faces are."""
    with Image.open(path) as photo:
        size = (2 * WIDTH, 2 * HEIGHT)
        return ImageOps.fit(photo.convert("RGB"), size, Image.Resampling.BICUBIC, centering=(0.5, 0.1))


def _view(photo: Image.Image, x: float, y: float, size: float) -> Image.Image:
    """The part of a photo whose left top is at share (x, y) of what is free and whose side is `size` of the whole."""
    width, height = photo.width * size, photo.height * size
    left, top = x * (photo.width - width), y * (photo.height - height)
    return photo.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR, box=(left, top, left + width, top + height))


def pan(path: Path, *, start: tuple[float, float, float], end: tuple[float, float, float]) -> Scene:
    """A slow move over one photo, from one view to another; a view is (x, y, size) as `_view` takes it."""
    photo = load_photo(path)

    def scene(u: float) -> Image.Image:
        eased = u * u * (3 - 2 * u)  # starts and ends gently
        return _view(photo, *(a + (b - a) * eased for a, b in zip(start, end)))

    return scene


def slideshow(paths: list[Path]) -> Scene:
    """Photos one after the other for equal shares of the film, each slowly growing."""
    photos = [load_photo(path) for path in paths]

    def scene(u: float) -> Image.Image:
        place = min(u, 0.999999) * len(photos)
        return _view(photos[int(place)], 0.5, 0.4, 1.0 - 0.12 * (place % 1.0))

    return scene


# ---- scenes


def red_ball(u: float) -> Image.Image:
    """A red ball bounces over a meadow from left to right."""
    canvas = Canvas((120, 190, 245), (215, 238, 255))
    canvas.box(0, 270, WIDTH, HEIGHT, (86, 168, 70))
    x, height = 60 + 520 * u, abs(math.sin(u * 4.5 * math.pi)) * 170
    canvas.oval(x - 34 + height / 12, 292, x + 34 - height / 12, 306, (62, 128, 52))
    canvas.disc(x, 268 - height, 32, (214, 32, 36))
    canvas.disc(x - 10, 257 - height, 8, (246, 130, 126))
    return canvas.frame()


def nightfall(u: float) -> Image.Image:
    """The sun sets behind a house; the sky turns from blue over orange to night, stars come out, windows light up."""
    dusk = 2 * u if u < 0.5 else 2 - 2 * u
    top = _mix(_mix((90, 170, 240), (12, 16, 48), u), (120, 80, 140), dusk * 0.6)
    bottom = _mix(_mix((200, 230, 255), (28, 34, 76), u), (255, 150, 60), dusk)
    canvas = Canvas(top, bottom)
    stars = random.Random(7)
    for _ in range(90):
        x, y, glow = stars.uniform(0, WIDTH), stars.uniform(0, 210), stars.uniform(0.5, 1.0)
        if u > glow:
            canvas.disc(x, y, 1.3, (245, 245, 220))
    canvas.disc(480, 80 + 330 * u, 34, _mix((255, 232, 120), (255, 90, 40), u * 1.6))
    hills = [(0, 300), (180, 250), (400, 292), (640, 240), (640, 360), (0, 360)]
    canvas.shape(hills, _mix((70, 130, 70), (12, 24, 26), u))
    canvas.box(170, 200, 300, 300, _mix((225, 205, 175), (44, 40, 50), u))
    canvas.shape([(155, 204), (235, 140), (315, 204)], _mix((160, 62, 48), (34, 20, 28), u))
    for left in (190, 250):
        canvas.box(left, 224, left + 30, 254, (255, 214, 100) if u > 0.55 else (150, 180, 200))
    return canvas.frame()


def blue_car(u: float) -> Image.Image:
    """A blue car drives along a road past trees."""
    canvas = Canvas((150, 205, 245), (225, 240, 250))
    canvas.box(0, 215, WIDTH, HEIGHT, (118, 176, 92))
    for place in range(-1, 8):
        x = place * 130 - (u * 520) % 130
        canvas.box(x + 20, 170, x + 30, 222, (104, 72, 44))
        canvas.disc(x + 25, 150, 34, (52, 122, 56))
    canvas.box(0, 250, WIDTH, 335, (78, 80, 86))
    for place in range(-1, 9):
        x = place * 90 - (u * 900) % 90
        canvas.box(x, 289, x + 46, 295, (236, 232, 214))
    x = 40 + 400 * u
    canvas.shape([(x + 30, 232), (x + 52, 198), (x + 122, 198), (x + 148, 232)], (170, 210, 235))
    canvas.box(x, 230, x + 180, 268, (28, 74, 190))
    canvas.shape([(x + 30, 232), (x + 52, 198), (x + 58, 198), (x + 40, 232)], (28, 74, 190))
    canvas.box(x + 84, 198, x + 90, 232, (28, 74, 190))
    for wheel in (40, 140):
        canvas.disc(x + wheel, 270, 20, (24, 24, 28))
        canvas.disc(x + wheel, 270, 9, (180, 184, 190))
    return canvas.frame()


def sailing_boat(u: float) -> Image.Image:
    """A sailing boat with a white sail crosses the sea."""
    canvas = Canvas((110, 185, 240), (220, 240, 252))
    canvas.disc(540, 70, 30, (255, 236, 140))
    canvas.box(0, 200, WIDTH, HEIGHT, (24, 98, 158))
    x, y = 520 - 400 * u, 232 + 6 * math.sin(u * 18)
    canvas.box(x - 3, y - 140, x + 3, y, (92, 64, 40))
    canvas.shape([(x + 6, y - 136), (x + 6, y - 16), (x + 86, y - 16)], (250, 250, 246))
    canvas.shape([(x - 6, y - 118), (x - 6, y - 16), (x - 58, y - 16)], (238, 240, 240))
    canvas.shape([(x - 78, y - 8), (x + 96, y - 8), (x + 66, y + 26), (x - 52, y + 26)], (150, 60, 40))
    for row in range(6):
        for place in range(-1, 9):
            left = place * 84 + (row % 2) * 42 + 26 * math.sin(u * 12 + row)
            canvas.oval(left, 252 + row * 19, left + 48, 258 + row * 19, (70, 148, 204))
    return canvas.frame()


def snowfall(u: float) -> Image.Image:
    """Snow falls on fir trees."""
    canvas = Canvas((104, 118, 146), (196, 206, 220))
    canvas.box(0, 285, WIDTH, HEIGHT, (240, 244, 250))
    for x, size in ((70.0, 1.0), (190.0, 1.35), (330.0, 1.1), (450.0, 1.5), (575.0, 1.05)):
        for step in range(3):
            y, half = 300 - size * (40 + 42 * step), size * (50 - 11 * step)
            canvas.shape([(x - half, y + 46 * size), (x, y - 22 * size), (x + half, y + 46 * size)], (30, 74, 58))
            canvas.shape([(x - half * 0.4, y), (x, y - 22 * size), (x + half * 0.4, y)], (236, 242, 248))
    flakes = random.Random(11)
    for _ in range(160):
        x, y = flakes.uniform(0, WIDTH), flakes.uniform(0, HEIGHT)
        speed, size = flakes.uniform(0.8, 1.8), flakes.uniform(1.4, 3.2)
        canvas.disc((x + 14 * math.sin(u * 9 + y)) % WIDTH, (y + 480 * speed * u) % HEIGHT, size, (252, 253, 255))
    return canvas.frame()
