"""A network as a picture: an SVG text that needs nothing else, in light and in dark."""

import itertools
import math
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from kcnn.amount import amount

WIDTH, MARGIN = 1000, 36
LEFT = 116  # where the bars begin; the names of the rows stand before them
TOP, MAPS, STRIP = 92, 190, 54  # heights: title, feature maps, one strip
ARCS = 54  # for the shortcuts above the maps
GAP = 30  # between strips

STYLE = """
  .back { fill: #ffffff } .ink { fill: #1f2328 } .soft { fill: #59636e } .line { stroke: #d1d9e0 }
  .conv { fill: #3f76d6 } .depthwise { fill: #16938a } .dense { fill: #d9712b } .pool { fill: #8a939e }
  .merge { fill: #a44a96 } .arc { stroke: #a44a96 } .field { stroke: #3f76d6 } .limit { stroke: #59636e }
  text { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", Arial, sans-serif; font-size: 12px }
  .title { font-size: 20px; font-weight: 600 } .small { font-size: 10.5px }
  @media (prefers-color-scheme: dark) {
    .back { fill: #0d1117 } .ink { fill: #e6edf3 } .soft { fill: #9198a1 } .line { stroke: #3d444d }
    .conv { fill: #6ea1ff } .depthwise { fill: #3fc7b5 } .dense { fill: #f0924c } .pool { fill: #7d8794 }
    .merge { fill: #d58ac8 } .arc { stroke: #d58ac8 } .field { stroke: #6ea1ff } .limit { stroke: #9198a1 }
  }
"""
BY = "\N{MULTIPLICATION SIGN}"
LEGEND = {
    "conv": "convolution",
    "depthwise": "depthwise or grouped",
    "pool": "pooling",
    "merge": "join, and its shortcut",
    "dense": "dense",
}


@dataclass
class Bar:
    """One layer that is drawn; norms, activations, padding and dropout are not.

    Attributes:
        layer: The `Layer`.
        role: What colours it: a key of `LEGEND`.
        sources: Places of the bars whose outputs it takes, through layers that are not drawn.
        gate: Whether it works on a single place, to be spread over a map again, as a squeeze-and-excite does.
        x, width: In the picture.
    """

    layer: object
    role: str
    sources: list
    gate: bool = False
    x: float = 0.0
    width: float = 0.0

    @property
    def middle(self):
        return self.x + self.width / 2


def diagram(description):
    """Return a `Description` as SVG: feature maps as bars, as high as the map and as wide as its channels (both on a
    logarithmic scale), joined by arcs where a shortcut passes layers by; under them each layer's share of the
    multiply-accumulates and of the parameters, and how the receptive field grows.
    """
    bars = _bars(description)
    _place(bars)
    bottom = TOP + ARCS + MAPS
    parts = [
        *_head(description, bars),
        *_maps(bars, description.input_shape),
        *_sizes(bars, bottom),
        *_strip("MACs", [bar.layer.macs for bar in bars], bars, bottom + 50),
        *_strip("parameters", [bar.layer.parameters for bar in bars], bars, bottom + 50 + STRIP + GAP),
        *_fields(bars, description.input_shape, bottom + 50 + 2 * (STRIP + GAP)),
        *_foot(description, bottom + 50 + 3 * (STRIP + GAP) + 6),
    ]
    height = bottom + 50 + 3 * (STRIP + GAP) + 34
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-label={quoteattr(f"The layers of {description.name}")}>\n<style>{STYLE}</style>\n'
        f'<rect class="back" width="{WIDTH}" height="{height}" rx="8"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


# --- What is drawn, and where ---


def _bars(description):
    bars, drawn = [], {}
    for layer in description.layers:
        before = sorted({place for name in layer.inputs for place in drawn[name]})
        role = _role(layer)
        if role:
            bars.append(Bar(layer, role, before))
        # A name stands for the bars that its output comes from.
        drawn[layer.name] = [len(bars) - 1] if role else before
    last_map = max((place for place, bar in enumerate(bars) if _is_map(bar)), default=0)
    for bar in bars[:last_map]:
        bar.gate = not _is_map(bar)
    return bars


