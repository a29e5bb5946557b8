"""The losses of auxiliary heads count while training, and nowhere else."""

import keras
import numpy as np
import pytest
from keras import ops

from kcnn.layers.direct import DirectModel

X = np.random.default_rng(0).normal(size=(8, 5)).astype("float32")
LABELS = np.eye(3, dtype="float32")[np.arange(8) % 3]


@pytest.fixture
def model():
    keras.utils.clear_session(free_memory=False)
    inputs = keras.Input((5,))
    heads = [keras.layers.Dense(3, name=name)(inputs) for name in ("logits", "auxiliary1_logits", "auxiliary2_logits")]
    built = DirectModel(inputs, heads)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    built.compile(keras.optimizers.SGD(0.0), loss=loss, metrics=["accuracy"])
    return built


@pytest.mark.parametrize("sample_weight", [None, np.arange(8, dtype="float32")])
def test_auxiliary_losses_count_while_training(model, sample_weight):
    outputs = [ops.convert_to_numpy(output) for output in model(X)]
    losses = [float(ops.convert_to_numpy(model.loss(LABELS, output, sample_weight))) for output in outputs]
    logs = model.train_on_batch(X, LABELS, sample_weight, return_dict=True)
    assert set(logs) == {"loss", "accuracy"}
    assert float(logs["loss"]) == pytest.approx(losses[0] + 0.3 * sum(losses[1:]), rel=1e-5)


def test_validation_and_metrics_are_those_of_the_first_output(model):
    logits = ops.convert_to_numpy(model(X)[0])
    logs = model.evaluate(X, LABELS, verbose=0, return_dict=True)
    assert set(logs) == {"loss", "accuracy"}
    assert logs["loss"] == pytest.approx(float(ops.convert_to_numpy(model.loss(LABELS, logits))), rel=1e-5)
    assert logs["accuracy"] == pytest.approx(np.mean(logits.argmax(1) == LABELS.argmax(1)))


def test_auxiliary_heads_learn(model):
    model.optimizer.learning_rate = 0.1
    before = [np.array(weight) for weight in model.get_weights()]
    model.train_on_batch(X, LABELS)
    if hasattr(model, "jax_state_sync"):
        model.jax_state_sync()
    assert all(not np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True))
