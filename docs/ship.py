"""Copies an evaluated run to where git keeps it, without what is large and without this machine's folders.

python docs/ship.py RUN saved_models/NAME       a model to use, below 10 MB; NAME stands in .gitignore
python docs/ship.py RUN docs/runs/NAME          numbers alone, for docs/results.md; RUN may hold several seeds
"""

import argparse
import re
import shutil
from pathlib import Path

from kcnn.files import write_text
from kcnn.run import Run, Seeds
from kcnn.workflows.card import write_card

ROOT = Path(__file__).resolve().parent.parent
NUMBERS = ("recipe.toml", "history.csv", "metrics.json", "environment.json")
WORDS = (*NUMBERS, "labels.json", "calibration.json", "report/evaluation_test.json")
WHOLE = ("model.keras", "curves.png")
MOST_BYTES = 10_000_000
# Of .gitignore, which is the list of what is shipped.
NAMED = re.compile(r"^!(saved_models/[^.*/]+)/$", re.MULTILINE)
# An absolute path up to its last part; a slash within a word or an address begins none.
FOLDERS = re.compile(r"(?<![\w.:/])/(?:[^\s'\"/]+/)*(?=[^\s'\"/])")


def shipped():
    """Return the folders of trained models that git keeps: those that .gitignore lets through and that are there."""
    return [folder for name in _named() if (folder := ROOT / name).is_dir()]


def _named():
    return NAMED.findall((ROOT / ".gitignore").read_text(encoding="utf-8"))


def without_folders(text):
    """Return a text in which an absolute path is its last part alone."""
    return FOLDERS.sub("", text)


def ship(source, target):
    """Copy the run, or the runs of several seeds, at `source` to `target`, which may be the same folder."""
    seeds = Seeds(source)
    if seeds.plan.is_file():
        if "accuracy" not in Run(source).read_json(seeds.plan).get("metrics", {}):
            raise SystemExit(f"{source} was not measured on test images: kcnn evaluate {source}")
        for folder in sorted(source.glob("seed*/")):
            _copy(folder, target / folder.name, NUMBERS)
        _copy_text(seeds.plan, target / seeds.plan.name)
    elif target.resolve().parent == ROOT / "saved_models":
        _ship_model(source, target)
    else:
        _copy(source, target, NUMBERS)


def _ship_model(source, target):
    if f"saved_models/{target.name}" not in _named():
        raise SystemExit(f"git ignores {target}: add the line !saved_models/{target.name}/ to .gitignore")
    size = sum((source / name).stat().st_size for name in (*WORDS, *WHOLE) if (source / name).is_file())
    if size >= MOST_BYTES:
        raise SystemExit(f"{source} has {size:,} bytes; what is shipped stays below {MOST_BYTES:,}.")
    _copy(source, target, WORDS)
    if source.resolve() != target.resolve():
        if not (source / "calibration.json").is_file():  # that of another model is no use
            (target / "calibration.json").unlink(missing_ok=True)
        for name in WHOLE:
            shutil.copyfile(source / name, target / name)
    write_card(Run(target))


def _copy(source, target, names):
    if "accuracy" not in Run(source).read_json(Run(source).metrics):
        raise SystemExit(f"{source} was not measured on test images: kcnn evaluate {source}")
    for name in names:
        if (source / name).is_file():  # a run without validation images has no calibration.json
            _copy_text(source / name, target / name)


def _copy_text(source, target):
    write_text(target, without_folders(source.read_text(encoding="utf-8")))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("target", type=Path)
    given = parser.parse_args()
    ship(given.run, given.target)
