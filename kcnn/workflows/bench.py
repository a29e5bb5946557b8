"""How fast is a recipe on each backend of this machine, and how long would all of it take?"""

import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

from kcnn import backend
from kcnn import recipe as recipes
from kcnn.environment import machine
from kcnn.errors import BackendError, KcnnError, UsageError
from kcnn.registry import did_you_mean
from kcnn.schema import Recipe
from kcnn.workflows import _measured
from kcnn.workflows._child import Child, EndedEarlyError, ended_by_sigterm

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
STEPS = 20
ROUNDS = 5


@dataclass(frozen=True)
class Bench:
    """What a measurement found.

    Attributes:
        recipe: The recipe.
        machine: What `kcnn.environment.machine` said.
        train, validation: Images of each split.
        steps, rounds: Steps of a round, and rounds after the first.
        speeds: A `Speed` for each backend and precision, the fastest for the whole recipe first.
        failures: {"torch, float32": reason} where there is none.
    """

    recipe: Recipe
    machine: dict
    train: int
    validation: int
    steps: int
    rounds: int
    speeds: list
    failures: dict

    def document(self):
        """Return all of it as plain values."""
        return {
            "recipe": self.recipe.model_dump(mode="json", exclude_none=True),
            "machine": self.machine,
            "versions": backend.versions(),
            "train": self.train,
            "validation": self.validation,
            "steps": self.steps,
            "rounds": self.rounds,
            "speeds": [
                {**vars(speed), "whole_recipe_seconds": speed.whole(self.recipe, self.train, self.validation)}
                for speed in self.speeds
            ],
            "failures": self.failures,
        }


def bench(recipe, *, backends=None, precisions=None, steps=STEPS, rounds=ROUNDS, device=None, progress=None):
    """Measure a recipe on each backend at each precision and return a `Bench`.

    Every backend runs in a process of its own, through the same code as `fit`; the processes of one precision take
    turns, so that a noisy neighbour hits all alike. JAX compiles anew, whatever its cache holds. What was measured on
    all installed backends is kept for `--backend auto`.

    Args:
        recipe: What `kcnn.recipe.load` returned.
        backends: Names; default: all that are installed.
        precisions: Of `PRECISIONS`; default: the recipe's own, float32 and bfloat16.
        steps: Training steps, and validation batches, of one round at most.
        rounds: How often each backend has its turn, after a first round that is not counted.
        device: "cpu", "gpu", "gpu:N" or None.
        progress: Called as `(done, total, what)`; the last says who does what.

    Raises:
        BackendError, UsageError: An argument is wrong.
        RecipeError, DataError: The recipe or its data cannot be used.
        KcnnError: No backend could train it.
    """
    names = _backends(backends)
    precisions = _precisions(precisions, recipe)
    report = _counted(progress, len(names) * len(precisions) * (rounds + 2))
    groups = []
    with contextlib.ExitStack() as stack:
        stack.enter_context(ended_by_sigterm())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kcnn-bench-")))
        for precision in precisions:
            changed = recipe.model_copy(update={"precision": precision})
            speeds, counts, errors = _together(changed, names, folder, steps, rounds, device, report)
            if not speeds and all(isinstance(error, BackendError) for error in errors.values()):
                raise next(iter(errors.values()))  # at no precision it would be otherwise
            group = speeds, counts, {key: str(error) for key, error in errors.items()}
            if set(names) == set(backend.installed()):
                _measured.remember(changed, device, *group)
            groups.append(group)
    failures = {key: reason for _, _, failed in groups for key, reason in failed.items()}
    speeds = [speed for found, _, _ in groups for speed in found]
    if not speeds:
        raise KcnnError(next(iter(failures.values())))
    counts = next(counts for found, counts, _ in groups if found)
    speeds.sort(key=lambda speed: speed.whole(recipe, *counts))
    return Bench(recipe, machine(), *counts, steps, rounds, speeds, failures)


def _backends(names):
    names = list(dict.fromkeys(names or backend.installed()))
    for name in names:
        backend.choose(name, "named with --backend")
    return names or [backend.choose().name]


def _precisions(wanted, recipe):
    if not wanted:
        return list(dict.fromkeys([recipe.precision, "float32", "mixed_bfloat16"]))
    for name in wanted:
        if name not in PRECISIONS:
            hint = did_you_mean(name, PRECISIONS) or f" Expected one of: {', '.join(PRECISIONS)}."
            raise UsageError(f"Unknown precision {name!r}.{hint}")
    return list(dict.fromkeys(wanted))


def _counted(progress, total):
    done = 0

    def report(name, precision, doing):
        nonlocal done
        if progress is not None:
            progress(done, total, f"{name}, {precision.removeprefix('mixed_')}: {doing}")
        done += 1

    return report


def _together(recipe, names, folder, steps, rounds, device, report):
    """Return (speeds, (train, validation) images, {who failed: error}) of a recipe at its precision."""
    text = recipes.to_toml(recipe)
    facts, answers, failures = {}, {}, {}
    with contextlib.ExitStack() as stack:
        children = []
        for name in names:
            report(name, recipe.precision, "starting")
            variables = {"JAX_ENABLE_COMPILATION_CACHE": "false"}
            child = stack.enter_context(Child("kcnn.workflows._speed", name, folder, variables))
            with _noted(failures, name, recipe.precision, (EndedEarlyError, BackendError)):
                child.ask(recipe=text, device=device, steps=steps, rounds=rounds + 1)
                facts[name] = child.answer()
                answers[name] = []
                children.append(child)
        for number in range(rounds + 1):
            for child in list(children):
                doing = f"round {number} of {rounds}" if number else "first round"
                report(child.name, recipe.precision, doing)
                with _noted(failures, child.name, recipe.precision, KcnnError):
                    child.ask(round=number)
                    answers[child.name].append(child.answer())
                    continue
                children.remove(child)
    speeds = [_measured.Speed.of(child.name, recipe, facts[child.name], answers[child.name]) for child in children]
    first = next(iter(facts.values()), {"train": 0, "validation": 0})
    return speeds, (first["train"], first["validation"]), failures


@contextlib.contextmanager
def _noted(failures, name, precision, kind):
    """Note an error of one backend, since the others go on without it."""
    try:
        yield
    except kind as error:
        failures[f"{name}, {precision}"] = error
