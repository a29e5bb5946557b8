"""What the table of facts says of a model is what is counted; KCNN_REWRITE_GOLDEN=1 writes what was counted."""

import os
import re

import pytest

from kcnn import facts
from kcnn.registry import MODELS
from kcnn.workflows.describe import describe
from kcnn.workflows.subject import find_subject


def _is_slow(name):
    known = facts.find(name)
    return known is not None and known.classes == 1000 and (known.macs is None or known.macs > 5e9)


def _rewrite(name, parameters, macs):
    text = facts.TABLE.read_text(encoding="utf-8")
    match = re.search(rf"\[models\.{name}\]\n(.*?)(?=\n\[|\n\n|\Z)", text, re.DOTALL)
    lines = [line for line in match[1].splitlines() if not line.startswith(("parameters", "macs"))]
    place = next(index for index, line in enumerate(lines) if line.startswith("classes")) + 1
    lines[place:place] = [f"parameters = {parameters:_}", f"macs = {macs:_}"]
    text = text[: match.start(1)] + "\n".join(lines) + text[match.end(1) :]
    facts.TABLE.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if _is_slow(name) else ()) for name in MODELS.names()]
)
def test_counts_are_those_of_the_table(name):
    counted = describe(find_subject(name))
    if os.environ.get("KCNN_REWRITE_GOLDEN") == "1":
        _rewrite(name, counted.parameters, counted.macs)
    else:
        known = facts.find(name)
        assert (known.parameters, known.macs) == (counted.parameters, counted.macs)
