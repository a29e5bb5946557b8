"""What a recipe becomes: the three graphs, and the training that they give."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from kcnn import assemble, data, recipe
from kcnn.data.dataset import Dataset, Split
from kcnn.errors import RecipeError
from kcnn.run import Run

FAST = ("data.limit=100", "epochs=1", "model.width=4", "model.units=8")


@pytest.fixture(scope="module")
def digits():
    return data.load(recipe.load("smoke").data, 0)


def assembled(dataset, *settings, name="smoke"):
    return assemble.assemble(recipe.load(name, settings), dataset)


def losses(training, steps):
    found = []
    for step in range(steps):
        inputs, labels = training.batches[step]
        found.append(training.model.train_on_batch(inputs, labels, return_dict=True)["loss"])
    return [float(loss) for loss in found]


def test_the_graphs_share_their_weights(digits):
    training = assembled(digits)
    assert {id(w) for w in training.model.weights} == {id(w) for w in training.network.weights}
    assert {name: tensor.shape for name, tensor in training.model.input.items()} == {
        "pixels": (None, 8, 8, 1),
        "position": (None,),
    }


def test_augmentation_does_nothing_at_inference(digits):
    training = assembled(digits)
    pixels = digits.train.images[:5]
    inputs = {"pixels": pixels, "position": np.arange(5, dtype="int32")}
    whole = training.model.predict_on_batch(inputs)
    np.testing.assert_array_equal(whole, training.network.predict_on_batch(pixels.astype("float32")))


def test_the_seed_decides_the_weights_and_the_augmentation(digits):
    one, same, other = (assembled(digits, f"seed={seed}") for seed in (0, 0, 1))
    kernels = [
        [weight for weight in training.network.get_weights() if weight.ndim > 1] for training in (one, same, other)
    ]
    for first, again, different in zip(*kernels, strict=True):
        np.testing.assert_array_equal(first, again)
        assert (first != different).mean() > 0.99
    pixels, position = digits.train.images[:20], np.arange(20, dtype="int32")
    shown = []
    for seed in (0, 1):
        x = pixels
        for layer in assemble.build_augmentations(recipe.load("smoke", (f"seed={seed}",)))[1]:
            x = layer(x, position, training=True)
        shown.append(keras.ops.convert_to_numpy(x))
    assert (shown[0] != shown[1]).any(axis=(1, 2, 3)).mean() > 0.5


def test_what_happens_beside_the_training_is_what_the_recipe_says(digits, tmp_path):
    settings = (
        "callbacks.ema.decay=0.9",
        "callbacks.ema.every=7",
        "callbacks.best=true",
        "callbacks.early_stopping.patience=3",
        "callbacks.tensorboard=true",
    )
    names = {"AverageWeights", "KeepBest", "EarlyStopping", "TensorBoardScalars"}
    for chosen, expected in ((settings, names), ((), set())):
        loaded = recipe.load("smoke", chosen)
        found, history = assemble.callbacks(loaded, assemble.assemble(loaded, digits), Run(tmp_path))
        assert {type(each).__name__ for each in found} == expected | {"StopOnNaN", "RunHistory"}
        assert history in found
        assert [each.every for each in found if type(each).__name__ == "AverageWeights"] == [7] * bool(chosen)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_is_the_smoothed_cross_entropy(digits, smoothing):
    training = assembled(digits, f"loss.label_smoothing={smoothing}")
    inputs, labels = training.batches[0]
    logits = keras.ops.convert_to_numpy(training.model(inputs, training=True)).astype("float64")
    wanted = (1 - smoothing) * labels + smoothing / labels.shape[1]
    expected = (np.log(np.exp(logits).sum(axis=1)) - (wanted * logits).sum(axis=1)).mean()
    assert losses(training, 1)[0] == pytest.approx(expected, rel=1e-4)


def test_augmentation_and_dropout_do_something_in_training(digits):
    training = assembled(digits, "model.dropout=0.5")
    inputs, _ = training.batches[0]
    trained = keras.ops.convert_to_numpy(training.model(inputs, training=True))
    again = keras.ops.convert_to_numpy(training.model(inputs, training=True))
    moved = {**inputs, "position": inputs["position"] + 1000}
    elsewhere = keras.ops.convert_to_numpy(training.model(moved, training=True))
    np.testing.assert_array_equal(trained, again)  # a function of the position, with no state
    assert not np.allclose(trained, elsewhere)


def test_the_first_losses_are_the_same_on_every_backend(digits):
    """Written down once; the same recipe starts the same experiment whichever framework runs it.

    Slow descent, since Adam makes a full step of a gradient that rounding turned: PyTorch with one thread sums in
    another order than with two, and was 2e-3 off.
    """
    settings = ("model.dropout=0.3", "model.block_dropout=0.1", "optimizer={name='sgd', learning_rate=0.01, l2=0.001}")
    found = losses(assembled(digits, *settings), 4)
    np.testing.assert_allclose(found, GOLDEN_LOSSES, rtol=3e-4)


GOLDEN_LOSSES = [3.076876, 3.208527, 2.898341, 2.718467]


def test_the_deployable_model_is_stock_keras_and_answers_like_the_network(digits):
    training = assembled(digits)
    losses(training, 2)
    pixels = digits.train.images[:50].astype("float32")
    model = assemble.deployable(recipe.load("smoke"), digits, training.network)
    logits = training.network.predict_on_batch(pixels)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_on_batch(pixels), expected, atol=1e-6)
    assert all(type(layer).__module__.startswith("keras.src.layers") for layer in model.layers)


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_trains_and_deploys_in_float32(digits, precision):
    training = assembled(digits, f"precision={precision}")
    convolutions = [layer for layer in training.network.layers if isinstance(layer, keras.layers.Conv2D)]
    assert {str(layer.compute_dtype) for layer in convolutions} == {precision.removeprefix("mixed_")}
    found = losses(training, 8)
    assert np.isfinite(found).all()
    assert found[-1] < found[0]
    model = assemble.deployable(recipe.load("smoke"), digits, training.network)
    assert {str(layer.compute_dtype) for layer in model.layers} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize(
    "settings",
    [
        ("optimizer.name=adamw",),
        ("optimizer.name=sgd", "optimizer.learning_rate=0.01"),
        ("optimizer.name=lion", "optimizer.learning_rate=3e-4"),
        ("optimizer.clip_norm=1.0",),
        ("optimizer.accumulation_steps=2",),
        ("loss.label_smoothing=0.1",),
        ("schedule.name=constant",),
        ("schedule.name=step", "schedule.milestones=[1]"),
        ("schedule.warmup_epochs=0.5", "schedule.per=epoch"),
        ("schedule.name=triangular",),
        ("optimizer.name=muon", "optimizer.learning_rate=0.05", "optimizer.others_factor=0.2"),
    ],
    ids=lambda settings: settings[-1],
)
def test_every_way_of_training_lowers_the_loss(digits, settings):
    found = losses(assembled(digits, *settings), 12)
    assert np.isfinite(found).all()
    assert found[-1] < found[0]


def test_an_update_that_never_comes_is_a_mistake(digits):
    steps = assembled(digits).batches.steps_per_epoch
    assembled(digits, "epochs=1", f"optimizer.accumulation_steps={steps}")
    with pytest.raises(RecipeError, match=r"accumulation_steps: .* none would ever change"):
        assembled(digits, "epochs=1", f"optimizer.accumulation_steps={steps + 1}")


@pytest.mark.parametrize("every", [1, 4])
def test_the_rates_of_the_updates_are_those_of_the_history(digits, every):
    training = assembled(digits, f"optimizer.accumulation_steps={every}")
    optimizer = training.model.optimizer
    for step in range(2 * every):
        used = float(keras.ops.convert_to_numpy(optimizer.learning_rate))  # of an update that this step may make
        assert used == pytest.approx(training.learning_rate(step))
        inputs, labels = training.batches[step]
        training.model.train_on_batch(inputs, labels)


def test_float16_has_a_loss_scale(digits):
    training = assembled(digits, "precision=mixed_float16")
    before = training.network.get_weights()
    assert isinstance(training.model.optimizer, keras.optimizers.LossScaleOptimizer)
    losses(training, 3)
    after = training.network.get_weights()
    assert any(not np.array_equal(one, other) for one, other in zip(before, after, strict=True))


def test_class_weights_balance(digits):
    weights = assemble._class_weights("balanced", digits)
    counts = np.bincount(digits.train.labels)
    np.testing.assert_allclose(weights * counts, counts.sum() / 10)
    named = assemble._class_weights({"3": 2.5}, digits)
    assert named[3] == 2.5
    assert named.sum() == 11.5
    with pytest.raises(RecipeError, match="unknown classes: zebra"):
        assemble._class_weights({"zebra": 1.0}, digits)


def test_class_weights_reach_the_loss(digits):
    training = assembled(digits, 'loss.class_weights={"0" = 100.0}')
    _, labels, weights = training.batches[0]
    np.testing.assert_allclose(weights, np.where(labels[:, 0] == 1, 100, 1))


def test_mixed_labels_belong_to_mixed_images(digits):
    training = assembled(digits, 'augment=[{name="mixup"}]')
    _, labels = training.batches[0]
    np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-6)
    assert ((labels > 0).sum(axis=1) == 2).any()


def test_the_learning_rates_are_looked_up_in_the_graph(digits):
    training = assembled(digits, "epochs=2", "schedule.warmup_epochs=1")
    for step in range(3):
        rate = float(keras.ops.convert_to_numpy(training.model.optimizer.learning_rate))
        assert rate == training.learning_rate(step)
        losses(SimpleNamespace(batches=[training.batches[step]], model=training.model), 1)


def test_an_image_is_mirrored_in_every_second_epoch(digits):
    training = assembled(digits, 'augment=[{name="horizontal_flip", alternate=true}]', "epochs=2", "data.limit=100")
    batches = training.batches
    shown = []
    for epoch in range(2):
        steps = range(epoch * batches.steps_per_epoch, (epoch + 1) * batches.steps_per_epoch)
        pixels = np.concatenate([batches[step][0]["pixels"] for step in steps])
        shown.append(pixels[np.argsort(batches.order(epoch))])
    images = digits.train.images
    np.testing.assert_array_equal(shown[1], shown[0][:, :, ::-1])
    assert 0.4 < (shown[0] == images).all(axis=(1, 2, 3)).mean() < 0.6


@pytest.mark.once
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("model.depth=9",), r"model: .*too small"),
        (("optimizer.clip_norm=1.0", "optimizer.clip_value=1.0"), r"optimizer: .*not both"),
        (("augment.0.height=7.0",), r"augment.0"),
        (('augment=[{name="random_erasing", area=[0.5, 0.8], aspect=[3.0, 3.3]}]',), r"augment: No box with this"),
    ],
)
def test_what_does_not_fit_is_a_mistake_of_the_recipe(digits, settings, message):
    with pytest.raises(RecipeError, match=message):
        assembled(digits, *settings)


@pytest.mark.once
@pytest.mark.parametrize("name", [name for name in recipe.names() if name not in ("digits", "smoke")])
def test_every_other_recipe_binds_and_builds(name):
    loaded = recipe.load(name, data="x" if name.startswith(("folder", "finetune")) else None)
    side = loaded.data.image_size[0]
    images = np.zeros((8, side, side, 3), "uint8")
    split = Split(images, np.arange(8, dtype="int32") % 2, [str(n) for n in range(8)])
    dataset = Dataset(split, split, None, ["a", "b"], (side, side, 3), (0.5,) * 3, (0.2,) * 3)
    training = assemble.assemble(loaded, dataset)
    assert training.network.get_layer("logits").units == 2


class Inverting:
    """An augmentation of the input pipeline, as the keras-cv adapters are."""

    in_pipeline = True

    def __init__(self, *, probability, seed=0, name=None):
        self.name = name

    def transform(self, images, position, indices, epoch):
        return 255 - images


def test_the_input_pipeline_comes_before_the_graph(digits, monkeypatch):
    real = assemble.AUGMENTATIONS.get
    monkeypatch.setattr(
        assemble.AUGMENTATIONS, "get", lambda name: Inverting if name == "vertical_flip" else real(name)
    )
    plain = assembled(digits, "augment=[]").batches[0][0]["pixels"]
    inverted = assembled(digits, 'augment=[{name="vertical_flip"}, {name="horizontal_flip"}]').batches[0][0]["pixels"]
    np.testing.assert_array_equal(inverted, 255 - plain)
    with pytest.raises(
        RecipeError, match=r"augment.1: vertical_flip runs in the input pipeline, so it must come before"
    ):
        assembled(digits, 'augment=[{name="horizontal_flip"}, {name="vertical_flip"}]')


def test_labels_are_mixed_in_the_order_of_the_images():
    pictures = np.round(255 * np.eye(64)).astype("uint8").reshape(64, 8, 8, 1)  # whose pixels are their own labels
    split = Split(pictures, np.arange(64, dtype="int32"), [f"{number:02d}" for number in range(64)])
    dataset = Dataset(split, split, None, [str(number) for number in range(64)], (8, 8, 1), (0.5,), (0.25,))
    training = assembled(dataset, 'augment=[{name="mixup", alpha=1.0}, {name="mixup", alpha=1.0}]', "batch_size=64")
    inputs, labels = training.batches[0]
    graph = keras.Model(training.model.input, training.model.get_layer("to_float").output)
    shown = keras.ops.convert_to_numpy(graph(inputs, training=True)).reshape(64, 64)
    assert (np.count_nonzero(labels, axis=1) > 2).any(), "nothing was mixed twice"
    assert np.abs(shown - 255 * np.asarray(labels)).max() <= 1
