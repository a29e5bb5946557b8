"""The picture of a training: loss, accuracy and learning rate over the epochs."""

from matplotlib.figure import Figure

from kcnn.files import atomic


def draw_curves(rows, path):
    """Draw loss, accuracy and learning rate over the epochs."""
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    panels = figure.subplots(1, 3)
    marker = "o" if len(rows) < 30 else None
    for axes, (title, names) in zip(
        panels,
        {
            "loss": ("loss", "val_loss"),
            "accuracy": ("accuracy", "val_accuracy"),
            "learning rate": ("learning_rate",),
        }.items(),
        strict=True,
    ):
        for name in names:
            known = [(row["epoch"], row[name]) for row in rows if name in row]  # a forced resume may bring or end one
            if known:
                label = "validation" if name.startswith("val_") else "training"
                axes.plot(*zip(*known, strict=True), marker=marker, markersize=3, label=label)
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.grid(alpha=0.3)
        if len(names) > 1:
            axes.legend()
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=110)
