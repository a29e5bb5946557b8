"""Writes docs/results.md from the files of runs alone: python docs/results.py.

The runs are the models that saved_models/ ships, and those whose numbers lie in docs/runs/; docs/ship.py puts both
there.
"""

import shlex
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from ship import ROOT, shipped

from kcnn import recipe as recipes
from kcnn.cli.fit import command as fit
from kcnn.errors import RecipeError
from kcnn.files import write_text
from kcnn.metrics.spread import spread
from kcnn.run import Run, Seeds
from kcnn.workflows._plan import read_plan
from kcnn.workflows.card import as_code
from kcnn.workflows.report import environment_rows

PAGE = ROOT / "docs" / "results.md"
NUMBERS = ROOT / "docs" / "runs"

SIX_VIEWS = "tta_flip_shift_"  # what begins the names of these numbers

OPENING = """\
# Results

Written by `python docs/results.py` from each run's `metrics.json`, `environment.json` and `seeds.json`, never by hand;
a test compares. Accuracies are of test images that training never saw. In brackets is a 95 % interval: of one seed
Wilson's, which says how far other test images may fall; of several Student's, of the mean, which says how far other
seeds may fall, behind the standard deviation between seeds. "Of six views" is the accuracy with `--tta flip_shift`.
Minutes are of training and validation, of one seed, and images a second the median of the epochs while training, on the
machine that stands below; of several seeds both are means.
"""


@dataclass(frozen=True)
class Line:
    """One line of the table.

    Attributes:
        place: The run's folder, below the repository's root.
        recipe: Its name, with what was set otherwise, but for the seed.
        backend: Of the training.
        accuracy: With its interval, in words.
        six_views: The same of the mean over six views of each image, or nothing where that was not measured.
        shares: Both as numbers, of the first seed; None where that was not measured.
        seeds: Of the trainings.
        minutes, speed: Of a seed; images a second.
        parameters: Of the model.
        data: Of each seed (name, fingerprint, training, validation and test images).
        environment: The run's environment.json.
    """

    place: str
    recipe: str
    backend: str
    accuracy: str
    six_views: str
    shares: tuple
    seeds: tuple
    minutes: float
    speed: float
    parameters: int
    data: tuple
    environment: dict

    @property
    def one_of_several(self):
        """Whether it is one run of those that its command trains."""
        return len(self.seeds) == 1 and "--seeds" in shlex.split(self.environment["command"] or "")


def folders():
    """Return the folders of all runs that the page is about."""
    kept = sorted(path for path in NUMBERS.glob("*") if path.is_dir())
    return [*shipped(), *kept]


def line(folder):
    """Return the `Line` of a run, or of several seeds."""
    seeds = Seeds(folder)
    runs = [seeds.run(seed) for seed in read_plan(seeds)[1]] if seeds.plan.is_file() else [Run(folder)]
    metrics = [run.read_json(run.metrics) for run in runs]
    environment = runs[0].read_json(runs[0].environment)
    return Line(
        place=folder.relative_to(ROOT).as_posix(),
        recipe=recipe_of(environment["command"], folder.name),
        backend=environment["backend"],
        accuracy=_accuracy(seeds, metrics[0]),
        six_views=_accuracy(seeds, metrics[0], SIX_VIEWS),
        shares=tuple(metrics[0].get(f"{prefix}accuracy") for prefix in ("", SIX_VIEWS)),
        seeds=tuple(recipes.load(run.recipe).seed for run in runs),
        minutes=mean(each["seconds"] for each in metrics) / 60,
        speed=mean(each["images_per_second"] for each in metrics),
        parameters=metrics[0]["parameters"],
        data=tuple(map(_copy_of_data, runs)),
        environment=environment,
    )


def _copy_of_data(run):
    given, data = recipes.load(run.recipe).data, run.read_json(run.environment)["data"]
    name = Path(given.path).name if given.path else given.name
    return name, data["fingerprint"], data["train"], data["validation"], run.read_json(run.metrics)["count"]


def recipe_of(command, otherwise):
    """Return the recipe that a `kcnn fit` names and what it sets, or the run's name where it was not trained so.

    Left out are the seed, what changes nothing of the training, and what the recipe says by now itself.
    """
    words = shlex.split(command or "")
    if words[:2] != ["kcnn", "fit"]:
        return otherwise
    given = fit.make_context("fit", words[2:], resilient_parsing=True).params
    path = Path(given["recipe"] or ("folder" if given["data"] else "digits"))
    recipe = path.parent.name if path.name == "recipe.toml" else path.name.removesuffix(".toml")
    silent = ("run.", "data.about=", "seed=", *(["epochs="] if given["epochs"] else []))
    changed = [setting for setting in given["settings"] or () if not setting.startswith(silent)]
    changed += [f"epochs={given['epochs']}"] if given["epochs"] else []
    return ", ".join([recipe or otherwise, *_news(given["recipe"], changed)])


