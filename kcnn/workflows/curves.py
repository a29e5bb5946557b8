"""The errors of several runs over their epochs in one picture, as in figures 4 and 6 of He et al. (2015)."""

from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kcnn.errors import RunError, UsageError
from kcnn.files import atomic
from kcnn.run import distinct_names
from kcnn.workflows._lettering import any_script

# Okabe and Ito's colours, which the colour-blind tell apart; those that are faint on white come last.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", ":")  # for the eighth run and the fifteenth
MOST = len(COLOURS) * len(LINES)
DOTS = 8  # a line
PICTURES = (".png", ".svg", ".pdf")
PER_CENT = 100


@dataclass(frozen=True)
class ErrorCurve:
    """How often a run was wrong.

    Attributes:
        name: Of the run.
        run: Its folder.
        finished: Whether its training has ended.
        epochs: Counted from 1.
        training: Share of the training images that were wrong, an epoch; measured while training, and so on augmented
            images, with weights that changed meanwhile.
        validation: Share of the validation images at the end of each epoch, None in those that had none; None where no
            epoch had any.
    """

    name: str
    run: str
    finished: bool
    epochs: list[int]
    training: list[float]
    validation: list[float | None] | None

    @property
    def validated(self):
        """The (epoch, share) of the validation images, where there were any."""
        pairs = zip(self.epochs, self.validation or [None] * len(self.epochs), strict=True)
        return [(epoch, share) for epoch, share in pairs if share is not None]


def check_picture(path):
    """Raise `UsageError` where no picture can be written to a file of that name."""
    if Path(path).suffix.lower() not in PICTURES:
        raise UsageError(f"The name of the picture must end in one of {', '.join(PICTURES)}. Received: {path}")


def error_curves(runs):
    """Return the `ErrorCurve` of each of some runs, finished or not.

    Raises:
        UsageError: There are more runs than lines that can be told apart.
        RunError: A history is missing, damaged or empty.
    """
    if len(runs) > MOST:
        raise UsageError(f"At most {MOST} runs can be told apart in one picture. Received: {len(runs)}")
    return [_curve(name, run) for name, run in zip(distinct_names(runs), runs, strict=True)]


def _curve(name, run):
    rows = run.read_history()
    if not rows:
        raise RunError(f"{run.path} has no epoch behind it yet; there is nothing to draw.")
    try:
        validation = [1 - row["val_accuracy"] if "val_accuracy" in row else None for row in rows]
        return ErrorCurve(
            name=name,
            run=str(run.path),
            finished=run.metrics.is_file(),
            epochs=[int(row["epoch"]) for row in rows],
            training=[1 - row["accuracy"] for row in rows],
            validation=None if validation.count(None) == len(rows) else validation,
        )
    except KeyError as error:
        raise RunError(f"{run.history} is damaged: a row lacks {error.args[0]}.") from error


@any_script()
def draw_errors(curves, path):
    """Draw the errors over the epochs: thin lines while training, bold lines on the validation images."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    handles = []
    for index, curve in enumerate(curves):
        colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
        style = {"color": colour, "linestyle": LINES[index // len(COLOURS)]}
        gap = max(len(curve.validated) // DOTS, 1)
        dots = {"marker": marker, "markersize": 5, "markevery": (index * gap // len(curves), gap)}
        axes.plot(curve.epochs, _per_cent(curve.training), linewidth=0.9, zorder=3, **style)
        if curve.validated:
            epochs, shares = zip(*curve.validated, strict=True)
            axes.plot(epochs, _per_cent(shares), linewidth=2.2, **style, **dots)
        handles.append(Line2D([], [], linewidth=2.2, marker=marker, markersize=5, **style))
    axes.set(xlabel="epoch", ylabel="error (%)", ylim=(0, _ceiling(curves)))
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axes.grid(alpha=0.3)
    _add_legend(axes, handles, curves)
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=150)


def _per_cent(shares):
    return [PER_CENT * share for share in shares]


def _ceiling(curves):
    """Return an upper end of the axis that leaves out what only the first epochs need; it would press the rest."""
    lines = [line for curve in curves for line in (curve.training, [share for _, share in curve.validated])]
    late = max(max(line[len(line) // 10 :]) for line in lines if line)
    return min(max(1.1 * PER_CENT * late, 1), PER_CENT)


def _add_legend(axes, handles, curves):
    kinds = [Line2D([], [], color="#555555", linewidth=width) for width in (2.2, 0.9)]
    texts = [*map(_label, curves), "bold: validation", "thin: training"]
    legend = axes.legend([*handles, *kinds], [str(index) for index in range(len(texts))], loc="upper right")
    for label, text in zip(legend.get_texts(), texts, strict=True):
        label.set_text(text)  # not before, since a name may begin with an underscore, which hides it
        label.set_parse_math(False)


def _label(curve):
    ends = f"training {curve.training[-1]:.2%}"
    if curve.validated:
        ends = f"validation {curve.validated[-1][1]:.2%}, {ends}"
    return f"{curve.name}: {ends}" + ("" if curve.finished else f", unfinished at epoch {curve.epochs[-1]}")
