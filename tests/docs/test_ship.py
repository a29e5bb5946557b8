"""docs/ship.py: what of a run is shipped."""

import json

import pytest
import ship
from copied_runs import copy_of

from kcnn.run import Run


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('path = "/home/me/data/cifar10.tar.xz"', 'path = "cifar10.tar.xz"'),
        ("kcnn fit x --data=/data --out '/a/b c'", "kcnn fit x --data=data --out 'b c'"),
        ("https://arxiv.org/abs/1512.03385 and/or image/png 1 / 2", None),
        ("saved_models/digits/report/index.html ../x ./y", None),
        ("--xla_dump_to=/tmp/x /usr/lib", "--xla_dump_to=x lib"),
    ],
)
def test_absolute_paths_become_names(text, expected):
    assert ship.without_folders(text) == (text if expected is None else expected)


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(ship, "ROOT", tmp_path)
    (tmp_path / ".gitignore").write_text((ship.Path(__file__).parents[2] / ".gitignore").read_text())
    return tmp_path


def test_a_model_is_shipped_with_its_card_and_without_this_machine(measured, root, tmp_path):
    run = copy_of(measured[0], tmp_path / "made")
    run.recipe.write_text(run.recipe.read_text() + f'\n# "{tmp_path}/x"\n')
    ship.ship(run.path, root / "saved_models" / "digits")
    shipped = Run(root / "saved_models" / "digits")
    assert ship.shipped() == [shipped.path]
    files = {path.relative_to(shipped.path).as_posix() for path in shipped.path.rglob("*") if path.is_file()}
    assert files == {*ship.WORDS, *ship.WHOLE, "MODEL_CARD.md"}
    assert not [
        path for path in shipped.path.rglob("*.*") if path.is_file() and str(tmp_path).encode() in path.read_bytes()
    ]
    assert json.loads(shipped.metrics.read_text()) == json.loads(run.metrics.read_text())
    before = shipped.card.read_text()
    ship.ship(shipped.path, shipped.path)  # again, in its place
    assert shipped.card.read_text() == before


def test_the_temperature_of_the_model_before_is_not_left(measured, root, tmp_path):
    run = copy_of(measured[0], tmp_path / "made")
    target = root / "saved_models" / "digits"
    ship.ship(run.path, target)
    assert Run(target).calibration.is_file()
    run.calibration.unlink()
    ship.ship(run.path, target)
    assert not Run(target).calibration.exists()


def test_what_cannot_be_shipped_is_told(measured, root, tmp_path, monkeypatch):
    run = copy_of(measured[0], tmp_path / "made")
    with pytest.raises(SystemExit, match="git ignores"):
        ship.ship(run.path, root / "saved_models" / "other")
    monkeypatch.setattr(ship, "MOST_BYTES", 1000)
    with pytest.raises(SystemExit, match="stays below 1,000"):
        ship.ship(run.path, root / "saved_models" / "digits")
    run.metrics.write_text("{}")
    with pytest.raises(SystemExit, match=f"kcnn evaluate {run.path}"):
        ship.ship(run.path, root / "docs" / "runs" / "other")
    copy_of(measured[0], tmp_path / "seeds")
    (tmp_path / "seeds" / "seeds.json").write_text('{"metrics": {"val_accuracy": {}}}')
    with pytest.raises(SystemExit, match=f"kcnn evaluate {tmp_path / 'seeds'}"):
        ship.ship(tmp_path / "seeds", root / "docs" / "runs" / "seeds")
    assert not [path for path in (root / "saved_models", root / "docs") if path.exists()]
