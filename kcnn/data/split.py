"""Which image belongs to which split: decided by the hash of its name alone."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from kcnn import random
from kcnn.data.counted import Progress, counted
from kcnn.data.listing import quoted
from kcnn.errors import DataError


def hold_out(
    names: Sequence[str],
    labels: Sequence[str],
    fraction: float,
    seed: int,
    purpose: str,
    *,
    leave: int = 1,
    same_as: dict[str, str] | None = None,
    progress: Progress | None = None,
) -> np.ndarray:
    """Return a boolean array (N,) that is true for the images to hold out.

    An image is held out if the hash of seed, purpose and its name is below `fraction`. So no image moves when others
    are added, removed or listed in another order, and each class gives its share to within sampling error. Copies go
    together, by the highest of their hashes: one more copy can bring an image back, but never hold out what a model was
    trained on. On top of that, a class left without any image to hold out, or with fewer than `leave` others, gives the
    one with the lowest hash, or takes back those with the highest; only such an image can move when more are added.

    Args:
        fraction: From 0 (none) to 1 (all of them).
        purpose: The name of the split, for instance `"validation"`.
        leave: How many images of a class stay at least.
        same_as: The name of the image with which one goes, of each that is a copy of another.
        progress: Called as `progress(done, total, what)`.

    Raises:
        DataError: If a class has no more than `leave` images to divide, where copies count as one.
    """
    told = counted(names, progress, f"dividing off the {purpose} images", len(names))
    draws = np.array([random.fraction(seed, purpose, name) for name in told])
    first = np.arange(len(names))  # of the copies of each image
    if same_as:
        index_of = {name: index for index, name in enumerate(names)}
        first = np.array([index_of[same_as.get(name, name)] for name in names])
        highest = draws.copy()
        np.maximum.at(highest, first, draws)
        draws = highest[first]
    held = draws < fraction
    if fraction <= 0 or fraction >= 1:
        return held
    classes = _members(labels, np.unique(first).tolist())
    few = [label for label, members in classes.items() if len(members) <= leave]
    if few:
        raise DataError(
            f"Each class needs at least {leave + 1} images where {purpose} images are held out, one for these and "
            f"{leave} for what else there is; copies count once. Received fewer for {quoted(few)}. Add images, remove "
            f"the class, or set data.{purpose} = 0."
        )
    for members in classes.values():
        members = sorted(members, key=lambda index: (draws[index], names[index]))
        count = min(max(int(held[members].sum()), 1), len(members) - leave)
        held[members] = np.arange(len(members)) < count
    return held[first]


def take(names: Sequence[str], labels: Sequence[str], limit: int, seed: int) -> np.ndarray:
    """Return the indices, ascending, of `limit` images in which each class has its share.

    Each class gives its images in the order of their hashes, spread evenly over the order of all; every class gives its
    first one before any gives its second. A smaller limit takes a subset of what a larger one takes.

    Raises:
        DataError: If `limit` is below the number of classes.
    """
    classes = _members(labels, range(len(labels)))
    if limit < len(classes):
        raise DataError(
            f"data.limit must be at least the number of classes, {len(classes)}, so that each has an image. "
            f"Received: limit={limit}"
        )
    ranked = []
    for members in classes.values():
        draws = {index: random.fraction(seed, "limit", names[index]) for index in members}
        members = sorted(members, key=lambda index: (draws[index], names[index]))
        for rank, index in enumerate(members):
            ranked.append((rank > 0, (rank + 0.5) / len(members), draws[index], names[index], index))
    return np.array(sorted(entry[-1] for entry in sorted(ranked)[:limit]), dtype="int64")


def _members(labels, indices):
    members = defaultdict(list)
    for index in indices:
        members[labels[index]].append(index)
    return dict(members)
