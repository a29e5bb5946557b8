"""Name what images show."""

import contextlib
import itertools
from dataclasses import dataclass

import numpy as np

from kcnn.data.decode import Decoders
from kcnn.data.named import Named
from kcnn.errors import UsageError
from kcnn.tta import averaged
from kcnn.workflows._ahead import ahead
from kcnn.workflows._answers import batch_size, numbers

UNKNOWN = "unknown"
MOST_BYTES = 2**28  # of encoded images out of an archive that a batch holds


@dataclass(frozen=True, eq=False)
class Prediction:
    """The most likely labels of one image, best first, or why it could not be read.

    Attributes:
        image: What the caller called it.
        top: (label, probability) pairs.
        error: One line, or None.
        known: Whether the best probability reaches the threshold; None where there is none.
        embedding: float32 (D,), or None where nobody asked.
    """

    image: str
    top: tuple[tuple[str, float], ...] = ()
    error: str | None = None
    known: bool | None = None
    embedding: np.ndarray | None = None

    @property
    def label(self):
        """The best label, or "unknown"; a class may have that name too, but then `known` is not False."""
        return UNKNOWN if self.known is False else self.top[0][0]

    @property
    def probability(self):
        """That of the best label."""
        return self.top[0][1]

    def as_json(self):
        """Return plain values for JSON."""
        if self.error:
            return {"image": self.image, "error": self.error}
        found = {"image": self.image, "label": self.label, "probability": self.probability}
        if self.known is not None:
            found["known"] = self.known
        found["top"] = [{"label": label, "probability": probability} for label, probability in self.top]
        if self.embedding is not None:
            found["embedding"] = [float(f"{value:.9g}") for value in self.embedding.tolist()]  # all bits of a float32
        return found


def predict(model, images, **options):
    """Yield a `Prediction` for each of `images`, in order; arguments as of `predict_batches`."""
    return itertools.chain.from_iterable(predict_batches(model, images, **options))


def predict_batches(
    model, images, *, top=3, threshold=None, embeddings=False, tta=None, total=None, done=0, progress=None
):
    """Yield a list of `Prediction` for each batch of `images`, in order; the next ones are decoded meanwhile.

    Batches are as large as memory allows, so that the list of images may have no end.

    Args:
        model: What `kcnn.opened.open_model` returns.
        images: Paths of image files, or `Named`. None among them says that the next has yet to come: those that are
            there are answered at once.
        top: How many labels to give.
        threshold: The probability below which an image is not known.
        embeddings: Also give the embeddings.
        tta: Test-time augmentation, a name of `kcnn.registry.VIEWS`.
        total: How many images there are, if that is known, and `done`, how many were answered before these.
        progress: Called as `(done, total, what)`.

    Raises:
        UsageError: Embeddings are asked for, and the model has none.
    """
    if embeddings and not hasattr(model, "probabilities_and_embeddings"):
        raise UsageError("Embeddings come from a run or a .keras file; an exported file gives probabilities alone.")
    return _batches(averaged(model, tta), images, top, threshold, embeddings, total, done, progress)


def _batches(model, images, top, threshold, embeddings, total, done, progress):
    shape = model.image_shape
    with (
        Decoders(None if total is None else total - done) as decoders,
        contextlib.closing(ahead(_decoded(images, shape, model.resize, decoders))) as ready,
    ):
        for lot, pixels, bad in ready:
            probabilities, features = _asked(model, pixels, embeddings)
            numbers(probabilities[[row for row in range(len(lot)) if row not in bad]])  # other rows are no images
            found = []
            for row, one in enumerate(lot):
                if row in bad:
                    found.append(Prediction(one.name, error=bad[row]))
                    continue
                best = _best(probabilities[row], model.class_names, top)
                known = None if threshold is None else best[0][1] >= threshold
                found.append(Prediction(one.name, best, known=known, embedding=features[row] if embeddings else None))
            yield found
            done += len(lot)
            if progress:
                progress(done, total, "predicting")


def _decoded(images, shape, resize, decoders):
    """Yield (lot, pixels, {row: why it cannot be read}); there may be more rows of pixels than images."""
    size = batch_size(shape)
    for lot in _lots(images, size):
        pixels = np.zeros((_filled_up(len(lot), size), *shape), "uint8")
        bad = {row: one.error for row, one in enumerate(lot) if one.error}
        contents = [b"" if one.error else one.content for one in lot]
        for row, reason in decoders.decode(contents, shape, resize, out=pixels[: len(lot)]):
            bad.setdefault(row, f"Cannot read {lot[row].name}: {reason}.")
        yield lot, pixels, bad


def as_named(image):
    """Return a path as `Named`, which other images are already."""
    return image if isinstance(image, Named) else Named(str(image), str(image))


def _lots(images, size):
    """Yield lists of up to `size` images."""
    lot, held = [], 0
    for one in images:
        if one is not None:
            one = as_named(one)
            lot.append(one)
            held += len(one.content) if isinstance(one.content, bytes) else 0
        if lot and (one is None or len(lot) == size or held >= MOST_BYTES):
            yield lot
            lot, held = [], 0
    if lot:
        yield lot


def _filled_up(count, size):
    """Return how many rows a batch of `count` images has: few sizes, since a compiler works anew for each."""
    return min(1 << (count - 1).bit_length(), size)


def _asked(model, pixels, embeddings):
    """Return probabilities and embeddings, or None, of each row."""
    return model.probabilities_and_embeddings(pixels) if embeddings else (model.probabilities(pixels), None)


def _best(probabilities, class_names, top):
    order = np.argsort(-probabilities, kind="stable")[:top]
    return tuple((class_names[k], float(probabilities[k])) for k in order)
