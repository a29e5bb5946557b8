"""docs/results.md: what docs/results.py makes of the runs that are in git."""

import json
import os
import re
import shutil
from dataclasses import replace

import pytest
import results
import ship

from kcnn import recipe as recipes
from kcnn.run import Run


def test_the_page_is_that_of_the_runs():
    made = results.page([results.line(folder) for folder in results.folders()])
    if os.environ.get("KCNN_REWRITE_GOLDEN") == "1":
        results.PAGE.write_text(made)
    assert results.PAGE.read_text() == made, "python docs/results.py writes it anew"


@pytest.mark.parametrize(
    ("command", "recipe"),
    [
        ("kcnn fit cifar10_resnet20 --backend jax", "cifar10_resnet20"),
        ("kcnn fit --backend jax --data 'my photos' folder", "folder"),
        ("kcnn fit", "digits"),
        ("kcnn fit --data x.zip", "folder"),
        ("kcnn fit a --set model.name=plain20 --set run.licence=MIT --epochs 3", "a, model.name=plain20, epochs=3"),
        ("kcnn fit a --seed 0 --set seed=1", "a"),
        (
            "kcnn fit cifar10_simple_cnn --set optimizer.name=lion --set optimizer.beta_2=0.999",
            "cifar10_simple_cnn, optimizer.name=lion, optimizer.beta_2=0.999",
        ),
        ("kcnn fit smoke --set seed=1 --set model.depth=3 --epochs 3", "smoke, model.depth=3, epochs=3"),
        (
            f"kcnn fit cifar10_simple_cnn --set batch_size=128 --epochs {recipes.load('cifar10_simple_cnn').epochs}",
            "cifar10_simple_cnn",
        ),
        ("kcnn fit a --set epochs=3 --epochs 5", "a, epochs=5"),
        ("kcnn fit a --set model.weights=imagenet --set data.about=mine", "a, model.weights=imagenet"),
        ("kcnn fit saved_models/x/recipe.toml", "x"),
        ("kcnn fit recipe.toml", "otherwise"),
        ("python train.py", "otherwise"),
        (None, "otherwise"),
    ],
)
def test_the_recipe_is_that_of_the_command(command, recipe):
    assert results.recipe_of(command, "otherwise") == recipe


@pytest.fixture
def lines(measured, tmp_path, monkeypatch):
    """A run, one of two seeds of another recipe, and one of these seeds by itself; the numbers alone are kept."""
    for module in (ship, results):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    source = measured[0]
    ship.ship(source.path, tmp_path / "docs" / "runs" / "one")
    seeds = tmp_path / "seeds"
    for seed, seconds in enumerate((60, 180)):
        run = Run(shutil.copytree(source.path, seeds / f"seed{seed}"))
        views = {"": 0.9 + seed / 10, "_low": 0.8, "_high": 1.0}
        run.update_metrics(
            {"seconds": seconds} | {f"tta_flip_shift_accuracy{end}": each for end, each in views.items()}
        )
        environment = run.known_environment() | {"command": "kcnn fit a|b --seeds 2", "backend": "torch"}
        run.recipe.write_text(run.recipe.read_text().replace("seed = 0", f"seed = {seed}"))
        if seed:  # which holds back other images
            environment["data"] = environment["data"] | {"fingerprint": "other", "train": 7}
        run.write_json(run.environment, environment)
    spread = {"mean": 0.9, "std": 0.01, "low": 0.8, "high": 1.0, "values": [0.89, 0.91]}
    spreads = {"accuracy": spread, "tta_flip_shift_accuracy": spread | {"mean": 0.95}}
    plan = {"seeds": [0, 1], "recipe": source.recipe.read_text(), "metrics": spreads}
    (seeds / "seeds.json").write_text(json.dumps(plan))
    ship.ship(seeds, tmp_path / "docs" / "runs" / "two")
    ship.ship(seeds / "seed0", tmp_path / "docs" / "runs" / "alone")
    return [results.line(tmp_path / "docs" / "runs" / name) for name in ("two", "one", "alone")]


def test_a_line_holds_the_numbers_of_the_run(lines, measured):
    text = results.page(lines)
    run, _ = measured
    known = json.loads(run.metrics.read_text())
    assert f"| `smoke` | {json.loads(run.environment.read_text())['backend']} | {known['accuracy']:.2%} (" in text
    assert f"| {known['parameters']:,} | `digits` " in text
    assert f"{known['images_per_second']:,.0f}" in text


def test_several_seeds_are_one_line(lines):
    text = results.page(lines)
    accuracy, six_views = (f"{mean} ± 1.00% (80.00% to 100.00%)" for mean in ("90.00%", "95.00%"))
    assert f"| 2 | `a\\|b` | torch | {accuracy} | {six_views} | 0, 1 | 2.00 |" in text
    assert "2. `kcnn fit a\\|b --seeds 2`" in text
    assert "3. `kcnn fit smoke`" in text
    assert text.count("\n| `digits` |") == 2  # one for all but the second seed
    assert "\n| `digits` | other | 7 |" in text
    assert f"`digits` {lines[0].data[0][1][:8]}, other |" in text


def test_a_resumed_training_says_so(lines):
    resumed = {"step": 7, "backend": "torch", "started": "later"}
    changed = replace(lines[1], environment=lines[1].environment | {"resumed": [resumed]})
    assert "; resumed after step 7 on torch, later\n" in results.page([changed])
    assert "resumed" not in results.page(lines)


def test_lines_that_differ_in_the_seed_alone_have_a_mean(lines):
    one, other = (replace(lines[1], seeds=(seed,), shares=(0.9 + seed / 100, 0.8)) for seed in (0, 2))
    text = results.page([one, other, lines[0]])
    assert f"| 2, 3 | `smoke` | {one.backend} | 91.00% ± 1.41% (78.29% to 100.00%) | 80.00% ± 0.00% (80" in text
    assert "Over seeds" not in results.page(lines)
    unseen = replace(other, shares=(0.92, None))
    assert "| 91.00% ± 1.41% (78.29% to 100.00%) |  | 0, 2 |" in results.page([one, unseen])


def test_the_summary_of_cifar10_is_what_the_runs_say():
    summary = (results.PAGE.parent / "cifar10.md").read_text().partition("\n## ")[0]
    rows = [line for line in summary.splitlines() if line.startswith("| `cifar10_")]
    assert len(rows) == 4
    measured = results.PAGE.read_text().splitlines()
    for row in rows:
        recipe, shares = re.match("[| `]*([a-z0-9_]+)", row)[1], re.findall(r"([\d.]+) %", row)
        assert len(shares) == 2
        assert any(f"`{recipe}" in line and all(f" {share}%" in line for share in shares) for line in measured), row
