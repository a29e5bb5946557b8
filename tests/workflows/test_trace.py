"""One backend's side of a parity comparison."""

import keras
import numpy as np
import pytest
from families import each_model, outline

from kcnn import data, recipe
from kcnn.workflows._trace import Trace, biases_before_norm, digest

SETTINGS = ("data.limit=100", "batch_size=20", "model.width=4", "model.units=8", "model.dropout=0.3")


@pytest.fixture(scope="module")
def dataset():
    return data.load(recipe.load("smoke").data, 0)


def traced(dataset, *settings):
    return Trace(recipe.load("smoke", (*SETTINGS, *settings)), dataset)


def test_the_gradient_norm_is_that_of_the_step(dataset):
    """With plain SGD at rate 1 the weights change by the gradient itself."""
    plain = 'optimizer={name="sgd", learning_rate=1.0, momentum=0.0, nesterov=false}'
    trace = traced(dataset, plain, "schedule.name=constant")
    names = [weight.path for weight in trace.training.network.trainable_weights]
    before = trace.weights()
    found = trace.step(0)
    after = trace.weights()
    expected = np.sqrt(sum(np.square(after[name].astype("float64") - before[name]).sum() for name in names))
    assert found["gradient_norm"] == pytest.approx(expected, rel=1e-4)


def test_a_step_says_what_it_saw(dataset):
    first, again, other = traced(dataset), traced(dataset), traced(dataset, "seed=1")
    seen = [trace.step(0) for trace in (first, again, other)]
    assert seen[0] == seen[1]
    for key in ("images", "labels", "masks"):
        assert seen[0][key] != seen[2][key]
    assert first.step(1)["masks"] != seen[0]["masks"]


def test_a_step_from_other_weights_leaves_the_own_run_alone(dataset):
    plain, visiting, other = traced(dataset), traced(dataset), traced(dataset)
    for trace in (plain, visiting, other):
        trace.step(0)
    other.step(1)
    state = other.state()
    expected = other.step(2)
    assert visiting.step_from(2, state) == expected
    assert visiting.step(1) == plain.step(1)
    for path, array in plain.weights().items():
        np.testing.assert_array_equal(visiting.weights()[path], array)


def test_biases_before_a_norm_are_found_and_taken_out_of_its_mean(dataset):
    trace = traced(dataset)
    assert trace.biases == {
        "block1_conv1/bias": "block1_norm1",
        "block1_conv2/bias": "block1_norm2",
        "block2_conv1/bias": "block2_norm1",
    }
    shifted = traced(dataset)
    layer = shifted.training.network.get_layer("block1_conv1")
    layer.bias.assign(layer.bias + 3.0)
    for step in range(3):
        one, other = trace.step(step), shifted.step(step)
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)
    raw = [t.training.network.get_layer("block1_norm1").moving_mean for t in (trace, shifted)]
    assert abs(float(keras.ops.convert_to_numpy(raw[1] - raw[0]).mean())) > 0.5
    means = [t.weights()["block1_norm1/moving_mean"] for t in (trace, shifted)]
    np.testing.assert_allclose(*means, atol=1e-3)


@pytest.mark.once
@each_model
def test_a_bias_counts_as_lost_only_in_front_of_a_norm(name):
    network = outline(name)
    found = biases_before_norm(network)
    assert "logits/bias" not in found
    for bias, norm in found.items():
        layer = network.get_layer(bias.rpartition("/")[0])
        assert network.get_layer(norm).input is layer.output


def test_a_digest_knows_shape_type_and_value():
    array = np.arange(6, dtype="int32")
    others = [array.reshape(2, 3), array.astype("int64"), array + 1]
    assert len({digest(array), *map(digest, others)}) == 4
    assert digest(array) == digest(array.copy())
