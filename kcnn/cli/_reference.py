"""What a recipe may say, for a terminal."""

import itertools
import json
import textwrap

from kcnn.reference import PURPOSES

WIDTH = 100


def in_full(entry):
    """Return a `kcnn.reference.Entry` as TOML with a comment above each key; all keys have their defaults."""
    lines = _comment(entry.summary)
    if entry.header:
        lines.append(entry.header)
    if entry.name:
        lines.append(f"name = {json.dumps(entry.name)}")
    for key in entry.keys:
        lines += _comment(key.meaning)
        value = f"{key.name} = {json.dumps(key.default)}" if key.default is not None else f"# {key.name} = ..."
        lines.append(f"{value}  # or {', '.join(key.others)}" if key.others else value)
    return "\n".join(lines)


def in_short(entries):
    """Return a few lines a table: its keys, or what it may name."""
    lines = ["What a recipe may say. In full, with each default: kcnn recipes options NAME", ""]
    for _, found in itertools.groupby(entries, lambda entry: entry.header):
        found = list(found)
        first = found[0]
        if not first.name:
            lines += textwrap.wrap(f"{first.header} {first.summary}".strip(), WIDTH)
            lines += _indented(", ".join(key.name for key in first.keys))
        elif first.table == "model":
            lines.append(f"{first.header} {PURPOSES['model']}, of which `kcnn models` tells more; name is one of")
            lines += _indented(", ".join(entry.name for entry in found))
        else:
            lines += [f"{first.header} {PURPOSES[first.table]}; name is one of"]
            width = max(len(entry.name) for entry in found)
            lines += [f"  {entry.name:{width}s} {entry.summary}" for entry in found]
        lines.append("")
    return "\n".join(lines).rstrip()


def _comment(text):
    return textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ")


def _indented(text):
    return textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="  ")