def _is_map(bar):
    return max(bar.layer.output_shape[:-1], default=1) > 1


def _role(layer):
    if "Depthwise" in layer.kind or "Separable" in layer.kind or "groups" in layer.detail:
        return "depthwise"
    if layer.macs:
        return "conv" if len(layer.output_shape) > 1 and "Conv" in layer.kind else "dense"
    if "Pool" in layer.kind:
        return "pool"
    return "merge" if len(layer.inputs) > 1 else None


def _place(bars):
    """Give the bars their places from left to right, as wide as the channels allow."""
    wanted = [0.5 if bar.role == "merge" else 0.5 + math.log2(1 + bar.layer.output_shape[-1]) / 3 for bar in bars]
    room = WIDTH - MARGIN - LEFT
    unit = min(34.0, room / (sum(wanted) + 0.25 * len(wanted)))
    x = LEFT
    for bar, share in zip(bars, wanted, strict=True):
        bar.x, bar.width = x, share * unit
        x += (share + 0.25) * unit


def _height(shape, image):
    """Return how high the bar of an output is; a vector is as high as the square of as many numbers."""
    side = max(shape[:2]) if len(shape) > 2 else math.sqrt(shape[-1])
    return 8 + (MAPS - 8) * min(1.0, math.log2(max(1, side)) / math.log2(max(2, *image[:2])))


# --- Parts of the picture ---


def _head(description, bars):
    image = BY.join(map(str, description.input_shape))
    yield f'<text class="ink title" x="{MARGIN}" y="40">{escape(description.name)}</text>'
    yield (
        f'<text class="soft" x="{MARGIN}" y="62">{image} to {description.classes:,} classes: '
        f"{amount(description.parameters)} parameters, {amount(description.macs)} multiply-accumulates</text>"
    )
    x = MARGIN
    for role, words in LEGEND.items():
        if any(bar.role == role for bar in bars):
            yield f'<rect class="{role}" x="{x}" y="76" width="10" height="10" rx="2"/>'
            yield f'<text class="soft small" x="{x + 15}" y="85">{words}</text>'
            x += 34 + 6 * len(words)


def _maps(bars, image):
    middle = TOP + ARCS + MAPS / 2
    for place, bar in enumerate(bars):
        for source in bar.sources:
            if bar.role == "merge" and bar.layer.kind != "Multiply" and source < place - 1:
                yield _arc(bars[source], bar, image, middle)
    for bar in bars:
        tall = _height(bar.layer.output_shape, image) if bar.role != "merge" else max(5, bar.width)
        tall = min(tall, 14) if bar.gate else tall
        radius = bar.width / 2 if bar.role == "merge" else min(3, bar.width / 4)
        yield (
            f'<rect class="{bar.role}" x="{bar.x:.1f}" y="{middle - tall / 2:.1f}" width="{bar.width:.1f}" '
            f'height="{tall:.1f}" rx="{radius:.1f}"><title>{escape(_words(bar.layer))}</title></rect>'
        )
        if bar.width >= 22 and bar.role != "merge":
            yield (
                f'<text class="soft small" x="{bar.middle:.1f}" y="{middle - tall / 2 - 5:.1f}" '
                f'text-anchor="middle">{bar.layer.output_shape[-1]}</text>'
            )


def _arc(source, target, image, middle):
    level = middle - max(_height(bar.layer.output_shape, image) for bar in (source, target)) / 2 - 4
    rise = min(ARCS - 4, 8 + (target.middle - source.middle) / 5)
    top = f"{level - rise:.1f}"
    curve = f"M{source.middle:.1f} {level:.1f} C{source.middle:.1f} {top} {target.middle:.1f} {top} {target.middle:.1f}"
    return f'<path class="arc" d="{curve} {level:.1f}" fill="none" stroke-width="1.3" stroke-opacity="0.6"/>'


