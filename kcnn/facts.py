"""What is known about each architecture without building it: papers, counts, published accuracies."""

import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TABLE = Path(__file__).parent / "models" / "facts.toml"


@dataclass(frozen=True)
class Source:
    """Where a number was published.

    Attributes:
        name: As short as a table needs it.
        title: In full.
        url: Where to read it.
    """

    name: str
    title: str
    url: str


@dataclass(frozen=True)
class Published:
    """One published accuracy of a single model.

    Attributes:
        top1: Per cent of the validation images (of the test images for CIFAR).
        source: Where it stands.
        how: Weights, size of the image, crops: what makes numbers differ.
        data: The data set.
        extra: Data beyond its training images, or None.
    """

    top1: float
    source: Source
    how: str
    data: str = "ImageNet"
    extra: str | None = None

    def document(self) -> dict[str, Any]:
        """Return plain values."""
        return {**vars(self), "source": vars(self.source)}


@dataclass(frozen=True)
class Family:
    """Architectures of one paper.

    Attributes:
        name: What it is called.
        paper: Authors and title.
        year: Of the paper's first version.
        url: Of the paper.
    """

    name: str
    paper: str
    year: int | None = None
    url: str | None = None


@dataclass(frozen=True)
class Imagenet:
    """Published weights, and the pixels that they were trained on.

    Attributes:
        application: The function of `keras.applications` that downloads them.
        mean, std: Per channel, in the order RGB, for pixels from 0 to 1.
        bgr: Whether the first layer takes its channels in the order BGR.
    """

    application: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    bgr: bool


@dataclass(frozen=True)
class Facts:
    """What is known about one architecture.

    Attributes:
        family: Whose it is.
        input: (height, width, channels) that it is made for.
        classes: What its published form tells apart.
        parameters: Trainable numbers at that input and so many classes; None until it was counted.
        macs: Multiply-accumulates of an image, likewise.
        published: The first is what `kcnn models` shows: a single model, one crop where there is such a number.
        imagenet: Weights to start from with `weights = "imagenet"`, or None.
    """

    family: Family
    input: tuple[int, int, int]
    classes: int
    parameters: int | None = None
    macs: int | None = None
    published: tuple[Published, ...] = ()
    imagenet: Imagenet | None = None

    @property
    def pretrained(self) -> bool:
        """Whether there are published weights that fit."""
        return self.imagenet is not None

    def document(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "family": self.family.name,
            "year": self.family.year,
            "paper": self.family.paper,
            "url": self.family.url,
            "input": list(self.input),
            "classes": self.classes,
            "parameters": self.parameters,
            "macs": self.macs,
            "published": [one.document() for one in self.published],
            "pretrained": self.pretrained,
        }


def find(name: str) -> Facts | None:
    """Return the facts about the model `name`, or None where the table has none."""
    return _table().get(name)


def pretrained() -> list[str]:
    """Return the names of the models that published weights fit."""
    return [name for name, known in _table().items() if known.pretrained]


def names() -> list[str]:
    """Return the names in the table."""
    return list(_table())


@functools.cache
def _table() -> dict[str, Facts]:
    values = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    families = {key: Family(**value) for key, value in values["families"].items()}
    sources = {key: Source(**value) for key, value in values["sources"].items()}
    scalings = values["scalings"]
    return {name: _facts(value, families, sources, scalings) for name, value in values["models"].items()}


def _facts(
    value: dict[str, Any], families: dict[str, Family], sources: dict[str, Source], scalings: dict[str, Any]
) -> Facts:
    published = tuple(Published(**{**one, "source": sources[one["source"]]}) for one in value.get("published", ()))
    found: dict[str, Any] = {
        "family": families[value["family"]],
        "input": tuple(value["input"]),
        "published": published,
    }
    if "imagenet" in value:
        scaling = scalings[value["imagenet"]["scaling"]]
        mean, std = (tuple(number / 255 for number in scaling[key]) for key in ("mean", "std"))
        found["imagenet"] = Imagenet(value["imagenet"]["application"], mean, std, scaling["order"] == "BGR")
    return Facts(**{**value, **found})
