"""A chart as SVG: lines over names in order, or bars beside them. Colours come from the classes of the picture around it."""

import math
from html import escape
from typing import NamedTuple

LEFT, TOP, RIGHT, BOTTOM = 64, 44, 70, 46
NAMES_MOST = 10


class Line(NamedTuple):
    title: str
    values: list


class Chart:
    def __init__(self, title, xs, x_axis, y_axis, lines, log=False, bars=False, target=None):
        self.title, self.xs, self.x_axis, self.y_axis = title, xs, x_axis, y_axis
        self.lines, self.log, self.bars, self.target = lines, log, bars, target
        self.width, self.height = (640, TOP + BOTTOM + 26 * len(xs)) if bars else (420, 280)
        values = [value for line in lines for value in line.values if value is not None] + ([target] if target else [])
        self.top = max(values) * 1.05
        self.least = 10 ** math.floor(math.log10(max(min(values), 1e-3))) if log else 0
        if log:
            self.top = 10 ** math.ceil(math.log10(self.top))

    def share(self, value):
        """How far along its axis a value is, from 0 to 1."""
        if self.log:
            return math.log(max(value, self.least) / self.least) / math.log(self.top / self.least)
        return value / self.top

    def ticks(self):
        if self.log:
            return [10 ** n for n in range(round(math.log10(self.least)), round(math.log10(self.top)) + 1)]
        step = 10 ** math.floor(math.log10(self.top))
        step = next(step * part for part in (0.2, 0.25, 0.5, 1, 2) if self.top / (step * part) <= 6)
        return [step * n for n in range(int(self.top / step) + 1)]

    def svg(self):
        return "\n".join([f'<text class="title" x="{LEFT}" y="20">{escape(self.title)}</text>', *(self.barred() if self.bars else self.lined())])

    def lined(self):
        right, bottom = self.width - RIGHT, self.height - BOTTOM
        y = lambda value: bottom - (bottom - TOP) * self.share(value)
        x = lambda n: LEFT + (right - LEFT) * (n + 0.5) / len(self.xs)
        for tick in self.ticks():
            yield f'<path class="grid" d="M{LEFT} {y(tick):.1f}H{right}"/><text x="{LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{number(tick)}</text>'
        yield f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/><text x="{LEFT}" y="{TOP - 8}" text-anchor="end">{self.y_axis}</text>'
        for n, name in enumerate(self.xs):
            if n % math.ceil(len(self.xs) / NAMES_MOST) == 0:
                yield f'<text x="{x(n):.1f}" y="{bottom + 18}" text-anchor="middle">{escape(name if isinstance(name, str) else str(name))}</text>'
        yield f'<text x="{(LEFT + right) / 2}" y="{bottom + 36}" text-anchor="middle">{escape(self.x_axis)}</text>'
        named = []
        for nth, line in enumerate(self.lines):
            points = [(x(n), y(value)) for n, value in enumerate(line.values) if value is not None]
            yield f'<path class="line s{nth}" d="M{"L".join(f"{a:.1f} {b:.1f}" for a, b in points)}"/>'
            if len(points) <= NAMES_MOST:
                yield "".join(f'<circle class="dot s{nth}" cx="{a:.1f}" cy="{b:.1f}" r="3"/>' for a, b in points)
            # Names of lines that end at one height stand below one another.
            height = points[-1][1] + 4
            while any(abs(height - other) < 13 for other in named):
                height += 1
            named.append(height)
            yield f'<text class="name s{nth}" x="{right + 6}" y="{height:.1f}">{escape(line.title)}</text>'

    def barred(self):
        left, right, bottom = 170, self.width - RIGHT, self.height - BOTTOM
        x = lambda value: left + (right - left) * self.share(value)
        for tick in self.ticks():
            yield f'<path class="grid" d="M{x(tick):.1f} {TOP}V{bottom}"/><text x="{x(tick):.1f}" y="{bottom + 16}" text-anchor="middle">{number(tick)}</text>'
        yield f'<path class="axis" d="M{left} {TOP}V{bottom}H{right}"/><text x="{right}" y="{bottom + 34}" text-anchor="end">{self.y_axis}</text>'
        if self.target:
            yield f'<path class="target" d="M{x(self.target):.1f} {TOP}V{bottom}"/><text x="{x(self.target):.1f}" y="{TOP - 8}" text-anchor="middle">target</text>'
        for n, name in enumerate(self.xs):
            top = TOP + 26 * n + 4
            yield f'<text x="{left - 8}" y="{top + 13}" text-anchor="end">{escape(str(name))}</text>'
            for nth, line in enumerate(self.lines):
                end = x(line.values[n])
                yield f'<rect class="dot s{nth}" x="{left}" y="{top + 9 * nth}" width="{end - left:.1f}" height="8"/>'
            yield f'<text x="{end + 5:.1f}" y="{top + 13}">{number(line.values[n])}</text>'
        for nth, line in enumerate(self.lines):
            yield f'<text class="name s{nth}" x="{left + 60 * nth}" y="{bottom + 34}">{escape(line.title)}</text>'

    def text(self):
        """The figures, for a page to cite."""
        for line in self.lines:
            values = [f"{x}: {number(value) if value is not None else '–'}" for x, value in zip(self.xs, line.values)]
            values[4:-4] = ["…"] if len(values) > 20 else values[4:-4]
            yield f"{self.title}, {line.title} ({self.y_axis}): " + ", ".join(values)


def number(value):
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
