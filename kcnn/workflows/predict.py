"""Name what images show."""

from dataclasses import dataclass

import numpy as np

from kcnn.data.decode import decode_many

BATCH = 256


@dataclass(frozen=True)
class Prediction:
    """The most likely labels of one image, best first, or why it could not be read.

    Attributes:
        image: What the caller called it.
        top: (label, probability) pairs.
        error: One line, or None.
    """

    image: str
    top: tuple[tuple[str, float], ...] = ()
    error: str | None = None

    def as_json(self):
        """Return plain values for JSON."""
        if self.error:
            return {"image": self.image, "error": self.error}
        top = [{"label": label, "probability": probability} for label, probability in self.top]
        return {"image": self.image, **top[0], "top": top}


def predict(classifier, images, *, top=3, progress=None):
    """Yield a `Prediction` for each of `images`, in order; they are read and answered in batches.

    Args:
        classifier: A `Classifier`.
        images: Paths of image files.
        top: How many labels to give.
        progress: Called as `(done, total, what)`.
    """
    shape = classifier.image_shape
    for start in range(0, len(images), BATCH):
        names = images[start : start + BATCH]
        pixels = np.zeros((len(names), *shape), "uint8")
        bad = dict(decode_many(names, shape, classifier.resize, out=pixels))
        good = [index for index in range(len(names)) if index not in bad]
        answers = dict(zip(good, classifier.probabilities(pixels[good]), strict=True)) if good else {}
        for index, name in enumerate(names):
            if index in bad:
                yield Prediction(name, error=f"Cannot read {name}: {bad[index]}.")
            else:
                yield Prediction(name, _best(answers[index], classifier.class_names, top))
        if progress:
            progress(start + len(names), len(images), "predicting")


def _best(probabilities, class_names, top):
    order = np.argsort(-probabilities, kind="stable")[:top]
    return tuple((class_names[k], float(probabilities[k])) for k in order)
