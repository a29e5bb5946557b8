"""Runs side by side."""

import json

import numpy as np
import pytest
from copied_runs import copy_of

from kcnn import recipe
from kcnn.errors import UsageError
from kcnn.workflows.compare import compare
from kcnn.workflows.fit import fit


@pytest.fixture(scope="module")
def runs(smoke_run, tmp_path_factory):
    """The smoke run, one of a single epoch with another seed and other validation images, and a copy of the first."""
    folder = tmp_path_factory.mktemp("compared")
    settings = ("epochs=1", "seed=3", "data.validation=0.2")
    short = fit(recipe.load("smoke", settings), out=folder, name="short")
    return [copy_of(smoke_run, folder), short, copy_of(smoke_run, folder / "again")]


def test_two_runs_differ_by_what_only_one_of_them_gets_right(runs):
    ((first, one), (second, other)), (pair,) = compare(runs[:2])
    assert (first, second) == ("smoke", "short")
    count = one.metrics["count"]
    assert pair.only_first == np.sum(one.right & ~other.right)
    assert pair.difference == pytest.approx((pair.only_first - pair.only_second) / count)
    assert pair.difference > 0.05
    assert pair.p == pair.p_holm < 0.01


def test_three_runs_make_three_pairs_and_a_copy_is_no_better(runs, kcnn):
    code, out, _ = kcnn("evaluate", *[run.path for run in runs], "--json")
    assert code == 0
    document = json.loads(out)
    assert [row["name"] for row in document["runs"]] == ["/".join(run.path.parts[-2:]) for run in runs]
    assert len(document["pairs"]) == 3
    alike = document["pairs"][1]
    assert (alike["difference"], alike["only_first"], alike["only_second"], alike["p"]) == (0, 0, 0, 1)
    for pair in document["pairs"]:
        assert pair["p_holm"] >= pair["p"]
    code, out, _ = kcnn("evaluate", runs[0].path, runs[1].path)
    assert code == 0
    assert "McNemar p" in out
    assert "349 test images" in out


def test_other_images_are_refused(runs):
    with pytest.raises(UsageError, match=r"same images .* smoke and short differ .*--data PATH"):
        compare(runs[:2], split="validation")
    assert not list(runs[0].report.glob("*validation*"))  # and nothing was measured for it


def test_a_run_named_twice_is_a_mistake(runs, kcnn):
    code, _, err = kcnn("evaluate", runs[0].path, f"{runs[0].path}/")
    assert code == 2
    assert "named twice" in err
