"""The table of facts holds together: every number has a source, every family is used."""

import tomllib

import pytest

from kcnn import facts
from kcnn.registry import MODELS

ALL = {name: facts.find(name) for name in facts.names()}


def test_nothing_is_known_of_what_is_not_there():
    assert facts.find("nothing") is None


@pytest.mark.parametrize("name", ALL)
def test_facts_are_plausible(name):
    found = ALL[name]
    height, width, channels = found.input
    assert height == width
    assert channels == 3
    assert found.classes in (10, 1000)
    assert found.family.year is None or 2012 <= found.family.year <= 2024
    for one in found.published:
        assert 50 < one.top1 < 97
        assert one.data == ("CIFAR-10" if found.classes == 10 else "ImageNet")
        assert one.how
        assert "pretrained" not in one.how, "that is what `extra` is for"
        assert one.source.url.startswith("https://")


def test_every_source_and_family_is_used():
    values = tomllib.loads(facts.TABLE.read_text(encoding="utf-8"))
    used = {one["source"] for model in values["models"].values() for one in model.get("published", ())}
    assert used == set(values["sources"])
    assert {model["family"] for model in values["models"].values()} == set(values["families"])


def test_facts_are_of_every_registered_model_and_of_no_other():
    assert set(ALL) == set(MODELS.names()), (
        f"KCNN_REWRITE_GOLDEN=1 fills in the counts of a new one in {facts.TABLE.name}"
    )
