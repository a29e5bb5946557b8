"""The same training on several backends, step by step, side by side: how far apart are they?"""

import contextlib
import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kcnn import backend
from kcnn import recipe as recipes
from kcnn.errors import BackendError
from kcnn.files import atomic, check_writable, write_text
from kcnn.workflows._child import Child, ended_by_sigterm
from kcnn.workflows._finite import finite

FIRST_STEPS = 20  # of runs on their own, whose losses have a tolerance; docs/parity.md says how they part
LOGITS = {"float32": 1e-5, "mixed_float16": 1e-2, "mixed_bfloat16": 5e-2}  # of the largest logit, or of 1
SAME_WEIGHTS = {"float32": 1e-4, "mixed_float16": 1e-2, "mixed_bfloat16": 5e-2}  # relative, of a loss
OWN_RUN = {"float32": 3e-2, "mixed_float16": 1e-1, "mixed_bfloat16": 1e-1}  # relative, of a loss


@dataclass(frozen=True)
class Check:
    """One thing that must agree with the reference backend.

    Attributes:
        name: What is compared, in words.
        backend: Whose.
        value: The largest difference; 0 or 1 where only equality counts.
        tolerance: The largest value that holds; 0 means bit for bit.
        key: "logits", "same_weights_loss" or "own_run_loss" where it is one of these, else "".
    """

    name: str
    backend: str
    value: float
    tolerance: float
    key: str = ""

    @property
    def holds(self):
        return self.value <= self.tolerance


@dataclass
class Parity:
    """What a comparison found.

    Attributes:
        recipe: Its name.
        backends: Their names, the reference first.
        rows: For each step {"step", "learning_rate", "backends": {name: {"loss", "gradient_norm"}}}, and for each but
            the reference: "same_weights_loss" and "same_weights_gradient", relative differences of a step that both
            take from the reference's weights; "own_run_loss" and "own_run_gradient", those of the runs on their own;
            "weights", "biases", "statistics", the largest absolute differences between the runs after the step.
        checks: What has a tolerance.
        biases: Paths of the biases in front of a batch norm, which are compared apart.
        logits: {name: {"difference", "agreement"}} of the trained networks on held-out images.
    """

    recipe: str
    backends: list
    rows: list = field(default_factory=list)
    checks: list = field(default_factory=list)
    biases: list = field(default_factory=list)
    logits: dict = field(default_factory=dict)

    @property
    def holds(self):
        return all(check.holds for check in self.checks)

    def check(self, name, key):
        """Return the check of a backend that has this key."""
        return next(check for check in self.checks if (check.backend, check.key) == (name, key))

    def document(self):
        """Return all of it as plain values; what is no finite number is None."""
        return finite(self._document())

    def _document(self):
        return {
            "recipe": self.recipe,
            "holds": self.holds,
            "reference": self.backends[0],
            "backends": self.backends,
            "versions": backend.versions(),
            "checks": [{**vars(check), "holds": check.holds} for check in self.checks],
            "biases_before_norm": self.biases,
            "logits": self.logits,
            "steps": self.rows,
        }


def parity(jobs, *, backends=None, out="parity", progress=None):
    """Train each recipe on each backend in step, and yield a `Parity` for each as it is done.

    Every backend runs in a process of its own. The JSON and the picture go to `out/<name>/`.

    Args:
        jobs: {name: (recipe, number of steps)}; a recipe with fewer steps ends with its last.
        backends: Names, the reference first; default: all that are installed.
        out: A folder.
        progress: Called as `(done, total, what)`.

    Raises:
        BackendError: A backend is unknown or not installed, or there are fewer than two.
        RunError: Nothing can be written to `out`.
        KcnnError: What one of the backends could not do.
    """
    names = _backends(backends)
    check_writable(out)
    with contextlib.ExitStack() as stack:
        stack.enter_context(ended_by_sigterm())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kcnn-parity-")))
        children = [stack.enter_context(_Child(name, folder)) for name in names]
        for name, (recipe, steps) in jobs.items():
            found = _compare(name, recipe, steps, children, progress)
            target = Path(out) / name
            write_text(target / "parity.json", json.dumps(found.document(), indent=2) + "\n")
            draw(found, target / "parity.png")
            yield found


