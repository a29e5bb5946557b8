"""Show what in an image speaks for a class."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kcnn import random
from kcnn.data.decode import decode_many
from kcnn.errors import UsageError
from kcnn.explain.faithfulness import area, deletion, insertion
from kcnn.explain.maps import normalise
from kcnn.explain.network import TakenApart
from kcnn.explain.pictures import heatmap, overlay
from kcnn.files import atomic
from kcnn.registry import METHODS, did_you_mean
from kcnn.workflows._heatmaps import draw_curves, draw_sheet

PAGE = 12  # images that are explained at one time, and on one contact sheet
RANDOM = "random order"  # what a map has to be better than


@dataclass(frozen=True)
class Explanation:
    """One image, explained by one method, or why it could not be read.

    Attributes:
        image: What the caller called it.
        method: Name of the method.
        label, probability: The class that is explained, and how probable the model finds it.
        predicted: The class that the model finds most probable.
        overlay, heatmap, array: Files: the map over the image, alone, and as float32 (H, W).
        curves: Probabilities while pixels go, and while they come (2, steps + 1), where they were asked for.
        error: One line, or None.
    """

    image: str
    method: str | None = None
    label: str | None = None
    probability: float | None = None
    predicted: str | None = None
    overlay: Path | None = None
    heatmap: Path | None = None
    array: Path | None = None
    curves: np.ndarray | None = None
    error: str | None = None

    def as_json(self):
        """Return plain values for JSON."""
        if self.error:
            return {"image": self.image, "error": self.error}
        found = {key: getattr(self, key) for key in ("image", "method", "label", "probability", "predicted")} | {
            key: str(getattr(self, key)) for key in ("overlay", "heatmap", "array")
        }
        if self.curves is not None:
            for name, curve in zip(("deletion", "insertion"), self.curves, strict=True):
                found[name] = {"area": float(area(curve)), "curve": [float(value) for value in curve]}
        return found


@dataclass
class Explained:
    """All that `explain` made.

    Attributes:
        layer: Whose output the class activation maps are of; None where no method asked for it.
        explanations: An `Explanation` for each image and method, in their order.
        sheets: Contact sheets.
        scores: Method to its mean areas: deletion, insertion, count; `RANDOM` is among them.
        curves: Picture of the mean curves, or None.
    """

    layer: str | None = None
    explanations: list[Explanation] = field(default_factory=list)
    sheets: list[Path] = field(default_factory=list)
    scores: dict[str, dict] = field(default_factory=dict)
    curves: Path | None = None


def explain(
    classifier, images, folder, *, methods=("grad_cam",), class_name=None, layer=None, score=False, progress=None
):
    """Explain each of `images` by each of `methods`, write what is found to `folder`, and return the `Explained`.

    Args:
        classifier: A `Classifier`.
        images: Paths of image files.
        folder: Where files go; it is made. Files of an earlier explanation are replaced, `images` never.
        methods: Names that `METHODS` lists.
        class_name: What to explain; None is what the model finds most probable for each image.
        layer: Name of the layer that class activation maps look at; None is the last feature map.
        score: Whether to measure deletion and insertion.
        progress: Called as `(done, total, what)`.

    Raises:
        UsageError: There is no such method, class or layer, or a file would replace one of `images`.
    """
    functions = {name: METHODS.get(name) for name in methods}
    wanted = None if class_name is None else find_class(classifier, class_name)
    done = passes = 0

    def watch(count):
        nonlocal passes
        passes += count
        if progress:
            progress(done, len(images), f"explaining ({passes:,} passes through the network)")

    network = TakenApart(classifier.model, layer, watch)
    files = Files(folder, images, class_name, layer)
    what = methods[0] if len(methods) == 1 else f"{len(methods)}_methods"
    found, at_random = Explained(), []
    for start in range(0, len(images), PAGE):
        names = images[start : start + PAGE]
        pixels, bad = _read(classifier, names)
        good = [index for index in range(len(names)) if index not in bad]
        explained = []
        if good:
            pixels = pixels[good]
            places = [start + index for index in good]
            explained, classes = _explain_some(classifier, network, files, places, pixels, functions, wanted, score)
            if score:
                at_random += _scores(network, pixels, classes, _random(len(good), network))
            if len(images) * len(functions) > 1:
                number = f"{start // PAGE + 1}.png" if len(images) > PAGE else "png"
                found.sheets.append(files.path("sheet", what, number))
                draw_sheet(list(zip(pixels, explained, strict=True)), found.sheets[-1])
        of_good = dict(zip(good, explained, strict=True))
        for index, name in enumerate(names):
            unread = [Explanation(name, error=f"Cannot read {name}: {bad[index]}.")] if index in bad else []
            found.explanations += of_good.get(index, unread)
        done = start + len(names)
    found.layer = network.looked_at
    if at_random:
        curves = {name: [one.curves for one in found.explanations if one.method == name] for name in functions}
        curves[RANDOM] = at_random
        found.scores, found.curves = _summary(curves), files.path("curves", what, "png")
        draw_curves({name: np.mean(pairs, axis=0) for name, pairs in curves.items()}, found.scores, found.curves)
    return found


def _explain_some(classifier, network, files, places, pixels, functions, wanted, score):
    """Return, for each of some images, its explanations by all methods, and the class that is explained."""
    probabilities = classifier.probabilities(pixels)
    predicted = probabilities.argmax(axis=1)
    classes = predicted if wanted is None else np.full(len(pixels), wanted)
    explained = [[] for _ in places]
    for method, function in functions.items():
        maps = function(network, pixels.astype("float32"), classes)
        curves = _scores(network, pixels, classes, maps) if score else [None] * len(places)
        for index, place in enumerate(places):
            explanation = Explanation(
                files.images[place],
                method,
                classifier.class_names[classes[index]],
                float(probabilities[index, classes[index]]),
                classifier.class_names[predicted[index]],
                *files.write(place, method, pixels[index], maps[index]),
                curves[index],
            )
            explained[index].append(explanation)
    return explained, classes


def find_class(classifier, name):
    """Return the number of a class; raise `UsageError` where the model has none of that name."""
    names = classifier.class_names
    if name not in names:
        hint = did_you_mean(name, names) or f" Classes: {', '.join(names[:20])}{', ...' * (len(names) > 20)}."
        raise UsageError(f"The model knows no class {name!r}.{hint}")
    return names.index(name)


# ---------------------------------------------------------------- files


class Files:
    """Names of the files of an explanation: of the image and its folder, what was explained, and the method.

    Args:
        folder: Where they go.
        images: All images, so that no two share a name and none is replaced.
        class_name, layer: Part of the names where they were asked for.
    """

    def __init__(self, folder, images, class_name=None, layer=None):
        self.folder = Path(folder)
        self._asked = [_plain(word) for word in (class_name, layer) if word is not None]
        self.images = images
        self._never = {Path(image).resolve() for image in images}
        self._stems, taken = [], set()
        for image in images:
            path = Path(image)
            stem = number = "-".join(filter(None, (_plain(path.parent.name), _plain(path.stem))))
            count = 1
            while number in taken:
                count += 1
                number = f"{stem}-{count}"
            taken.add(number)
            self._stems.append(number)

    def path(self, *words):
        """Return the path of a file named by `words`; raise `UsageError` where one of the images has it."""
        *first, last = words
        path = self.folder / ".".join([*first, *self._asked, last])
        if path.resolve() in self._never:
            raise UsageError(f"{path} is one of the images that are explained. Name another folder with --out.")
        return path

    def write(self, index, method, pixels, values):
        """Write overlay, heatmap and array of one image; return their paths."""
        heat = normalise(values[None])[0]
        stem = self._stems[index]
        paths = [self.path(stem, method, ending) for ending in ("overlay.png", "heatmap.png", "npy")]
        for path, picture in zip(paths, (overlay(pixels, heat), heatmap(heat)), strict=False):
            with atomic(path) as temporary:
                picture.save(temporary)
        with atomic(paths[-1]) as temporary:
            np.save(temporary, values)
        return paths


def default_folder(run):
    """Return where explanations of a run or a file go when nobody said: below the current folder, named by it."""
    path = Path(run)
    return Path("explanations") / (path.stem if path.suffix == ".keras" else path.resolve().name)


def _plain(word):
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in word)


# ---------------------------------------------------------------- numbers


def _read(classifier, names):
    pixels = np.zeros((len(names), *classifier.image_shape), "uint8")
    return pixels, dict(decode_many(names, classifier.image_shape, classifier.resize, out=pixels))


def _scores(network, pixels, classes, maps):
    """Return a pair of curves for each image (B, 2, steps + 1)."""
    pixels = pixels.astype("float32")
    return list(np.stack([measure(network, pixels, classes, maps) for measure in (deletion, insertion)], axis=1))


def _random(count, network):
    height, width, _ = network.image_shape
    draws = random.uniform(random.bits(random.key(0, RANDOM), np.arange(height * width, dtype="int32")))
    return np.broadcast_to(draws.reshape(height, width), (count, height, width))


def _summary(curves):
    """Return the mean areas of each method's curves."""
    areas = {name: area(np.stack(pairs)) for name, pairs in curves.items()}
    return {
        name: {"deletion": float(each[:, 0].mean()), "insertion": float(each[:, 1].mean()), "count": len(each)}
        for name, each in areas.items()
    }
