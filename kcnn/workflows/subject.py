"""What a network is asked for by: the name of a model, a run, or a file. Found without Keras."""

from dataclasses import dataclass, field
from pathlib import Path

from kcnn import facts
from kcnn import recipe as recipes
from kcnn.errors import UsageError
from kcnn.registry import MODELS, did_you_mean
from kcnn.run import DEFAULT_PARENT, Run, places

INPUT, CLASSES = (224, 224, 3), 1000  # of a model about which the table of facts says nothing


@dataclass(frozen=True)
class Subject:
    """A model that can be built, or a file that can be loaded.

    Attributes:
        name: What the user called it.
        path: Of the .keras file; None for a model.
        input_shape, classes, options: What a model is built with; None and nothing for a file.
    """

    name: str
    path: Path | None = None
    input_shape: tuple[int, int, int] | None = None
    classes: int | None = None
    options: dict = field(default_factory=dict)


def find_subject(text, *, input_shape=None, classes=None, settings=()):
    """Return the `Subject` that a user means.

    Args:
        text: A name that `kcnn models` lists, the path or name of a run, or a path that ends in .keras.
        input_shape: (height, width, channels) of a model; default: what its facts say.
        classes: Of a model; default likewise.
        settings: Options of a model, such as `"width=64"`.

    Raises:
        UsageError: There is no such thing, or an argument does not go with it.
    """
    if text in MODELS.table:
        known = facts.find(text)
        return Subject(
            text,
            input_shape=input_shape or (known.input if known else INPUT),
            classes=classes or (known.classes if known else CLASSES),
            options=recipes.model_options(text, settings),
        )
    path = _file(text)
    if input_shape or classes or settings:
        raise UsageError(
            f"{path} is trained: its input, classes and options are fixed. "
            "--input, --classes and --set go with the name of a model, which `kcnn models` lists."
        )
    return Subject(text, path)


def _file(text):
    path = Path(text)
    if path.suffix == ".keras" and path.is_file():
        return path
    if any(candidate.is_dir() for candidate in places(path)):
        return Run.open(text).model
    runs = sorted(found.parent.name for found in Path(DEFAULT_PARENT).glob("*/model.keras"))
    hint = did_you_mean(text, [*MODELS.names(), *runs])
    if text in recipes.names():
        model = recipes.load(text).model.name
        hint = f" It is a recipe, whose model is {model!r}: kcnn describe {model}"
    hint = hint or " `kcnn models` lists the models; a run is a folder that `kcnn fit` makes."
    raise UsageError(f"There is no model and no run {text!r}.{hint}")
