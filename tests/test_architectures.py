"""Every architecture trains a step, is saved, reloads and predicts."""

import keras
import numpy as np
import pytest
from families import LARGE, SMALL

from kcnn import assemble, recipe
from kcnn.data.dataset import Dataset, Split
from kcnn.registry import MODELS


@pytest.fixture(scope="module")
def dataset():
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype="uint8")
    split = Split(images, np.arange(4, dtype="int32") % 3, [str(n) for n in range(4)])
    return Dataset(split, split, None, ["a", "b", "c"], (32, 32, 3), (0.5,) * 3, (0.25,) * 3)


def assembled(dataset, name, *settings):
    chosen = ("augment=[]", "batch_size=2", "optimizer.learning_rate=1e-4", f"model.name={name}", *settings)
    loaded = recipe.load("cifar10_resnet20", chosen)
    return loaded, assemble.assemble(loaded, dataset)


# Compiling each takes seconds, and those that are deep half a minute; PyTorch compiles nothing.
FAST = ("simple_cnn", "residual_cnn", "resnet20", "alexnet", "vgg11")
if keras.backend.backend() == "torch":
    FAST += LARGE
# What is harder to train than the network as it is, and stands for it in the default suite.
HARDER = {"alexnet": "form=two_towers", "vgg11": "batch_norm=true", "googlenet": "auxiliary=true"}
# Without shortcuts gradients grow from layer to layer; after a step as large as 110 layers make it logits overflow.
STEEP = {"plain110": ("optimizer.clip_norm=1.0",)}


@pytest.fixture(autouse=True)
def _freed():
    """Let go of each network: together the large ones are more than a machine's memory."""
    yield
    keras.utils.clear_session()


def trainings():
    for name in MODELS.names():
        slow = () if name in FAST else pytest.mark.slow
        if name in HARDER:
            yield pytest.param(name, (f"model.{HARDER[name]}",), id=f"{name}-{HARDER[name]}", marks=slow)
            slow = pytest.mark.slow
        yield pytest.param(name, STEEP.get(name, ()), id=name, marks=slow)


@pytest.mark.parametrize(("name", "settings"), list(trainings()))
def test_a_step_is_trained_saved_reloaded_and_predicts(name, settings, dataset, tmp_path):
    loaded, training = assembled(dataset, name, *settings)
    before = [np.array(weight) for weight in training.network.get_weights()]
    logs = training.model.train_on_batch(*training.batches[0], return_dict=True)
    if hasattr(training.model, "jax_state_sync"):
        training.model.jax_state_sync()
    assert set(logs) == {"loss", "accuracy"}
    assert np.isfinite(float(logs["loss"]))
    after = training.network.get_weights()
    assert np.mean([not np.array_equal(old, new) for old, new in zip(before, after, strict=True)]) > 0.5
    model = assemble.deployable(loaded, dataset, training.network)
    assert not [layer.name for layer in model.layers if layer.name.startswith("auxiliary")]
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for ours, theirs in zip(after, again.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    probabilities = again.predict_on_batch(dataset.train.images.astype("float32"))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.once
def test_auxiliary_heads_are_trained_and_change_no_other_initial_weight(dataset):
    _, plain = assembled(dataset, "googlenet")
    plain = {weight.path: np.array(keras.ops.convert_to_numpy(weight)) for weight in plain.network.weights}
    _, headed = assembled(dataset, "googlenet", "model.auxiliary=true")
    assert {weight.path for weight in headed.network.weights} == set(plain)
    for weight in headed.network.weights:
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(weight), plain[weight.path])
    # A checkpoint holds the weights of the training graph.
    beside = {weight.path for weight in headed.model.weights} - set(plain)
    assert len(beside) == 2 * (1 + 4 + 2 + 2)
    assert all(path.startswith("auxiliary") for path in beside)


# --- Blocks that are skipped while training ---


@pytest.mark.once
@pytest.mark.parametrize("name", ["efficientnet_b0", "convnext_tiny"])
def test_blocks_are_skipped_at_the_same_positions_everywhere(name, dataset):
    from kcnn.layers.dropout import PositionalDropout

    _, training = assembled(dataset, name)
    stand_ins = [layer for layer in training.model.layers if isinstance(layer, PositionalDropout)]
    paths = [layer for layer in stand_ins if layer.name.endswith("_drop")]
    assert paths
    assert all(tuple(layer.noise_shape) == (None, 1, 1, 1) for layer in paths)
    assert [layer.rate for layer in paths] == sorted(layer.rate for layer in paths)
    assert not [layer for layer in training.model.layers if type(layer) is keras.layers.Dropout]


@pytest.mark.once
def test_the_default_suite_has_one_of_each_family():
    families = {MODELS.target(name)[0] for name in MODELS.names()}
    assert {MODELS.target(name)[0] for name in SMALL + LARGE} == families
