import json
import re
import tomllib

import pytest

from kcnn import recipe, reference
from kcnn.cli._reference import in_full, in_short
from kcnn.errors import UsageError
from kcnn.schema import Recipe

ENTRIES = reference.entries()


def named(entry):
    return entry.name or entry.table or "recipe"


RANGES = re.compile(r"((At least|Above|At most|Below) \S+( and (at least|above|at most|below) \S+)?\.)?")


def test_each_key_has_a_meaning():
    silent = [f"{named(one)}.{key.name}" for one in ENTRIES for key in one.keys if RANGES.fullmatch(key.meaning)]
    assert silent == []


def test_each_table_and_each_name_is_there_once():
    assert len({(one.table, one.name) for one in ENTRIES}) == len(ENTRIES)
    assert {one.table.partition(".")[0] for one in ENTRIES if one.table} | {key.name for key in ENTRIES[0].keys} == set(
        Recipe.model_fields
    )
    for table, registry in recipe.REGISTRIES.items():
        assert [one.name for one in ENTRIES if one.table == table] == registry.names()


@pytest.mark.parametrize("entry", ENTRIES, ids=named)
def test_what_is_printed_is_a_part_of_a_recipe_with_its_defaults(entry):
    values = tomllib.loads(in_full(entry))
    own = {"model": {"name": "simple_cnn"}, "optimizer": {"name": "sgd"}, "schedule": {"name": "constant"}}
    read = recipe.validate(own | values, "printed").model_dump(exclude_none=True)
    if entry.table in recipe.REGISTRIES:
        alone = own | {entry.table: [{"name": entry.name}] if entry.table == "augment" else {"name": entry.name}}
    else:
        alone = (
            own if entry.table in ("", *Recipe.model_fields) else own | {"callbacks": {entry.table.split(".")[1]: {}}}
        )
    if entry.table == "finetune":
        alone = own | {"finetune": {}}
    assert read == recipe.validate(alone, "alone").model_dump(exclude_none=True)


def test_a_name_is_found_alone_and_a_table_with_all_in_it():
    assert [named(one) for one in reference.find("cutmix")] == ["cutmix"]
    assert [named(one) for one in reference.find("[callbacks]")] == [
        "callbacks",
        "callbacks.early_stopping",
        "callbacks.ema",
    ]
    assert len(reference.find("augment")) == len(recipe.REGISTRIES["augment"].names())
    assert [named(one) for one in reference.find("seed")] == ["recipe"]
    assert {named(one) for one in reference.find("weight_decay")} == {"adamw", "lion"}
    with pytest.raises(UsageError, match=r"called 'cutmx'\. Did you mean 'cutmix'\?"):
        reference.find("cutmx")
    with pytest.raises(UsageError, match="kcnn recipes options"):
        reference.find("")


def test_in_short_all_is_named():
    lines = [line.split() for line in in_short(ENTRIES).splitlines()]
    firsts = [line[0] for line in lines if line]
    words = {word.strip(",") for line in lines for word in line}
    for one in ENTRIES:
        assert one.name in (words if one.table == "model" else ["", *firsts])
        assert one.name or {key.name for key in one.keys} <= words
        assert not one.header or one.header in firsts


@pytest.mark.parametrize("name", ["recipe", "data", "callbacks", "ema", "seed", "muon", "resnet18", "label_smoothing"])
def test_what_the_verb_prints_is_toml(kcnn, name):
    code, out, _ = kcnn("recipes", "options", name)
    assert code == 0
    assert tomllib.loads(out)


def test_the_verb_lists_what_there_is(kcnn):
    assert kcnn("recipes", "options")[1].splitlines() == in_short(ENTRIES).splitlines()
    for name in ("augment", "fill"):
        out = kcnn("recipes", "options", name)[1]
        assert "  crop " in out
        assert ("mixup" in out) == (name == "augment")
    assert kcnn("recipes", "options", "nothing")[0] == 2
    (found,) = json.loads(kcnn("recipes", "options", "mixup", "--json")[1])["options"]
    assert (found["table"], found["name"]) == ("augment", "mixup")
    assert {key["name"]: key["default"] for key in found["keys"]} == {"alpha": 0.2, "probability": 1.0}
