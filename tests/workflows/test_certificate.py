"""What a certificate complains about, from answers that are made up."""

import json
from dataclasses import fields

import numpy as np
import pytest

from kcnn.metrics.calibration import softmax
from kcnn.workflows import certificate as certificate_module


def found_difference(rng, *, change=lambda probabilities: probabilities, outputs=lambda *both: both):
    """Return what `difference` finds of a file that answers as it should, but for `change` in batches of 7.

    `outputs` changes logits and probabilities of all batches.
    """
    logits = rng.normal(0, 2, (80, 4)).astype("float32")
    trained = {"logits": logits, "probabilities": softmax(logits), "calibrated": softmax(logits / 2)}
    exported = {}
    for batch, count in certificate_module.counts(80).items():
        both = outputs(logits, softmax(logits / 2))
        exported[f"logits_{batch}"], exported[f"probabilities_{batch}"] = (each[np.arange(count) % 80] for each in both)
    exported["probabilities_7"] = change(exported["probabilities_7"].copy())
    return certificate_module.difference(trained, exported, 2.0)


def complaints(difference, *, lost=0.0, encoded=None, quantize=None, budget=1.0):
    accuracy = {"difference": [-lost, -1, 1]}
    return certificate_module.complaints(difference, accuracy, encoded, quantize=quantize, budget=budget)


def test_a_fault_in_one_size_of_a_batch_is_enough():
    rng = np.random.default_rng(0)
    assert complaints(found_difference(rng)) == []

    def reversed_rows(probabilities):
        return probabilities[::-1]

    def with_nan(probabilities):
        probabilities[3, 2] = np.nan
        return probabilities

    first, second = complaints(found_difference(rng, change=reversed_rows))
    assert "A probability differs by" in first
    assert "get another label" in second
    assert complaints(found_difference(rng, change=with_nan)) == ["Some of its answers are not numbers."]
    drift, apart = complaints(found_difference(rng, change=reversed_rows), quantize="int8")
    assert "differ from those of its logits" in apart
    assert "depends on the size of the batch" in drift


@pytest.mark.parametrize(
    "outputs",
    [
        lambda logits, probabilities: (probabilities, logits),
        lambda logits, probabilities: (logits[::-1], probabilities),
        lambda logits, probabilities: (logits, softmax(logits)),
        lambda logits, probabilities: (logits, probabilities * 0.5),
    ],
    ids=["swapped", "logits of others", "another temperature", "no probabilities"],
)
@pytest.mark.parametrize("quantize", ["int8", "float16", None])
def test_outputs_that_do_not_belong_together_are_refused(outputs, quantize):
    """Whatever the accuracy: `predict` answers by the one or the other."""
    assert complaints(found_difference(np.random.default_rng(0), outputs=outputs), quantize=quantize)


def test_the_accuracy_is_that_of_the_worse_output():
    labels, right = np.array([0, 1, 2]), np.eye(3)
    assert certificate_module.accuracies(right, [right, right[::-1]], labels)["exported"][0] == pytest.approx(1 / 3)
    assert certificate_module.accuracies(right, [right, right], labels)["difference"][0] == 0


@pytest.mark.parametrize(
    ("lost", "budget", "refused"), [(0.011, 1.0, True), (0.01, 1.0, False), (0.02, 2.5, False), (-0.3, 0.0, False)]
)
def test_a_quantised_file_beyond_its_budget_is_refused(lost, budget, refused):
    difference = found_difference(np.random.default_rng(0))
    assert bool(complaints(difference, lost=lost, quantize="int8", budget=budget)) == refused
    assert not complaints(difference, lost=lost, budget=budget)


def test_a_certificate_of_no_numbers_is_json_all_the_same():
    values = {field.name: None for field in fields(certificate_module.Certificate)}
    difference = {"probability": np.nan, "batches": {1: {"logits": np.inf, "count": 3}}, "many": (1.5, np.nan)}
    certificate = certificate_module.Certificate(**values | {"difference": difference, "complaints": ["It is bad."]})
    document = json.loads(json.dumps(certificate.document(), allow_nan=False))
    assert document["difference"] == {
        "probability": None,
        "batches": {"1": {"logits": None, "count": 3}},
        "many": [1.5, None],
    }
    assert document["holds"] is False


def test_pixels_that_a_file_decodes_otherwise_are_told():
    difference = found_difference(np.random.default_rng(0))
    assert complaints(difference, encoded={"mean": 0.4, "between": 0.0}) == []
    assert "encoded images are off by 9" in complaints(difference, encoded={"mean": 9.0, "between": 0.0})[0]
    for between in (0.1, np.nan):
        assert "otherwise than the pixels" in complaints(difference, encoded={"mean": 0.4, "between": between})[0]