def _backends(names):
    names = backend.installed() if names is None else list(names)
    for name in names:
        backend.choose(name, "named with --backends")
    if len(set(names)) < 2:
        raise BackendError(
            f"Parity compares two backends or more. Received: {', '.join(names) or 'none'}; "
            f"installed: {', '.join(backend.installed())}."
        )
    return list(dict.fromkeys(names))


class _Child(Child):
    """A process that runs `_trace.serve` on one backend; arrays go through files."""

    def __init__(self, name, folder):
        super().__init__("kcnn.workflows._trace", name, folder)
        self.arrays = folder / f"{name}.npz"
        self.state = folder / f"{name}_state.npz"

    def load(self):
        with np.load(self.arrays) as file:
            return dict(file)


def _all(children, **request):
    """Ask every child the same and return {name: answer}, so that they work at the same time."""
    for child in children:
        places = {"weights": child.arrays, "logits": child.arrays, "state": child.state}
        paths = {key: str(path) for key, path in places.items() if key in request}
        child.ask(**request | paths)
    return {child.name: child.answer() for child in children}


def _compare(name, recipe, steps, children, progress):
    text = recipes.to_toml(recipe)
    found = Parity(name, [child.name for child in children])
    report = progress or (lambda done, total, what: None)
    report(0, 1, f"{name}: loading and building")
    begun = _all(children, recipe=text, weights=True)
    report(1, 1, f"{name}: loading and building")
    facts = begun[children[0].name]
    found.biases, statistics = facts["biases"], facts["statistics"]
    steps = min(steps, facts["steps"])
    initial = {child.name: child.load() for child in children}
    _all(children, logits=True)
    before = {child.name: child.load()["logits"] for child in children}
    answers = []
    for step in range(steps):
        answers.append(_all(children, step=step, weights=True, state=True))
        weights = {child.name: child.load() for child in children}
        same = _all(children[1:], step=step, **{"from": str(children[0].state)})
        found.rows.append(_row(step, answers[-1], same, weights, found.biases, statistics))
        report(step + 1, steps, f"{name}: step")
    _all(children, logits=True)
    after = {child.name: child.load()["logits"] for child in children}
    reference = children[0].name
    found.logits = {child.name: _agreement(after[child.name], after[reference]) for child in children[1:]}
    for child in children[1:]:
        found.checks += _checks(child.name, reference, recipe, begun, initial, before, answers, found.rows)
    return found


def _row(step, answers, same, weights, biases, statistics):
    reference, *others = answers
    row = {"step": step, "learning_rate": answers[reference]["learning_rate"], "backends": {}}
    for name, answer in answers.items():
        row["backends"][name] = {key: answer[key] for key in ("loss", "gradient_norm")}
    ordinary = [path for path in weights[reference] if path not in biases and path not in statistics]
    groups = {"weights": ordinary, "biases": biases, "statistics": statistics}
    for name in others:
        ours, theirs = (row["backends"][each] for each in (name, reference))
        for kind, numbers in (("same_weights", same[name]), ("own_run", ours)):
            for key, short in (("loss", "loss"), ("gradient_norm", "gradient")):
                ours[f"{kind}_{short}"] = _relative(numbers[key], theirs[key])
        for group, paths in groups.items():
            ours[group] = _largest(weights[name], weights[reference], paths)
    return row


def _relative(value, reference):
    return abs(value - reference) / max(abs(reference), 1e-12)


def _largest(weights, reference, paths):
    """Return the largest absolute difference over some weights, or None where there are none."""
    return _worst(np.abs(weights[path] - reference[path]).max() for path in paths) if paths else None


def _worst(values):
    """Return the largest value; NaN where one of them is, which `max` would pass over."""
    return float(np.max(list(values)))


def _agreement(logits, reference):
    return {
        "difference": float(np.abs(logits - reference).max()),
        "agreement": float((logits.argmax(1) == reference.argmax(1)).mean()),
    }


