"""Recipes: how they are found, read, changed, checked and written."""

import json
import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ValidationError

from kcnn import facts
from kcnn.errors import RecipeError
from kcnn.registry import (
    AUGMENTATIONS,
    MODELS,
    OPTIMIZERS,
    REQUIRED,
    SCHEDULES,
    Registry,
    did_you_mean,
)
from kcnn.schema import Component, ModelComponent, Recipe, model_type, recipe_type

# In which a resumed recipe may differ: where data and weights lie, memory, how often to save, what the card says.
NOT_COMPARED = (
    "data.about",
    "data.memory_limit",
    "data.path",
    "model.weights",
    "run.checkpoint_seconds",
    "run.licence",
)

REGISTRIES = {"augment": AUGMENTATIONS, "model": MODELS, "optimizer": OPTIMIZERS, "schedule": SCHEDULES}


# ---------------------------------------------------------------- finding and reading


def folder() -> Path:
    """Return the folder of the recipes that come with kcnn."""
    shipped = Path(__file__).parent / "recipes"
    return shipped if shipped.is_dir() else Path(__file__).parent.parent / "recipes"


def names() -> list[str]:
    """Return the names of the recipes that come with kcnn."""
    return sorted(path.stem for path in folder().glob("*.toml"))


def find(name: str | Path) -> Path:
    """Return the path of a recipe given as a path, or as the bare name of one that comes with kcnn."""
    path = Path(name)
    if path.is_file():
        return path
    shipped = folder() / f"{path.name.removesuffix('.toml')}.toml"
    if str(name) == path.name and shipped.is_file():
        return shipped
    if path.is_dir() and (path / "recipe.toml").is_file():
        return path / "recipe.toml"
    hint = did_you_mean(str(name), names())
    if path.is_dir() and not (path / "seeds.json").is_file():
        hint += _images_hint(path)
    hint = hint or f" Recipes that come with kcnn: {', '.join(names())}."
    raise RecipeError(f"There is no recipe {str(name)!r}.{hint}")


def _images_hint(path: Path) -> str:
    return f" Where it is about images: kcnn fit --data {shlex.quote(str(path))}"


def summary(path: Path) -> str:
    """Return what a recipe's opening comment says first."""
    first = path.read_text(encoding="utf-8-sig").partition("\n")[0]
    return first.removeprefix("#").strip()


def stem(name: str | Path) -> str:
    """Return what a run of the recipe `name` is called: its own name, or that of the run it comes from."""
    path = find(name)
    return (path.resolve().parent.name if path.name == "recipe.toml" else path.stem).lstrip(".") or "run"


def load(name: str | Path, overrides: tuple[str, ...] = (), data: str | None = None) -> Recipe:
    """Find, read and validate a recipe.

    Args:
        name: A path, or the bare name of a recipe that comes with kcnn.
        overrides: Settings such as `"model.width=64"`, applied before validation.
        data: A path that takes the place of the recipe's own data.

    Raises:
        RecipeError: It is not there, not TOML, or not valid; the message lists every mistake.
    """
    path = find(name)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # Windows editors begin with a byte order mark
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        hint = _images_hint(path) if path.suffix == ".csv" or isinstance(error, UnicodeDecodeError) else ""
        raise RecipeError(f"{path} is not TOML: {error}.{hint}") from error
    except OSError as error:
        raise RecipeError(f"Cannot read {path}: {error.strerror}.") from error
    for override in overrides:
        _apply(values, override)
    if data is not None and isinstance(values.get("data", {}), dict):
        values["data"] = {**values.get("data", {}), "name": "folder", "path": data}
    return validate(values, source=f"{path}, as this call changes it," if overrides else str(path))


def _apply(values: dict[str, Any], override: str) -> None:
    dotted, equals, text = override.partition("=")
    if not equals or not dotted.strip():
        raise RecipeError(f"Expected --set key=value, for instance --set model.width=64. Received: {override!r}")
    *parents, last = dotted.strip().split(".")
    target: Any = values
    try:
        for part in parents:
            target = target[int(part)] if isinstance(target, list) else target.setdefault(part, {})
        if isinstance(target, list):
            target[int(last)] = _literal(text)
        else:
            if last == "name" and parents[0] in REGISTRIES:
                _forget_options(REGISTRIES[parents[0]], target, _literal(text))
            target[last] = _literal(text)
    except (ValueError, IndexError, TypeError, AttributeError) as error:
        raise RecipeError(f"--set {dotted}: the recipe has no such place.") from error


def _forget_options(registry: Registry, table: dict[str, Any], name: Any) -> None:
    """Remove what the thing that a table named has as an option, and the one named `name` has not."""
    if all(isinstance(each, str) and each in registry.table for each in (table.get("name"), name)):
        for key in set(registry.options(table["name"])) - set(registry.options(name)):
            table.pop(key, None)


