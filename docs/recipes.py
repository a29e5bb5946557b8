"""Writes docs/recipes.md from the schema of recipes and the docstrings behind it: python docs/recipes.py."""

import itertools
import json
from pathlib import Path

from kcnn import reference
from kcnn.files import write_text

PAGE = Path(__file__).parent / "recipes.md"

OPENING = """\
# Recipes

Written by `python docs/recipes.py` from the schema and the docstrings of the code, never by hand; a test compares.

A recipe is a TOML file that says all of an experiment but the framework that runs it. `kcnn recipes` lists those that
come with kcnn, `kcnn recipes copy folder mine.toml` takes one to be changed, and `kcnn fit mine.toml` trains it. One
key is changed for one training by `--set`, as in `--set model.width=64`; a whole list likewise:

    kcnn fit digits --set 'augment=[{name="translate", height=0.1}, {name="cutmix", probability=0.5}]'

`kcnn recipes options` tells what is below, too, and `kcnn recipes options cutmix` gives a part of it as TOML to be
copied. `kcnn recipes schema` is the JSON Schema, with which an editor completes and checks. An unknown key or a value
out of its range is told before anything is trained.
"""


def page() -> str:
    """Return the text of the page."""
    parts = [OPENING]
    for table, found in itertools.groupby(reference.entries(), lambda entry: entry.table):
        found = list(found)
        first = found[0]
        parts.append(f"## {'`' + first.header + '`' if table else 'Above all tables'}\n")
        if table == "model":
            keys = [key for key in first.keys if key.name == "weights"]
            parts.append(
                f"{reference.PURPOSES[table]}: `name` is one of {len(found)}, which "
                "[architectures.md](architectures.md) compares and `kcnn models` lists. `kcnn models resnet18` tells "
                "the options of one. All have\n"
            )
            parts.append(_rows(keys))
        elif first.name:
            parts.append(f"{reference.PURPOSES[table]}. `name` is one of these:\n")
            for entry in found:
                parts.append(f"### `{entry.name}`\n\n{entry.summary}\n")
                parts.append(_rows(entry.keys))
        else:
            parts += [f"{first.summary}\n", _rows(first.keys)]
    return "\n".join(parts)


def _rows(keys):
    lines = ["| key | default | |", "|---|---|---|"]
    for key in keys:
        default = "" if key.default is None else f"`{json.dumps(key.default)}`"
        others = ", ".join(f"`{one}`" for one in key.others)
        meaning = f"{key.meaning} Or {others}." if others else key.meaning
        lines.append(f"| `{key.name}` | {default} | {meaning.replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    write_text(PAGE, page())
