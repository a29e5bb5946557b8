"""What a recipe may say: its tables and keys, with their types, defaults and ranges."""

import functools
import os
from typing import Annotated, Any, Literal, Union, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, create_model
from pydantic_core import PydanticCustomError

from kcnn.registry import AUGMENTATIONS, DATASETS, MODELS, OPTIMIZERS, REQUIRED, SCHEDULES, Registry


class Table(BaseModel):
    """A table of a recipe: unknown keys are mistakes, and a string is never taken for a number."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def absolute(path: str) -> str:
    """Return a path from the root of the file system."""
    return os.path.realpath(os.path.expanduser(path))


def _utf8(path: str) -> str:
    try:
        absolute(path).encode()
    except UnicodeEncodeError as error:  # Linux allows any bytes, and recipe.toml is UTF-8
        raise PydanticCustomError("utf8", "Input should be a path in UTF-8; rename the file or folder") from error
    return path


Place = Annotated[str, AfterValidator(_utf8)]


class Component(Table):
    """A table that names a registered thing; its other keys are that thing's options."""

    name: str

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments of the thing itself."""
        return self.model_dump(exclude={"name"})


class ModelComponent(Component):
    """A network, and what it starts from."""

    weights: Place | None = Field(
        None,
        description="Start from those of a run, a .keras or .weights.h5 file, or 'imagenet' if `kcnn models` has a *.",
    )

    def options(self) -> dict[str, Any]:
        return self.model_dump(exclude={"name", "weights"})


def _listed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@functools.cache
def components(registry: Registry, base: type[Component] = Component) -> list[type[Component]]:
    """Return a pydantic model for each entry of a registry: its name, its options, and the keys of `base` too."""
    models = []
    for name in registry.names():
        fields: dict[str, Any] = {"name": (Literal[name], ...)}
        for option in registry.options(name).values():
            default = ... if option.default is REQUIRED else option.default
            listing = _listed if get_origin(option.annotation) is tuple else _untupled  # TOML has lists alone
            described = Field(default, description=option.description or None)
            fields[option.name] = (Annotated[option.annotation, BeforeValidator(listing)], described)
        models.append(create_model(name, __base__=base, __doc__=registry.summary(name), **fields))
    return models


def _component(registry: Registry, base: type[Component] = Component) -> Any:
    """Return the pydantic type of a table that names an entry of a registry; `name` tells which."""
    models = components(registry, base)
    if len(models) == 1:
        return models[0]
    return Annotated[Union[tuple(models)], Field(discriminator="name")]  # noqa: UP007 - built at run time


def _untupled(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _words(value: str) -> str:
    if not value.strip():
        raise PydanticCustomError("words", "Input should be words")
    return value


Size = Annotated[
    tuple[Annotated[int, Field(ge=2, le=4096)], Annotated[int, Field(ge=2, le=4096)]],
    BeforeValidator(
        lambda value: (value, value) if isinstance(value, int) else _listed(value),
        json_schema_input_type=int | tuple[int, int],
    ),
]
Words = Annotated[str, AfterValidator(_words)]
Channels = Annotated[tuple[float, ...], BeforeValidator(_listed)]


class DataConfig(Table):
    """Where the images come from, and how they become arrays."""

    name: Literal[tuple(DATASETS.names())] = Field("digits", description="`kcnn datasets` says what they are.")  # type: ignore[valid-type]
    path: Place | None = Field(
        None, description="A folder, a CSV file, or an archive; it takes the place of what name says."
    )
    about: Words | None = Field(None, description="What the images are and whose, for the model's card.")
    validation: float = Field(0.1, ge=0, lt=1, description="Share of the training images held out.")
    test: float = Field(0.1, ge=0, lt=1, description="Share held out for `evaluate` where the data has no test split.")
    limit: int | None = Field(None, ge=1, description="Take so many training images, stratified.")
    image_size: Size | None = Field(
        None,
        description="Height and width, 2 to 4096, or one number for both; "
        "default: that of the images where all are alike and at most 128, else 64.",
    )
    channels: Literal[1, 3] | None = Field(None, description="1 for grey, 3 for colour; default: as the images are.")
    resize: Literal["crop", "pad", "stretch"] = Field("crop", description="How an image gets another shape.")
    mean: Channels | None = Field(
        None, description="Of each channel, of pixels from 0 to 1; default: measured, or those of model.weights."
    )
    std: Channels | None = Field(None, description="Standard deviation of each channel, likewise; both or neither.")
    on_bad_image: Literal["fail", "skip"] = Field("fail", description="What to do with an unreadable image.")
    memory_limit: float = Field(2.0, ge=0, description="GiB; decoded data above it streams from disk.")

    @property
    def absolute_path(self) -> str | None:
        """`path` from the root of the file system, or None where there is none."""
        return absolute(self.path) if self.path else None


def _freeze(value: Any) -> str | int:
    if (isinstance(value, str) and value) or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return value
    raise PydanticCustomError("freeze", "Input should be 'all', the name of a part, or a number of parts")


class FinetuneConfig(Table):
    """How a network that starts from the weights of another training is trained."""

    freeze: Annotated[str | int, PlainValidator(_freeze, json_schema_input_type=str | int)] | None = Field(
        None,
        description="Layers that are not trained: 'all' but the logits; the name of the last part of the network "
        "that is frozen (stem, stage2, features, head); or how many parts from the input.",
    )
    unfreeze_epoch: int | None = Field(None, ge=1, description="After so many epochs all layers are trained.")
    unfreeze_factor: float = Field(0.1, gt=0, description="On the learning rate, from unfreeze_epoch on.")
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="Factor on the learning rate, once more for each part nearer to the input."
    )


class LossConfig(Table):
    """The cross-entropy that is minimised."""

    label_smoothing: float = Field(0.0, ge=0, lt=1, description="Share of each label given to all classes alike.")
    class_weights: Literal["balanced"] | dict[str, float] | None = Field(
        None, description="Weight of each class by name, or 'balanced': inverse to how often it occurs."
    )


class EarlyStoppingConfig(Table):
    """Stop when nothing has improved for `patience` epochs."""

    monitor: Literal["loss", "accuracy", "val_loss", "val_accuracy"] = Field(
        "val_loss", description="What must improve."
    )
    patience: int = Field(10, ge=1, description="Epochs.")
    min_delta: float = Field(0.0, ge=0, description="What is less is no improvement.")


class AverageConfig(Table):
    """Exponential moving average of weights and batch-norm statistics."""

    decay: float = Field(
        0.999,
        gt=0,
        lt=1,
        description="Share of the average that stays at each update; at the n-th no more than (1 + n) / (10 + n).",
    )
    every: int = Field(1, ge=1, description="Steps between updates.")


class CallbacksConfig(Table):
    """What happens beside the training."""

    early_stopping: EarlyStoppingConfig | None = Field(None, description="Without this table all epochs are trained.")
    best: bool = Field(False, description="Keep the weights of the epoch with the best validation accuracy.")
    ema: AverageConfig | None = Field(None, description="Without this table the weights are those of the last step.")
    tensorboard: bool = Field(False, description="Write TensorBoard event files to the run's tensorboard/ folder.")


class RunConfig(Table):
    """How the training is carried out, whatever is trained."""

    deterministic: bool = Field(False, description="Use only operations that give the same bits each time; slower.")
    checkpoint_seconds: float = Field(60.0, ge=0, description="Between two checkpoints in an epoch; 0: each step.")
    licence: Words | None = Field(None, description="Of the trained model, for its card: 'Apache-2.0'.")


Seed = Annotated[int, Field(ge=0, lt=2**31)]


class Recipe(Table):
    """A whole experiment, but for the framework that runs it."""

    seed: Seed = Field(
        0,
        description="Of all that is drawn: weights, order, augmentation, dropout, what is held out for validation.",
    )
    epochs: int = Field(10, ge=1, description="Passes over the training images.")
    batch_size: int = Field(128, ge=1, le=65536, description="Images a step.")
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = Field(
        "float32", description="Of the computation; weights are float32 always."
    )
    data: DataConfig = DataConfig()
    augment: tuple[Component, ...] = ()
    model: ModelComponent
    finetune: FinetuneConfig | None = Field(None, description="Without this table all layers are trained alike.")
    optimizer: Component
    schedule: Component
    loss: LossConfig = LossConfig()
    callbacks: CallbacksConfig = CallbacksConfig()
    run: RunConfig = RunConfig()


@functools.cache
def recipe_type() -> type[Recipe]:
    """Return `Recipe` with the options of every registered model, augmentation, optimizer and schedule."""
    augmentation: Any = _component(AUGMENTATIONS)
    return create_model(
        "Recipe",
        __base__=Recipe,
        __doc__=Recipe.__doc__,
        augment=(Annotated[tuple[augmentation, ...], BeforeValidator(_listed)], ()),
        model=(_component(MODELS, ModelComponent), ...),
        optimizer=(_component(OPTIMIZERS), ...),
        schedule=(_component(SCHEDULES), ...),
    )


@functools.cache
def model_type() -> type[Table]:
    """Return a table with the key `model` alone, for a network that is built without a recipe."""
    return create_model("Model", __base__=Table, model=(_component(MODELS), ...))


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a recipe."""
    document = recipe_type().model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "kcnn recipe"} | document
