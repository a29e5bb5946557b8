"""Each command that README and docs show is one that kcnn understands."""

import importlib
import re
import shlex
from pathlib import Path

import click
import pytest

from kcnn.cli import VERBS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "recipes").glob("*.toml"))]
HEAD = re.compile(r"^#   (kcnn .*?)(?:     \(|$)", re.MULTILINE)  # of a recipe, where brackets say what it is for
ENDS = {"|", ">", "2>", "&&", "<", ";"}


def code(text):
    """Yield the lines of Markdown that are code: between fences, or in a paragraph that is indented."""
    fenced = False
    for paragraph in re.split(r"\n\n+", text):
        for line in paragraph.splitlines():
            if line.startswith("```"):
                fenced = not fenced
            elif fenced or paragraph.startswith("    "):
                yield line.strip()


def commands():
    """Yield (page, words) of each command of kcnn."""
    for page in PAGES:
        text = page.read_text().replace("\\\n", " ")
        lines = HEAD.findall(text) if page.suffix == ".toml" else code(text)
        for line in lines:
            if line.startswith("kcnn "):
                words = shlex.split(line, comments=True)
                end = next((index for index, word in enumerate(words) if word in ENDS), len(words))
                yield page.name, words[1:end]


@pytest.mark.parametrize(("page", "words"), list(commands()), ids=str)
def test_a_command_is_understood(page, words):
    verb, *arguments = words
    if verb in ("--help", "--version"):
        return
    assert verb in VERBS
    command = importlib.import_module(VERBS[verb]).command
    if isinstance(command, click.Group):
        assert not arguments or arguments[0] in command.commands
        return
    options, _, _ = command.make_parser(click.Context(command)).parse_args(list(arguments))
    for parameter in command.params:
        given = options.get(parameter.name)
        if isinstance(parameter.type, click.Choice) and given:
            values = given if isinstance(given, list | tuple) else [given]
            assert {value for value in values if not value.isupper()} <= set(parameter.type.choices)


def test_there_are_commands():
    assert len({page for page, _ in commands()}) > 8
    assert len(list(commands())) > 80
