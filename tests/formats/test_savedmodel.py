"""A SavedModel in TensorFlow Serving: pixels, encoded images, and what it says to both."""

import base64
import json

import numpy as np
import pytest
from exports import TEMPERATURE

from kcnn.classifier import Classifier
from kcnn.metrics.calibration import with_temperature


def served(loaded, request):
    """Answer a request of TensorFlow Serving's REST interface, in its row format, as its documentation says.

    https://www.tensorflow.org/tfx/serving/api_rest, "Predict API" and "Encoding binary values".
    """
    import tensorflow as tf

    signature = loaded.signatures[request.get("signature_name", "serving_default")]
    (specs,) = [signature.structured_input_signature[1]]
    rows = [
        row if isinstance(row, dict) and "b64" not in row else {next(iter(specs)): row} for row in request["instances"]
    ]

    def value(item):
        return base64.b64decode(item["b64"]) if isinstance(item, dict) else item

    inputs = {name: tf.constant([value(row[name]) for row in rows], spec.dtype) for name, spec in specs.items()}
    outputs = {name: each.numpy().tolist() for name, each in signature(**inputs).items()}
    return {"predictions": [dict(zip(outputs, row, strict=True)) for row in zip(*outputs.values(), strict=True)]}


def test_a_saved_model_is_served(exported, jpegs, jpeg_pixels, backend_name):
    if backend_name != "tensorflow":
        pytest.skip("the graph is TensorFlow's")
    import tensorflow as tf

    run, _ = exported
    loaded = tf.saved_model.load(str(run.exports / "savedmodel" / "1"), tags=["serve"])
    files = sorted(jpegs.rglob("*.jpg"))[:5]
    expected = with_temperature(Classifier.open(run.path).probabilities(jpeg_pixels[:5]), TEMPERATURE)
    contents = [{"b64": base64.b64encode(file.read_bytes()).decode()} for file in files]
    for request in (
        {"instances": jpeg_pixels[:5].tolist()},
        {"instances": [{"pixels": one} for one in jpeg_pixels[:5].tolist()]},
        {"signature_name": "serving_bytes", "instances": contents},
        {"signature_name": "serving_bytes", "instances": [{"image_bytes": one} for one in contents]},
    ):
        answers = served(loaded, json.loads(json.dumps(request)))["predictions"]
        np.testing.assert_allclose([one["probabilities"] for one in answers], expected, atol=1e-5)
        assert set(answers[0]) == {"probabilities", "logits"}


def test_encoded_images_are_decoded_as_kcnn_does(exported):
    encoded = exported[1]["savedmodel"].encoded
    assert encoded["files"] > 10
    assert encoded["enlarged"] > 10
    assert encoded["largest"] <= 1
    assert encoded["equal"] > 0.95
    assert encoded["probability"] < 0.01
