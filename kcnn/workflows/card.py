"""The model card of a run, after Mitchell et al. (2019): what it is, how good, for what, and what nobody tried."""

import re

import jinja2
from markupsafe import Markup

from kcnn import recipe as recipes
from kcnn.digest import sha256
from kcnn.facts import find
from kcnn.files import write_text
from kcnn.metrics.intervals import wilson
from kcnn.registry import DATASETS, MODELS, VIEWS
from kcnn.workflows._page import number, share
from kcnn.workflows.report import environment_rows, numbers

EXTREMES = 3  # classes at either end
MOST_NAMES = 20  # classes that are listed
FEW = 30  # test images of a class, below which its recall says little

RESIZES = {
    "crop": "scaled until it covers that shape, and its centre cut out",
    "pad": "scaled until it fits into that shape, on black",
    "stretch": "scaled to that shape, each side by itself",
}


def write_card(run):
    """Write MODEL_CARD.md of a run from the other files in its folder, and return its path.

    It needs what `kcnn evaluate` found about the run's own test images, and says nowhere where the run lies, so that it
    stays true where the run is moved.
    """
    recipe = recipes.load(run.recipe)
    found = run.read_json(run.evaluation)
    environment = run.known_environment()
    known = find(recipe.model.name)
    data = environment.get("data") or {}
    data_path = re.split(r"[/\\]", recipe.data.path)[-1] if recipe.data.path else None
    views = dict(_views(run.read_json(run.metrics)))
    write_text(
        run.card,
        _template().render(
            name=run.name,
            recipe=recipe,
            metrics=run.read_json(run.metrics),
            model_summary=MODELS.summary(recipe.model.name),
            paper=known.family if known else None,
            digest=sha256(run.model),
            labels=_listed(run.read_json(run.labels)),
            data_summary=DATASETS.summary(recipe.data.name),
            data_path=data_path,
            place=" --data PATH" if data_path else "",
            data=data,
            resized=RESIZES[recipe.data.resize],
            test_fingerprint=found["data_fingerprint"],
            numbers=[*numbers(found["metrics"]), *views.values()],
            views=list(views),
            classes=_extremes(found["classes"]),
            class_count=len(found["classes"]),
            few=_listed([row["class"] for row in found["classes"] if 0 < row["support"] < FEW]),
            unseen=_listed([row["class"] for row in found["classes"] if not row["support"]]),
            fewest=FEW,
            pairs=found["confused_pairs"][:EXTREMES],
            calibrated=found["calibrated"],
            calibration_count=run.read_json(run.calibration)["count"] if run.calibration.is_file() else None,
            properties=found["properties"],
            corruptions=found["corruptions"] or {},
            environment=environment_rows({**environment, "data": None}),  # which have a section of their own
            backend=environment.get("backend"),
            one_way=len({_way(each) for each in (environment, *(environment.get("resumed") or []))}) == 1,
            weights=environment.get("weights"),
            command=environment.get("command"),
        ),
    )
    return run.card


def _way(environment):
    """Return what has to be the same from the first step to the last for a training to give the same bits again."""
    names = ("backend", "git_commit", "versions", "processor", "devices", "threads", "variables")
    return repr([environment.get(name) for name in names])


def _views(metrics):
    """Yield each test-time augmentation that was measured, with what `numbers` returns about such figures."""
    for name in VIEWS.names():
        keys = [f"tta_{name}_accuracy{end}" for end in ("", "_low", "_high")]
        if all(key in metrics for key in keys):
            value, low, high = (share(metrics[key]) for key in keys)
            explained = f"the mean answer to them, `--tta {name}`"
            yield name, ("Accuracy of several views", value, f"{low} to {high}", explained)


def _template():
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("kcnn", "workflows"),
        finalize=_written,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        own=Markup,
        share=lambda *value: Markup(share(*value)),
        number=lambda *value: Markup(number(*value)),
        line=lambda text: Markup(_printable(text)),
    )
    return environment.get_template("card.md")


def _written(value):
    """Return a value as it stands in the card: whole numbers and kcnn's own texts as they are, all else as code."""
    if isinstance(value, int):
        return f"{value:,}"
    return value if isinstance(value, Markup | jinja2.Undefined) else as_code(str(value))


def as_code(text):
    """Return a text as Markdown code, on one line, in which nothing has a meaning, not even for a table around it."""
    text = _printable(text).replace("|", "\\|") or " "
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if "`" in (text[0], text[-1]) else ""
    return f"{fence}{space}{text}{space}{fence}"


def _printable(text):
    """Return a text on one line, without characters that are not seen."""
    return "".join(each if each.isprintable() else " " for each in text)


def _listed(names):
    """Return names as Markdown, those beyond the first ones as their number; nothing for none."""
    rest = len(names) - MOST_NAMES
    return Markup(", ".join(map(as_code, names[:MOST_NAMES])) + (f" and {rest:,} more" if rest > 0 else ""))


def _extremes(rows):
    """Return the rows of the classes that are recognised least often and most often, with the recall's interval."""
    rows = sorted((row for row in rows if row["support"]), key=lambda row: (row["recall"], row["class"]))
    if len(rows) > 2 * EXTREMES:
        rows = rows[:EXTREMES] + rows[-EXTREMES:]
    return [{**row, "interval": wilson(row["recall"] * row["support"], row["support"])} for row in rows]