def _news(recipe, settings):
    """Return the settings without which the training would be another one."""
    try:
        whole = recipes.load(recipe or "", tuple(settings))
        others = [tuple(each for each in settings if each != setting) for setting in settings]
        return [setting for setting, rest in zip(settings, others, strict=True) if recipes.load(recipe, rest) != whole]
    except RecipeError:  # it is no more
        return settings


def _accuracy(seeds, metrics, prefix=""):
    key = f"{prefix}accuracy"
    if key not in metrics:
        return ""
    if not seeds.plan.is_file():
        return f"{metrics[key]:.2%} ({metrics[f'{key}_low']:.2%} to {metrics[f'{key}_high']:.2%})"
    return _of_seeds(**Run(seeds.path).read_json(seeds.plan)["metrics"][key])


def _of_seeds(mean, std, low, high, values):
    return f"{mean:.2%} ± {std:.2%} ({low:.2%} to {high:.2%})"


def page(lines):
    """Return the page about some lines, as Markdown."""
    lines = sorted(lines, key=lambda each: (each.recipe, each.backend, each.seeds, each.place))
    return "\n".join([OPENING, *_table(lines), *_means(lines), *_data(lines), *_repeat(lines)])


def _table(lines):
    yield "| | recipe | backend | accuracy | of six views | seeds | minutes | images a second | parameters | data |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for number, each in enumerate(lines, 1):
        numbers = f"{', '.join(map(str, each.seeds))} | {each.minutes:,.2f} | {each.speed:,.0f} | {each.parameters:,}"
        copy = f"{as_code(each.data[0][0])} {', '.join(fingerprint[:8] for _, fingerprint, *_ in each.data)}"
        accuracies = f"{each.accuracy} | {each.six_views}"
        recipe = as_code(each.recipe) + (", one run of several" if each.one_of_several else "")
        yield f"| {number} | {recipe} | {each.backend} | {accuracies} | {numbers} | {copy} |"
    yield ""


def _means(lines):
    """Yield a table of the means of lines with different seeds, where there are any."""
    groups = defaultdict(list)
    for number, each in enumerate(lines, 1):
        if len(each.seeds) == 1 and not each.one_of_several:
            groups[each.recipe, each.backend, each.data[0][0]].append((number, each))
    groups = {key: group for key, group in groups.items() if 1 < len({each.seeds for _, each in group}) == len(group)}
    if not groups:
        return
    yield "## Over seeds\n"
    yield "Lines of one recipe, backend and data whose seeds differ; their machines may differ too.\n"
    yield "| lines | recipe | backend | accuracy | of six views | seeds |"
    yield "|---|---|---|---|---|---|"
    for (recipe, backend, _), group in groups.items():
        shares = zip(*(each.shares for _, each in group), strict=True)
        means = ["" if None in values else _of_seeds(**vars(spread(values, share=True))) for values in shares]
        numbers, seeds = (", ".join(map(str, each)) for each in ([n for n, _ in group], [e.seeds[0] for _, e in group]))
        yield f"| {numbers} | {as_code(recipe)} | {backend} | {' | '.join(means)} | {seeds} |"
    yield ""


def _data(lines):
    yield "## The copies of the data\n"
    yield "Each seed holds back other images for validation.\n"
    yield "| data | fingerprint of training and validation images | training | validation | test |"
    yield "|---|---|---|---|---|"
    for name, fingerprint, *counts in sorted({copy for each in lines for copy in each.data}):
        yield f"| {as_code(name)} | {fingerprint} | {' | '.join(f'{count:,}' for count in counts)} |"
    yield ""


def _repeat(lines):
    yield "## How to repeat each line\n"
    yield "Then run `kcnn evaluate` on the run that the command names at its end; `--tta flip_shift` is six views.\n"
    for number, each in enumerate(lines, 1):
        found = each.environment
        versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
        machine = (
            f"{found['processor']}, {found['cores']} cores, threads: {found['threads']}, {', '.join(found['devices'])}"
        )
        part = f", and of its runs {as_code(f'seed{each.seeds[0]}')}" if each.one_of_several else ""
        yield f"{number}. {as_code(found['command'] or 'unknown')}{part}  "
        resumed = "".join(f"; {name} {text}" for name, text in environment_rows(found) if name == "resumed")
        yield f"   [{each.place}](../{each.place}), {found['started'][:10]}, {machine}; {versions}{resumed}"
    yield ""


if __name__ == "__main__":
    write_text(PAGE, page([line(folder) for folder in folders()]))
    print(f"Written: {PAGE.relative_to(ROOT)}")