def _checks(name, reference, recipe, begun, initial, before, answers, rows):
    """Return the `Check`s of one backend against the reference."""

    def equal(what, same):
        return Check(what, name, 0.0 if same else 1.0, 0.0)

    def steps_equal(key):
        return all(answer[name][key] == answer[reference][key] for answer in answers)

    scale = max(1.0, float(np.abs(before[reference]).max()))
    return [
        equal("data", begun[name]["data"] == begun[reference]["data"]),
        equal(
            "initial weights",
            initial[name].keys() == initial[reference].keys()
            and all(np.array_equal(initial[name][path], array) for path, array in initial[reference].items()),
        ),
        equal("augmented images, each step", steps_equal("images")),
        equal("labels, each step", steps_equal("labels")),
        equal("dropout masks, each step", steps_equal("masks")),
        equal("learning rate, each step", steps_equal("learning_rate")),
        Check(
            "logits before training",
            name,
            float(np.abs(before[name] - before[reference]).max()) / scale,
            LOGITS[recipe.precision],
            "logits",
        ),
        Check(
            "loss of each step from the same weights",
            name,
            _worst(row["backends"][name]["same_weights_loss"] for row in rows),
            SAME_WEIGHTS[recipe.precision],
            "same_weights_loss",
        ),
        Check(
            f"losses of {min(FIRST_STEPS, len(rows))} steps of runs on their own",
            name,
            _worst(row["backends"][name]["own_run_loss"] for row in rows[:FIRST_STEPS]),
            OWN_RUN[recipe.precision],
            "own_run_loss",
        ),
    ]


def draw(found, path):
    """Draw losses and gradient norms of each backend, and how far they and the weights are apart."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 9), layout="constrained")
    (losses, gradients), (apart, weights) = figure.subplots(2, 2)
    steps = [row["step"] for row in found.rows]
    reference, *others = found.backends

    def column(name, key):
        return [row["backends"][name][key] for row in found.rows]

    def plot(axes, values, **style):
        # Zero has no place on a logarithmic axis: equal values leave a gap.
        axes.plot(steps, [value or np.nan for value in values], marker=".", **style)

    for index, name in enumerate(found.backends):
        style = {"color": f"C{index}", "linestyle": ("-", "--", ":")[index % 3], "label": name}
        losses.plot(steps, column(name, "loss"), **style)
        gradients.plot(steps, column(name, "gradient_norm"), **style)
    for index, name in enumerate(others, 1):
        colour = {"color": f"C{index}"}
        plot(apart, column(name, "own_run_loss"), label=f"{name}: loss, runs on their own", **colour)
        plot(apart, column(name, "same_weights_gradient"), label=f"{name}: gradient, same weights", ls="--", **colour)
        plot(apart, column(name, "same_weights_loss"), label=f"{name}: loss, same weights", ls=":", **colour)
        for key, line, words in (
            ("weights", "-", "weights"),
            ("biases", "--", "biases before a norm"),
            ("statistics", ":", "norm statistics"),
        ):
            if any(column(name, key)):  # else there are none, or they are equal to the bit
                plot(weights, column(name, key), label=f"{name}: {words}", ls=line, **colour)
    for key, end in (("same_weights_loss", len(steps)), ("own_run_loss", FIRST_STEPS)):
        tolerance = found.check(others[0], key).tolerance
        apart.plot(steps[:end], [tolerance] * len(steps[:end]), color="grey", linewidth=3, alpha=0.5)
    columns = {losses: len(found.backends), gradients: len(found.backends), apart: len(others), weights: len(others)}
    titles = {
        losses: "loss",
        gradients: "gradient norm",
        apart: f"relative difference from {reference} (grey: tolerances)",
        weights: f"largest absolute difference from {reference}, runs on their own",
    }
    for axes, title in titles.items():
        axes.set_title(title)
        axes.set_xlabel("step")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=columns[axes])
    for axes in (apart, weights):
        axes.set_yscale("log")
    figure.suptitle(f"{found.recipe}: {'every tolerance holds' if found.holds else 'A TOLERANCE DOES NOT HOLD'}")
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=110)
