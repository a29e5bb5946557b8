"""Which layers are frozen, when, and how fast the others are trained."""

import keras
import numpy as np
import pytest
from families import outline
from resumable import loaded

from kcnn import assemble, data
from kcnn import recipe as recipes
from kcnn.errors import RecipeError
from kcnn.finetune import frozen, parts, rate_factors

# Plain steps, so that what a weight has moved by is its gradient times its rate.
PLAIN = 'optimizer={name="sgd", learning_rate=0.5, momentum=0.0, nesterov=false}'
SMALL = ("augment=[]", "callbacks={}", "schedule.name=constant", "data.limit=64", "batch_size=32", "model.depth=2")


@pytest.fixture(scope="module")
def dataset():
    return data.load(loaded(*SMALL).data, 0)


class Given:
    """Weights that say that all was loaded."""

    def load_into(self, network, class_names):
        return None


def assembled(dataset, *settings):
    finetuned = [setting for setting in settings if "freeze" in setting]
    weights = ["model.weights=somewhere"] if finetuned else []
    recipe = loaded(*SMALL, "optimizer.accumulation_steps=1", "model.block_dropout=0.0", *weights, *settings)
    return assemble.assemble(recipe, dataset, Given() if weights else None)


def values(training):
    return {weight.path: keras.ops.convert_to_numpy(weight).copy() for weight in training.network.weights}


def moved(training, steps):
    """Train some steps and return {path of a weight: what was added to it}."""
    before = values(training)
    for step in steps:
        training.model.train_on_batch(*training.batches[step])
    return {path: array - before[path] for path, array in values(training).items()}


# --- By depth ---


def test_the_parts_of_a_network_are_those_of_its_names():
    assert list(parts(outline("resnet20"))) == ["stem", "stage1", "stage2", "stage3", "features", "logits"]
    assert list(parts(outline("simple_cnn"))) == ["block1", "block2", "block3", "features", "head", "logits"]
    assert list(parts(outline("efficientnet_b0")))[-3:] == ["head", "features", "logits"]


@pytest.mark.parametrize(
    ("freeze", "first"),
    [(1, "stage1_block1_conv1"), ("stage2", "stage3_block1_conv1"), ("features", "logits"), ("all", "logits")],
)
def test_what_is_nearer_to_the_input_is_frozen(freeze, first):
    network = outline("resnet20")
    layers = [layer for layer in network.layers if layer.weights]
    cut = [layer.name for layer in layers].index(first)
    assert frozen(network, freeze) == layers[:cut]


def test_freezing_the_head_leaves_the_logits():
    network = outline("simple_cnn")
    assert frozen(network, "head") == frozen(network, "all")
    assert "head_dense" not in [layer.name for layer in frozen(network, "features")]
    assert "auxiliary1_logits" not in [each.name for each in frozen(outline("googlenet", auxiliary=True), "all")]


@pytest.mark.parametrize("freeze", ["all", "features"])
def test_auxiliary_heads_are_never_frozen(freeze):
    settings = ("data.image_size=32", "data.limit=40", "batch_size=20", "augment=[]", "callbacks={}")
    settings = (*settings, "model={name='googlenet', auxiliary=true, weights='somewhere'}", f"finetune.freeze={freeze}")
    recipe = loaded(*settings)
    training = assemble.assemble(recipe, data.load(recipe.data, 0), Given())
    frozen_names = [layer.name for layer in training.stage.frozen]
    assert frozen_names[-1].startswith("stage5_block2")
    assert not [name for name in frozen_names if name.startswith("auxiliary")]
    heads = [layer for layer in training.model.layers if layer.name.startswith("auxiliary") and layer.weights]
    assert len(heads) == 8
    assert all(layer.trainable for layer in heads)


@pytest.mark.parametrize(
    ("freeze", "message"),
    [
        ("stag2", r"resnet20 has no part 'stag2'. Did you mean 'stage2'\?"),
        ("xyz", "Expected 'all', a number, or one of: stem, stage1, stage2, stage3, features, logits"),
        ("logits", "nothing is left to train"),
        (5, "has 5 parts, of which the last has to be trained"),
    ],
)
def test_a_depth_that_the_network_has_not_is_told(freeze, message):
    with pytest.raises(RecipeError, match=message):
        frozen(outline("resnet20"), freeze)


# --- While training ---


