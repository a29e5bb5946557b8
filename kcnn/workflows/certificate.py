"""What is certified about an exported file: that it answers as the trained model does."""

import math
from dataclasses import asdict, dataclass

import numpy as np

from kcnn.metrics.agreement import agreement, largest_difference
from kcnn.metrics.calibration import softmax
from kcnn.metrics.comparison import paired_difference
from kcnn.metrics.intervals import wilson
from kcnn.workflows._finite import finite

TOLERANCE = 1e-4  # of a probability, for float32
BUDGET = 1.0  # points of accuracy that a quantised file may lose
DRIFT = 0.02  # of a probability of a quantised file, whose accuracy is measured in one size of a batch
OUTPUTS = 1e-3  # of a probability of a quantised file, between its two outputs, of which both are asked for answers
DECODED = 1.0  # levels of 255: how far the mean pixel may be off where a file decodes images by itself
COUNTS = {1: 32, 7: 70}  # size of a batch -> how many images are answered in such batches; in the largest, all
LARGEST_BATCH = 64
EXTREMES = ("logits", "probability", "between_batches", "between_outputs")


@dataclass(frozen=True)
class Certificate:
    """What was found about an exported file.

    Attributes:
        run: Path of the run.
        format: Name of the format.
        quantize: "int8", "float16" or None.
        complaints: Sentences that say why it is refused; none where it holds.
        rule: {"tolerance": of a probability} or {"budget": points of accuracy}.
        images: What it was measured on: split, count, fingerprint; and how many of which split scales were found on.
        temperature: Of the softmax in the file.
        difference: As `difference` returns.
        accuracy: trained, exported: each with its 95 % interval; difference: likewise, of the same images.
        encoded: How close the file comes with encoded images; None where it takes none.
        trained, exported: Of each side: backend or runtime, files with their bytes and SHA-256, bytes, speed.
        versions, machine, made: Where and when.
        asked: The options of `kcnn export` that repeat it, as a list of words.
    """

    run: str
    format: str
    quantize: str | None
    complaints: list
    rule: dict
    images: dict
    temperature: float
    difference: dict
    accuracy: dict
    encoded: dict | None
    trained: dict
    exported: dict
    versions: dict
    machine: dict
    made: str
    asked: list

    @property
    def holds(self):
        return not self.complaints

    @property
    def name(self):
        """What its folder is called."""
        return export_name(self.format, self.quantize)

    def document(self):
        """Return all of it as plain values for JSON; None is what is no number."""
        return {"holds": self.holds, **finite(asdict(self))}


def export_name(format, quantize):
    """Return the name of the folder of an export."""
    return f"{format}-{quantize}" if quantize else format


def counts(images):
    """Return {size of a batch: how many images are answered in such batches}."""
    return {**COUNTS, LARGEST_BATCH: max(images, LARGEST_BATCH)}


def difference(trained, exported, temperature):
    """Return how far an exported file's answers are from those of the trained model.

    Args:
        trained: logits, probabilities and calibrated, (N, K) each: of model.keras, and at the temperature.
        exported: logits_B and probabilities_B for each size B of a batch, of the first images and again from the first.
        temperature: That of the file's probabilities.

    Returns:
        batches: {B: logits, probability: the largest differences, over the file's own probabilities and those of its
            logits; top1, disagreements, near_ties: as `metrics.agreement`, of its own; of how many images}.
        logits, probability: The largest of all batches.
        top1, disagreements, near_ties: Of the largest batch, in which all images were answered.
        between_batches: How far the file's probabilities in other batches, and those of its logits, are from those in
            the largest.
        between_outputs: How far the file's probabilities are from those of its own logits.
    """
    batches, total = {}, len(trained["logits"])
    whole = [exported[f"probabilities_{LARGEST_BATCH}"], softmax(exported[f"logits_{LARGEST_BATCH}"], temperature)]
    for batch, count in counts(total).items():
        count = min(count, total)
        logits, probabilities = (exported[f"{key}_{batch}"][:count] for key in ("logits", "probabilities"))
        found = agreement(trained["calibrated"][:count], probabilities, TOLERANCE)
        plain = largest_difference(trained["probabilities"][:count], softmax(logits))
        both = [probabilities, softmax(logits, temperature)]
        batches[batch] = {
            "logits": largest_difference(trained["logits"][:count], logits),
            **found,
            "probability": _largest([found["probability"], plain]),
            "between_batches": _largest(
                [largest_difference(one[:count], other) for one, other in zip(whole, both, strict=True)]
            ),
            "between_outputs": largest_difference(*both),
            "count": count,
        }
    return {
        **batches[LARGEST_BATCH],
        **{key: _largest([row[key] for row in batches.values()]) for key in EXTREMES},
        "batches": batches,
    }


def accuracies(trained, outputs, labels):
    """Return the accuracy of both sides and their difference, with 95 % intervals.

    Args:
        trained: Probabilities (N, K) of the trained model.
        outputs: Those of the file, and its logits, (N, K) each; the one that is right less often counts.
        labels: (N,).
    """
    exported = min(outputs, key=lambda output: (output.argmax(axis=1) == labels).sum())
    right = [probabilities.argmax(axis=1) == labels for probabilities in (trained, exported)]
    sides = zip(("trained", "exported"), right, strict=True)
    found = {name: [float(each.mean()), *wilson(int(each.sum()), len(labels))] for name, each in sides}
    return {**found, "difference": list(paired_difference(*right))}


def complaints(difference, accuracy, encoded, *, quantize, budget):
    """Return a sentence for each reason to refuse a file."""
    if not math.isfinite(difference["probability"]):
        return ["Some of its answers are not numbers."]
    found = []
    apart = max(row["disagreements"] - row["near_ties"] for row in difference["batches"].values())
    if not quantize and difference["probability"] > TOLERANCE:
        found.append(f"A probability differs by {difference['probability']:.2g}; at most {TOLERANCE:g} is allowed.")
    if not quantize and apart > 0:
        found.append(f"{apart:,} images get another label than from the trained model, and are no near-ties.")
    lost = -100 * accuracy["difference"][0]
    if quantize and lost > budget + 1e-9:
        found.append(f"It loses {lost:.2f} points of accuracy; its budget is {budget:g}.")
    if quantize and difference["between_batches"] > DRIFT:
        found.append(
            f"A probability depends on the size of the batch by {difference['between_batches']:.2g}; "
            f"at most {DRIFT:g} is allowed."
        )
    if quantize and difference["between_outputs"] > OUTPUTS:
        found.append(
            f"Its probabilities differ from those of its logits by {difference['between_outputs']:.2g}; "
            f"at most {OUTPUTS:g} is allowed."
        )
    if encoded and not encoded["between"] <= TOLERANCE:
        found.append(
            f"It answers encoded images otherwise than the pixels that it makes of them, by {encoded['between']:.2g}."
        )
    if encoded and encoded["mean"] > DECODED:
        found.append(f"Its pixels of encoded images are off by {encoded['mean']:.2g} of 255 in the mean.")
    return found


def _largest(values):
    """Return the largest; NaN where one is."""
    return float(np.max(values))