def _sizes(bars, y):
    """Write the size of the map under each stretch of bars that share it."""
    bars = [bar for bar in bars if not bar.gate]
    start, end_of_text = 0, 0.0
    for place in range(1, len(bars) + 1):
        if place < len(bars) and _size(bars[place]) == _size(bars[start]):
            continue
        first, last = bars[start], bars[place - 1]
        x, end, words = first.x, last.x + last.width, _size(first)
        yield f'<path class="line" d="M{x:.1f} {y + 10} v5 H{end:.1f} v-5" fill="none"/>'
        half = 3.1 * len(words)
        if (x + end) / 2 - half > end_of_text:
            yield f'<text class="soft small" x="{(x + end) / 2:.1f}" y="{y + 29}" text-anchor="middle">{words}</text>'
            end_of_text = (x + end) / 2 + half + 4
        start = place


def _size(bar):
    shape = bar.layer.output_shape
    return BY.join(map(str, shape[:-1])) if len(shape) > 1 else "vector"


def _strip(name, numbers, bars, y):
    total, most = sum(numbers) or 1, max(numbers, default=0) or 1
    yield f'<text class="ink" x="{MARGIN}" y="{y + STRIP - 16}">{name}</text>'
    yield f'<text class="soft small" x="{MARGIN}" y="{y + STRIP - 2}">up to {most / total:.0%}</text>'
    yield f'<path class="line" d="M{LEFT} {y + STRIP} H{WIDTH - MARGIN}"/>'
    for bar, number in zip(bars, numbers, strict=True):
        if number:
            tall = max(1.0, STRIP * number / most)
            yield (
                f'<rect class="{bar.role}" x="{bar.x:.1f}" y="{y + STRIP - tall:.1f}" width="{bar.width:.1f}" '
                f'height="{tall:.1f}"><title>{escape(bar.layer.name)}: {number:,} ({number / total:.1%})</title></rect>'
            )


def _fields(bars, image, y):
    """Draw how many pixels a value sees at most so far, on a logarithmic scale, against the image's height."""
    seen = [(bar, float(bar.layer.field.size[0])) for bar in bars if bar.layer.field.size is not None]
    if not seen:
        return
    largest = list(itertools.accumulate((size for _, size in seen), max))
    scale = math.log2(max(2, image[0], largest[-1]))

    def level(size):
        return y + STRIP - STRIP * math.log2(max(1, size)) / scale

    edge = level(image[0])
    yield f'<text class="ink" x="{MARGIN}" y="{y + STRIP - 30}">receptive</text>'
    yield f'<text class="ink" x="{MARGIN}" y="{y + STRIP - 16}">field</text>'
    yield f'<text class="soft small" x="{MARGIN}" y="{y + STRIP - 2}">up to {largest[-1]:,.0f}</text>'
    yield f'<path class="line" d="M{LEFT} {y + STRIP} H{WIDTH - MARGIN}"/>'
    yield f'<path class="limit" d="M{LEFT} {edge:.1f} H{WIDTH - MARGIN}" stroke-dasharray="3 4" fill="none"/>'
    # On the left, where the line that grows is far below.
    yield f'<text class="soft small" x="{LEFT}" y="{edge - 4:.1f}">the image, {image[0]} pixels</text>'
    points = [f"{bar.middle:.1f},{level(size):.1f}" for (bar, _), size in zip(seen, largest, strict=True)]
    yield f'<polyline class="field" points="{" ".join(points)}" fill="none" stroke-width="2" stroke-linejoin="round"/>'


def _foot(description, y):
    dense = description.fully_connected
    own = f"; {dense.first} has {dense.first_weights:,}" if dense.first else ""
    yield (
        f'<text class="soft" x="{MARGIN}" y="{y}">A fully connected first layer of {dense.units:,} units would take '
        f"{dense.weights:,} weights{escape(own)}.</text>"
    )


# --- Words ---


def _words(layer):
    shape = BY.join(map(str, layer.output_shape))
    seen = "the whole image" if layer.field.size is None else f"{float(layer.field.size[0]):g} pixels"
    return (
        f"{layer.name}: {layer.kind} {layer.detail}, {shape}, {layer.parameters:,} parameters, "
        f"{amount(layer.macs)} multiply-accumulates, sees {seen}"
    )