def _literal(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text  # a bare word is a string, so that no shell has to carry quotes


def parse(text: str, source: str = "The recipe") -> Recipe:
    """Return the recipe that a text in TOML describes, as `to_toml` writes it; otherwise as `validate`."""
    return validate(tomllib.loads(text), source)


def model_options(name: str, settings: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the keyword arguments of a registered model's builder, for one that is built without a recipe.

    Args:
        name: A registered name.
        settings: Such as `"width=64"`, or as in a recipe `"model.width=64"`.

    Raises:
        RecipeError: A setting is not one of the model's options; the message lists every mistake.
    """
    values: dict[str, Any] = {"model": {"name": name}}
    for setting in settings:
        _apply(values, f"model.{setting.strip().removeprefix('model.')}")
    if values["model"]["name"] != name:
        raise RecipeError(f"--set name={values['model']['name']} names another model; describe that one instead.")
    if "weights" in values["model"]:
        raise RecipeError("--set weights=...: a model that is built without a recipe starts from none; leave it out.")
    try:
        found: Any = model_type().model_validate(values)
    except ValidationError as error:
        lines = "".join(f"\n  - {_describe(item, values)}" for item in error.errors())
        raise RecipeError(f"These are not options of {name}:{lines}") from error
    return found.model.options()


def validate(values: dict[str, Any], source: str = "The recipe") -> Recipe:
    """Return the recipe that `values` describe; raise `RecipeError` that lists every mistake."""
    mistakes = _mistakes_between_tables(values)
    try:
        recipe = recipe_type().model_validate(values)
    except ValidationError as error:
        mistakes = [_describe(item, values) for item in error.errors()] + mistakes
    if mistakes:
        lines = "".join(f"\n  - {mistake}" for mistake in mistakes)
        raise RecipeError(f"{source} is not a valid recipe:{lines}")
    return recipe


def _mistakes_between_tables(values: dict[str, Any]) -> list[str]:
    # On the raw values, so that these mistakes are told together with those of single keys.
    def value(table: str, key: str) -> Any:
        found = values.get(table)
        return found.get(key) if isinstance(found, dict) else None

    mistakes = []
    epochs, warmup = values.get("epochs", 10), value("schedule", "warmup_epochs")
    if isinstance(epochs, int) and isinstance(warmup, int | float) and not 0 <= warmup < max(epochs, 1):
        mistakes.append(
            f"schedule.warmup_epochs: must be at least 0 and less than epochs ({epochs}). Received: {warmup}. "
            "A short trial needs none: --set schedule.warmup_epochs=0"
        )
    if value("data", "name") == "folder" and not value("data", "path"):
        mistakes.append("data.path: name = 'folder' needs a path; on the command line, --data PATH")
    if value("data", "validation") == 0 and not value("data", "path"):  # else the data may be divided already
        if value("callbacks", "best"):
            mistakes.append("callbacks.best: needs validation images, but data.validation is 0")
        stopping = value("callbacks", "early_stopping")
        if isinstance(stopping, dict) and str(stopping.get("monitor", "val_loss")).startswith("val_"):
            mistakes.append("callbacks.early_stopping: needs validation images, but data.validation is 0")
    mistakes += _mistakes_of_finetuning(value, epochs)
    for name in ("mean", "std"):
        if (value("data", "mean") is None) != (value("data", "std") is None) and value("data", name) is None:
            mistakes.append(f"data.{name}: give mean and std together, or neither")
    std = value("data", "std")
    if isinstance(std, list) and any(isinstance(one, int | float) and one <= 0 for one in std):
        mistakes.append(f"data.std: each must be greater than 0. Received: {std}")
    for name in ("mean", "std"):
        given = value("data", name)
        if isinstance(given, list) and any(isinstance(one, int | float) and one > 1 for one in given):
            mistakes.append(f"data.{name}: of pixels from 0 to 1, not to 255. Received: {given}")
    rate = value("optimizer", "learning_rate")
    if isinstance(rate, int | float) and rate <= 0:
        mistakes.append(f"optimizer.learning_rate: must be greater than 0. Received: {rate}")
    return mistakes


def _mistakes_of_finetuning(value: Callable[[str, str], Any], epochs: Any) -> list[str]:
    freeze, unfreeze = value("finetune", "freeze"), value("finetune", "unfreeze_epoch")
    name, mistakes = value("model", "name"), []
    if value("model", "weights") == "imagenet" and name in MODELS.table and name not in facts.pretrained():
        mistakes.append(
            f"model.weights: there are no published ImageNet weights of {name}. There are of: "
            f"{', '.join(each for each in facts.pretrained() if each in MODELS.table)}."
        )
    if freeze is not None and not value("model", "weights"):
        mistakes.append("finetune.freeze: needs model.weights, or layers would be frozen as they are drawn at random")
    if unfreeze is not None and freeze is None:
        mistakes.append("finetune.unfreeze_epoch: nothing is frozen; give finetune.freeze too")
    if isinstance(unfreeze, int) and isinstance(epochs, int) and unfreeze >= epochs > 0:
        mistakes.append(f"finetune.unfreeze_epoch: must be less than epochs ({epochs}). Received: {unfreeze}")
    return mistakes


def _describe(error: Any, values: dict[str, Any]) -> str:
    place, known = _place(error["loc"], values)
    kind, received = error["type"], error["input"]
    if kind == "extra_forbidden":
        return f"{place}: unknown key.{did_you_mean(str(error['loc'][-1]), known) or _known(known)}"
    if kind == "union_tag_invalid":
        registry = _registry(error["loc"])
        tag = error["ctx"]["tag"]
        hint = did_you_mean(tag, registry.table) or _known(registry.names())
        return f"{place}.name: unknown {registry.kind} {tag!r}.{hint}"
    if kind == "union_tag_not_found":
        return f"{place}: expected a table with a name, for instance name = {_registry(error['loc']).names()[0]!r}"
    if kind == "literal_error":
        allowed = re.findall(r"'([^']+)'", error["ctx"]["expected"])
        hint = did_you_mean(received, allowed) if isinstance(received, str) else ""
        return f"{place}: expected {error['ctx']['expected']}.{hint} Received: {json.dumps(received, default=str)}"
    if kind == "missing":
        return f"{place}: missing"
    message = error["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    return f"{place}: expected {message}. Received: {json.dumps(received, default=str)}"


def _known(names: list[str]) -> str:
    return f" Known: {', '.join(names)}." if names else ""


def _registry(location: tuple[Any, ...]) -> Registry:
    return REGISTRIES[location[0]]


def _place(location: tuple[Any, ...], values: dict[str, Any]) -> tuple[str, list[str]]:
    """Return the dotted key of an error, without pydantic's union tags, and the keys known beside it."""
    parts = list(location)
    known: list[str] = []
    if parts and parts[0] in REGISTRIES:
        at = 2 if parts[0] == "augment" else 1
        if len(parts) > at:
            tag = parts.pop(at)
            registry = _registry(location)
            if tag in registry.table:
                own = ModelComponent if parts[0] == "model" else Component
                known = [*own.model_fields, *registry.options(tag)]
    elif len(parts) == 1:
        known = list(Recipe.model_fields)
    else:
        model: Any = Recipe
        for part in parts[:-1]:
            model = _field_model(model, part)
        known = list(model.model_fields) if model else []
    return ".".join(str(part) for part in parts), known


def _field_model(model: Any, name: Any) -> Any:
    field = model.model_fields.get(name) if model else None
    if field is None:
        return None
    kinds = [field.annotation, *getattr(field.annotation, "__args__", ())]
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


# ---------------------------------------------------------------- writing


def to_toml(recipe: Recipe) -> str:
    """Return the recipe as TOML with every value spelled out, such as `load` reads."""
    return tomli_w.dumps(recipe.model_dump(mode="json", exclude_none=True))


def differences(old: str, new: str) -> list[str]:
    """Return a line for each value in which two recipes, given as TOML, would train differently.

    What is `NOT_COMPARED` does not count.
    """
    before, after = (_flat(_spelled_out(text)) for text in (old, new))
    for key in NOT_COMPARED:
        before.pop(key, None)
        after.pop(key, None)
    keys = [*before, *(key for key in after if key not in before)]
    return [
        f"{key}: {_shown(before, key)} -> {_shown(after, key)}"
        for key in keys
        if before.get(key, REQUIRED) != after.get(key, REQUIRED)
    ]


def _spelled_out(text: str) -> dict[str, Any]:
    """Return a recipe with all defaults, among them those of options that it was written before."""
    values = tomllib.loads(text)
    try:
        return validate(values).model_dump(mode="json", exclude_none=True)
    except RecipeError:  # it has an option that is no more
        return values


def _flat(value: Any, place: str = "") -> dict[str, Any]:
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        value = dict(enumerate(value))
    if not isinstance(value, dict):
        return {place: value}
    parts = (_flat(item, f"{place}.{key}" if place else str(key)) for key, item in value.items())
    return {key: item for part in parts for key, item in part.items()}


def _shown(values: dict[str, Any], key: str) -> str:
    return json.dumps(values[key]) if key in values else "absent"
