"""One folder of saved_models/: its files, each of which appears whole or not at all."""

import contextlib
import csv
import json
import math
import os
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kcnn.errors import RunError
from kcnn.files import alone, write_text
from kcnn.registry import did_you_mean

DEFAULT_PARENT = "saved_models"


def places(path: Path | str) -> tuple[Path, Path]:
    """Return where what the user names so may lie: there, or below ./saved_models."""
    return Path(path), Path(DEFAULT_PARENT) / path


@dataclass(frozen=True)
class Run:
    """A run folder. Its file names are the same for every run; see README.md, "A run"."""

    path: Path

    @classmethod
    def create(cls, parent: Path | str, name: str) -> "Run":
        """Make a new folder `name` below `parent`; raise `RunError` where something of that name is there."""
        try:
            return cls._made(Path(parent) / name)
        except FileExistsError as error:
            raise _taken(Path(parent) / name) from error

    @classmethod
    def _made(cls, path: Path) -> "Run":
        """Make the folder; raise `FileExistsError` where it is there, and else `RunError` where it cannot be made."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir()
        except OSError as error:
            if isinstance(error, FileExistsError) and path.parent.is_dir():
                raise
            raise RunError(f"Cannot make the run folder {path}: {error.strerror}.") from error
        return cls(path)

    @staticmethod
    def check_free(parent: Path | str, name: str) -> None:
        """Raise `RunError` where something named `name` is below `parent` already."""
        if os.path.lexists(Path(parent) / name):
            raise _taken(Path(parent) / name)

    @classmethod
    def create_unique(cls, parent: Path | str, stem: str) -> "Run":
        """Make a new folder named `stem`, or `stem-2`, `stem-3`, ... where that is taken."""
        count, name = 1, stem
        while True:
            with contextlib.suppress(FileExistsError):
                return cls._made(Path(parent) / name)
            count += 1
            name = f"{stem}-{count}"

    @classmethod
    def open(cls, path: Path | str) -> "Run":
        """Return the finished run at `path`, or of that name below ./saved_models."""
        for candidate in places(path):
            run = cls(candidate)
            if run.model.is_file():
                return run
            run.check_not_numbers_alone()
            if run.recipe.is_file():
                raise RunError(f"{candidate} holds an unfinished run. Finish it with: {run.resume_command}")
            _check_no_seeds(candidate)
        near = _near(path, lambda run: run.model.is_file())
        raise RunError(f"{path} is not a run: expected a folder with model.keras, as `kcnn fit` makes.{near}")

    @classmethod
    def open_unfinished(cls, path: Path | str) -> "Run":
        """Return the run at `path`, or of that name below ./saved_models, that has a recipe but no model yet.

        Of a finished one the checkpoints go, which are left where it was killed at its very end.
        """
        for candidate in places(path):
            run = cls(candidate)
            if run.model.is_file():
                shutil.rmtree(run.checkpoints, ignore_errors=True)
                raise RunError(f"{candidate} is finished already; there is nothing to resume.")
            run.check_not_numbers_alone()
            if run.recipe.is_file():
                return run
        near = _near(path, lambda run: run.recipe.is_file() and not run.model.is_file())
        raise RunError(
            f"{path} is not a run: expected a folder with recipe.toml, as `kcnn fit` makes.{near} "
            "Start it with `kcnn fit RECIPE`."
        )

    @classmethod
    def open_begun(cls, path: Path | str) -> "Run":
        """Return the run at `path`, or of that name below ./saved_models, that has a history, finished or not."""
        for candidate in places(path):
            run = cls(candidate)
            if run.history.is_file():
                return run
            if run.recipe.is_file():
                raise RunError(f"{candidate} has no epoch behind it yet.")
            _check_no_seeds(candidate)
        near = _near(path, lambda run: run.history.is_file())
        raise RunError(f"{path} is not a run: expected a folder with history.csv, as `kcnn fit` makes.{near}")

    def check_not_numbers_alone(self) -> None:
        """Raise `RunError` where only the numbers of a training were kept, which another one would write over."""
        if self.metrics.is_file() and not self.model.is_file() and not self.checkpoints.is_dir():
            again = f" `kcnn fit {shlex.quote(str(self.recipe))}` trains it again." if self.recipe.is_file() else ""
            raise RunError(
                f"{self.path} has the numbers of a finished run, but neither its model nor a checkpoint.{again}"
            )

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run for this process alone; raise `RunError` where another one trains it."""
        with alone(self.path, f"Another process is training {self.path} right now."):
            yield

    @property
    def resume_command(self) -> str:
        return f"kcnn fit --resume {shlex.quote(str(self.path))}"

    @property
    def evaluate_command(self) -> str:
        return f"kcnn evaluate {shlex.quote(str(self.path))}"

    @property
    def export_command(self) -> str:
        return f"kcnn export {shlex.quote(str(self.path))}"

    @property
    def name(self) -> str:
        return self.path.name or self.path.resolve().name  # that of "." is empty

    @property
    def model(self) -> Path:
        return self.path / "model.keras"

    @property
    def recipe(self) -> Path:
        return self.path / "recipe.toml"

    @property
    def labels(self) -> Path:
        return self.path / "labels.json"

    @property
    def history(self) -> Path:
        return self.path / "history.csv"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.json"

    @property
    def calibration(self) -> Path:
        return self.path / "calibration.json"

    @property
    def skipped(self) -> Path:
        return self.path / "skipped.json"

    @property
    def environment(self) -> Path:
        return self.path / "environment.json"

    @property
    def curves(self) -> Path:
        return self.path / "curves.png"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoint"

    @property
    def report(self) -> Path:
        return self.path / "report"

    @property
    def evaluation(self) -> Path:
        """What `kcnn evaluate` found about the run's own test images."""
        return self.report / "evaluation_test.json"

    @property
    def card(self) -> Path:
        return self.path / "MODEL_CARD.md"

    @property
    def exports(self) -> Path:
        return self.path / "exports"

    def write_json(self, path: Path, value: Any) -> None:
        """Write `value` as JSON, indented, in the order of its keys."""
        write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def read_json(self, path: Path) -> Any:
        """Return what `write_json` wrote; raise `RunError` where it is missing or damaged."""
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise RunError(f"{self.path} has no {path.name}; is it a run that `kcnn fit` made?") from error
        except ValueError as error:
            raise RunError(f"{path} is damaged: {error}") from error

    def temperature(self) -> float:
        """Return the temperature that `kcnn evaluate` fitted; raise `RunError` where there is none, and say why."""
        temperature, reason = self.known_temperature()
        if temperature is None:
            raise RunError(f"{self.path} cannot be calibrated: {reason}")
        return temperature

    def known_temperature(self) -> tuple[float | None, str]:
        """Return the temperature, or None and why there is none; raise `RunError` where calibration.json is damaged."""
        if not self.recipe.is_file():
            return None, "only runs have a temperature. Name the folder of a run."
        if not self.calibration.is_file():
            command = self.evaluate_command
            return None, f"there is no temperature yet. Where there are validation images, fit one with: {command}"
        try:
            found = self.read_json(self.calibration)
            temperature = found["temperature"]
            if temperature is None:
                return None, found["reason"]
            if 0 < temperature < math.inf:
                return float(temperature), ""
        except (RunError, LookupError, TypeError):
            pass
        raise RunError(
            f"{self.calibration} is damaged. Delete it, and fit the temperature anew: {self.evaluate_command}"
        )

    def read_history(self) -> list[dict[str, float]]:
        """Return a row an epoch, without what an epoch has not; raise `RunError` where it is missing or damaged."""
        try:
            with self.history.open(encoding="utf-8", newline="") as file:
                return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
        except FileNotFoundError as error:
            raise RunError(f"{self.path} has no history.csv; is it a run that `kcnn fit` made?") from error
        except (ValueError, TypeError, csv.Error) as error:
            raise RunError(f"{self.history} is damaged: {error}") from error

    def known_environment(self) -> dict[str, Any]:
        """Return what environment.json holds; nothing where it is missing or damaged, since no run depends on it."""
        try:
            found = self.read_json(self.environment)
        except RunError:
            return {}
        return found if isinstance(found, dict) else {}

    def update_metrics(self, values: dict[str, float]) -> None:
        """Add plain numbers to metrics.json, replacing those of the same name."""
        known = self.read_json(self.metrics) if self.metrics.exists() else {}
        self.write_json(self.metrics, known | values)

    def remove_checkpoints(self) -> None:
        """Delete what only an unfinished run needs, and what writers that were killed left half done."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)
        self.remove_half_done()

    def remove_half_done(self) -> None:
        """Delete the temporary files of writers that were killed."""
        for folder in (self.path, self.checkpoints):
            for path in folder.glob(".*-*.*"):
                path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete the folder and all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)


@dataclass(frozen=True)
class Seeds:
    """A folder of runs that differ in their seed alone."""

    path: Path

    @classmethod
    def find(cls, path: Path | str) -> "Seeds | None":
        """Return the folder at `path`, or of that name below ./saved_models, if it holds runs of several seeds."""
        for candidate in places(path):
            if cls(candidate).plan.is_file():
                return cls(candidate)
        return None

    @property
    def plan(self) -> Path:
        """The file that says which seeds there are to be."""
        return self.path / "seeds.json"

    def run(self, seed: int) -> Run:
        return Run(self.path / f"seed{seed}")

    @property
    def resume_command(self) -> str:
        return Run(self.path).resume_command


def distinct_names(runs: list[Run]) -> list[str]:
    """Return the names of the folders, or where two are alike as many of the last folders as tell all apart."""
    paths = [run.path.resolve() for run in runs]
    for count in range(1, max((len(path.parts) for path in paths), default=0)):
        names = ["/".join(path.parts[-count:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def _check_no_seeds(path: Path) -> None:
    if Seeds(path).plan.is_file():
        one = min(path.glob("seed*/"), default=path / "seed0")
        raise RunError(f"{path} holds runs of several seeds. Name one, such as {one}.")


def _taken(path: Path) -> RunError:
    return RunError(
        f"{path} is already there, and two runs never share a folder. Choose another --name, or move that folder away."
    )


def _near(path: Path | str, fits: Callable[[Run], bool]) -> str:
    """Return the run of ./saved_models whose name is close, or else those that there are, as a sentence.

    Folders of several seeds are always among them.
    """
    parent = Path(DEFAULT_PARENT)
    folders = parent.glob("*/") if parent.is_dir() else []
    runs = sorted(one.name for one in folders if fits(Run(one)) or Seeds(one).plan.is_file())
    return did_you_mean(Path(path).name, runs) or (f" Runs here: {', '.join(runs[:8])}." if runs else "")
