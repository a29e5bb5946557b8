"""The backend that finishes a recipe first on this machine."""

from kcnn import backend
from kcnn.workflows import _measured
from kcnn.workflows.bench import bench

ROUNDS = 3  # of the measurement where nothing is known yet


def auto(recipe, *, device=None, progress=None):
    """Return (name of the backend, why) that trains `recipe` first, measuring where it was not measured before.

    Args:
        recipe: What `kcnn.recipe.load` returned.
        device: "cpu", "gpu", "gpu:N" or None.
        progress: Called as `(done, total, what)` while it measures.

    Raises:
        KcnnError: As `bench`.
    """
    if len(backend.installed()) < 2:
        choice = backend.choose(*backend.installed())
        return choice.name, "auto: the only one installed"
    found = _measured.known(recipe, device)
    if found is None:
        measured = bench(recipe, precisions=[recipe.precision], rounds=ROUNDS, device=device, progress=progress)
        found = _measured.Measured(measured.speeds, measured.train, measured.validation, "just now")
    seconds = {speed.backend: speed.whole(recipe, found.train, found.validation) for speed in found.speeds}
    first, *others = sorted(seconds, key=seconds.get)
    against = " and ".join(f"{duration(seconds[name])} on {name}" for name in others)
    epochs = f"{recipe.epochs} epoch{'s' if recipe.epochs > 1 else ''}"
    return first, (
        f"auto: {duration(seconds[first])} for {epochs}{f', against {against}' if against else ''}; "
        f"measured {found.day}, `kcnn bench` measures again"
    )


def duration(seconds):
    """Return seconds in words, as exactly as an estimate deserves."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 100 * 3600 else f"{seconds / 86400:.0f} days"
