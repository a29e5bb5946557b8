"""Where the lines of a chart go; the report's template draws them as SVG, so that they follow its colours."""

from dataclasses import dataclass

from matplotlib.ticker import MaxNLocator

WIDTH, HEIGHT = 340, 220
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 10, 40  # margins
MOST_DOTS = 60  # a line


@dataclass(frozen=True)
class Chart:
    """A chart in a box of WIDTH x HEIGHT.

    Attributes:
        title, x_title: Texts.
        summary: What it shows, for those who cannot see it.
        lines: (label, [(x, y)], [(x, y, note, radius)]) each: the corners of the line, and the dots on it.
        x_ticks, y_ticks: (place, text) each.
        diagonal: Whether a line from corner to corner shows where both axes agree.
    """

    title: str
    x_title: str
    summary: str
    lines: list
    x_ticks: list
    y_ticks: list
    diagonal: bool = False
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def chart(title, x_title, series, *, summary, x_range=None, y_range=None, whole_x=False, diagonal=False):
    """Return the `Chart` of some series.

    Args:
        title, x_title, summary, diagonal: As in `Chart`.
        series: {label: [(x, y, note, radius)]}, each of at least one point.
        x_range, y_range: (least, greatest) of an axis, or None for what the points need.
        whole_x: Whether x can only be whole numbers.
    """
    points = [point for line in series.values() for point in line]
    x_place, x_ticks = _axis([x for x, *_ in points], x_range, LEFT, WIDTH - RIGHT, exact=True, integer=whole_x)
    y_place, y_ticks = _axis([y for _, y, *_ in points], y_range, HEIGHT - BOTTOM, TOP)
    lines = []
    for label, line in series.items():
        placed = [(x_place(x), y_place(y), *dot) for x, y, *dot in line]
        lines.append((label, [dot[:2] for dot in placed], placed if len(placed) <= MOST_DOTS else []))
    return Chart(title, x_title, summary, lines, x_ticks, y_ticks, diagonal)


def _axis(values, limits, start, end, *, exact=False, integer=False):
    """Return a function from values to places, and (place, text) of each tick."""
    low, high = limits or (min(values), max(values))
    if low == high:
        low, high = low - (0.5 if integer else abs(low) / 2 or 0.5), high + (0.5 if integer else abs(high) / 2 or 0.5)
    fewest = 1 if integer else 2
    locator = MaxNLocator(5, integer=integer, steps=[1, 2, 2.5, 5, 10], min_n_ticks=fewest)
    ticks = locator.tick_values(low, high)
    if not limits and not exact:
        low, high = ticks[0], ticks[-1]

    def place(value):
        return round(start + (value - low) / (high - low) * (end - start), 2)

    slack = (high - low) * 1e-6
    inside = [float(tick) for tick in ticks if low - slack <= tick <= high + slack]
    return place, [(place(tick), f"{tick:.6g}") for tick in inside]