def test_frozen_layers_keep_every_bit_until_they_are_unfrozen(dataset):
    training = assembled(dataset, "finetune.freeze=block1", "finetune.unfreeze_epoch=1")
    statistics = [path for path in values(training) if path.startswith("block1_norm1/moving")]
    assert len(statistics) == 2
    first = moved(training, range(2))
    assert not any(np.any(change) for path, change in first.items() if path.startswith("block1"))
    assert all(np.any(change) for path, change in first.items() if path.startswith(("block2_norm", "logits")))
    assert training.enter(training.stage_of(1))
    assert not training.enter(training.stage_of(3))
    second = moved(training, range(2, 4))
    biases = ("block1_conv1/bias", "block1_conv2/bias", "block2_conv1/bias")  # without effect in front of a norm
    assert [path for path, change in second.items() if not np.any(change)] == list(biases)


def test_what_a_network_never_trains_stays_so_when_its_layer_is_unfrozen(dataset):
    settings = ("model={name='airbench94', widths=[8, 8], weights='somewhere'}", "data.image_size=16")
    settings = (*settings, "finetune.freeze=features", "finetune.unfreeze_epoch=1")
    recipe = recipes.load("smoke", (*SMALL[:-1], *settings))
    training = assemble.assemble(recipe, data.load(recipe.data, 0), Given())
    training.enter(training.stage_of(1))
    change = moved(training, [training.batches.steps_per_epoch])
    assert np.any(change["stem_conv/bias"])
    assert not np.any(change["stem_conv/kernel"])


def test_a_frozen_norm_is_that_of_inference(dataset):
    """Its output does not depend on the other images of a batch."""
    training = assembled(dataset, "finetune.freeze=all", "model.dropout=0.0")
    inputs, _ = training.batches[0]
    alone = {name: array[:3] for name, array in inputs.items()}
    whole, some = (keras.ops.convert_to_numpy(training.model(each, training=True)) for each in (inputs, alone))
    np.testing.assert_allclose(whole[:3], some, rtol=1e-4, atol=1e-5)
    validated = keras.ops.convert_to_numpy(training.model(alone, training=False))
    np.testing.assert_allclose(some, validated, rtol=1e-4, atol=1e-5)


def test_an_optimizer_of_a_stage_holds_what_the_stage_trains(dataset):
    training = assembled(
        dataset, "finetune.freeze=all", "finetune.unfreeze_epoch=1", "finetune.unfreeze_factor=0.25", "epochs=2"
    )
    steps = training.batches.steps_per_epoch
    peak = training.rates[0]
    np.testing.assert_allclose(training.rates, [peak] * steps + [0.25 * peak] * steps)
    moved(training, [0])
    assert len(training.model.optimizer._trainable_variables) == 2
    training.enter(training.stage_of(1))
    moved(training, [steps])
    optimizer = training.model.optimizer
    assert len(optimizer._trainable_variables) == len(training.network.trainable_weights) > 2
    assert int(keras.ops.convert_to_numpy(optimizer.iterations)) == 1
    assert float(keras.ops.convert_to_numpy(optimizer.learning_rate)) == pytest.approx(0.25 * peak)


def test_layer_decay_is_a_factor_on_what_a_step_adds(dataset):
    plain = moved(assembled(dataset, PLAIN), [0])
    training = assembled(dataset, PLAIN, "finetune.layer_decay=0.5")
    decayed = moved(training, [0])
    depths = {"logits": 0, "head": 1, "block2": 2, "block1": 3}
    assert rate_factors(training.network, 0.5).keys() == {w.path for w in training.network.trainable_weights}
    for weight in training.network.trainable_weights:
        factor = 0.5 ** depths[weight.path.partition("_")[0].partition("/")[0]]
        reach = np.abs(plain[weight.path]).max()
        np.testing.assert_allclose(decayed[weight.path], factor * plain[weight.path], rtol=1e-3, atol=1e-3 * reach)


def test_what_was_not_loaded_cannot_be_frozen(dataset):
    class Half(Given):
        def load_into(self, network, class_names):
            from kcnn.pretrained.weights import Loaded

            return Loaded("a file", 3, 5, {"block1_conv1": "not there"})

    recipe = loaded(*SMALL, "model.weights=somewhere", "finetune.freeze=block1")
    with pytest.raises(RecipeError, match=r"would freeze what was not loaded: block1_conv1\. 3 of 5 weights loaded"):
        assemble.assemble(recipe, dataset, Half())
