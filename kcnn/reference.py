"""What a recipe may say, for people: its tables, what each may name, and their keys with default, range and meaning."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from kcnn.errors import UsageError
from kcnn.recipe import REGISTRIES
from kcnn.registry import did_you_mean
from kcnn.schema import Component, ModelComponent, Recipe, components

# What a table is for that names one of several things.
PURPOSES = {
    "augment": "What is done to the training images, as often as wanted, in this order",
    "model": "The network",
    "optimizer": "How the weights move",
    "schedule": "How the learning rate changes",
}


@dataclass(frozen=True)
class Key:
    """One key of a table.

    Attributes:
        name: As it stands in TOML.
        default: What holds where it is absent; None is nothing, or that it must be there.
        choices: The words that it may be; empty where it may be others.
        meaning: With its range, where the schema has one. Empty where nothing is said.
    """

    name: str
    default: Any
    choices: tuple[str, ...]
    meaning: str

    @property
    def others(self) -> list[str]:
        """The words that it may be beside its default, as in TOML."""
        return [json.dumps(one) for one in self.choices if one != self.default]


@dataclass(frozen=True)
class Entry:
    """A table of a recipe, or one of the things that a table may name.

    Attributes:
        table: "data" of `[data]`; empty for the keys above all tables.
        name: What stands behind `name =`; empty where the table names nothing.
        summary: What it is, and what its absence means.
        keys: All but that name.
    """

    table: str
    name: str
    summary: str
    keys: tuple[Key, ...]

    @property
    def header(self) -> str:
        """The line that begins the table in TOML, or nothing."""
        if not self.table:
            return ""
        return f"[[{self.table}]]" if self.table == "augment" else f"[{self.table}]"

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def entries() -> list[Entry]:
    """Return all that a recipe may say, in the order in which recipes say it."""
    return list(_table("", Recipe))


def find(name: str) -> list[Entry]:
    """Return what is called `name`: a thing; a table, with those in it or all that it may name; or what has such a key.

    "recipe" is the table above all others.

    Raises:
        UsageError: There is none.
    """
    everything, wanted = entries(), name.strip("[]")
    called = [(one, {one.name, one.table or "recipe", *one.table.split(".")} - {""}) for one in everything]
    having = [(one, {key.name for key in one.keys}) for one in everything]
    for words in (called, having):
        if found := [one for one, own in words if wanted in own]:
            return found
    known = set().union(*(own for _, own in called + having))
    hint = did_you_mean(wanted, known) or " All there is: kcnn recipes options"
    raise UsageError(f"Nothing in a recipe is called {name!r}.{hint}")


def _table(place: str, table: type[BaseModel], absent: str = "") -> Iterator[Entry]:
    keys, inner = [], []
    for name, field in table.model_fields.items():
        if not place and name in REGISTRIES:
            base = ModelComponent if name == "model" else Component
            inner += [_entry(name, one.model_fields["name"], one) for one in components(REGISTRIES[name], base)]
        elif nested := _nested(field):
            inner += _table(f"{place}.{name}".lstrip("."), nested, field.description or "")
        else:
            keys.append(_key(name, field))
    yield Entry(place, "", f"{_first(table)} {absent}".strip(), tuple(keys))
    yield from inner


def _entry(table: str, name: FieldInfo, component: type[Component]) -> Entry:
    keys = [_key(key, field) for key, field in component.model_fields.items() if key != "name"]
    return Entry(table, get_args(name.annotation)[0], _first(component), tuple(keys))


def _first(table: type[BaseModel]) -> str:
    return (table.__doc__ or "").partition("\n")[0]


def _nested(field: FieldInfo) -> type[BaseModel] | None:
    kinds = (field.annotation, *get_args(field.annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _key(name: str, field: FieldInfo) -> Key:
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    meaning = " ".join(filter(None, (field.description, _range(field.metadata))))
    return Key(name, None if field.is_required() else field.default, tuple(str(one) for one in choices), meaning)


def _range(bounds: list[Any]) -> str:
    """Return what the schema demands of a number, as a sentence."""
    words = {Ge: "at least {0.ge:,}", Gt: "above {0.gt:,}", Le: "at most {0.le:,}", Lt: "below {0.lt:,}"}
    found = [text.format(one) for kind, text in words.items() for one in bounds if isinstance(one, kind)]
    return f"{' and '.join(found)}.".capitalize() if found else ""
