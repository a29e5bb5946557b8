"""The training graph's twins compute what the stock layers compute: outputs, gradients, moving statistics."""

import keras
import numpy as np
import pytest
from keras import ops

from kcnn.assemble import training_graph
from kcnn.gradients import differentiate
from kcnn.initial import initialize
from kcnn.kernels import kernels
from kcnn.layers.activation import FastGelu
from kcnn.layers.batch_norm import FusedBatchNormalization
from kcnn.layers.conv import FastConv2D
from kcnn.layers.faster import faster
from kcnn.registry import MODELS

IMAGES = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), dtype="uint8")
LABELS = np.eye(10, dtype="float32")[np.arange(16) % 10]


def network(name, **options):
    keras.utils.clear_session(free_memory=False)
    built = MODELS.get(name)((32, 32, 3), 10, **options)
    initialize(built, 0)
    return built


def one_update(model, inputs):
    """Return the loss and, as the update of plain descent at rate 1, the gradients."""
    model.compile(keras.optimizers.SGD(1.0), keras.losses.CategoricalCrossentropy(from_logits=True))
    before = [ops.convert_to_numpy(weight).copy() for weight in model.trainable_weights]
    loss = float(model.train_on_batch(inputs, LABELS))
    if hasattr(model, "jax_state_sync"):
        model.jax_state_sync()
    after = [ops.convert_to_numpy(weight) for weight in model.trainable_weights]
    return loss, {weight.path: b - a for weight, a, b in zip(model.trainable_weights, after, before, strict=True)}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("simple_cnn", {"block_dropout": 0.0, "dropout": 0.0}),
        ("resnet20", {}),
        ("airbench94", {}),
        ("alexnet", {"form": "two_towers", "dropout": 0.0}),
        pytest.param("resnet18", {"stem": "large"}, marks=pytest.mark.slow),
        pytest.param("vgg11", {"batch_norm": True, "dropout": 0.0}, marks=pytest.mark.slow),
        pytest.param("googlenet", {"dropout": 0.0}, marks=pytest.mark.slow),
        pytest.param("googlenet", {"form": "paper", "dropout": 0.0}, marks=pytest.mark.slow),
        pytest.param("resnet50", {}, marks=pytest.mark.slow),
        pytest.param("resnet50_v2", {}, marks=pytest.mark.slow),
        pytest.param("efficientnet_b0", {"dropout": 0.0, "drop_path": 0.0}, marks=pytest.mark.slow),
        pytest.param("convnext_tiny", {"drop_path": 0.0}, marks=pytest.mark.slow),
    ],
)
def test_a_step_is_that_of_the_stock_layers(name, options):
    plain = network(name, **options)
    loss, gradients = one_update(plain, IMAGES.astype("float32"))
    statistics = [ops.convert_to_numpy(weight) for weight in plain.non_trainable_weights]
    trained = network(name, **options)
    position = np.arange(16, dtype="int32")
    twin_loss, twins = one_update(training_graph(trained, [], seed=0), {"pixels": IMAGES, "position": position})
    assert twin_loss == pytest.approx(loss, rel=1e-5)
    scale = max(np.abs(gradient).max() for gradient in gradients.values())
    for path, gradient in gradients.items():
        # A rectifier or a maximum that rounding switches turns single numbers.
        difference = np.linalg.norm(twins[path] - gradient) / max(np.linalg.norm(gradient), 1e-3 * scale)
        assert difference < 2e-2, path
    for one, other in zip(statistics, trained.non_trainable_weights, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(other), one, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("stride", "size", "padding"), [(1, 3, 1), (2, 3, 0), (2, 1, 0), (1, 2, 1)])
@pytest.mark.parametrize("batch", [1, 50, 1100])  # JAX takes a kernel's gradient of parts of a batch
def test_gradients_of_a_convolution(batch, stride, size, padding):
    """Against their definition, in float64."""
    random = np.random.default_rng(0)
    x = random.normal(size=(batch, 7, 9, 3)).astype("float32")
    kernel = random.normal(size=(size, size, 3, 4)).astype("float32")
    padded = np.pad(x.astype("float64"), [(0, 0), (padding, padding), (padding, padding), (0, 0)])
    rows, columns = ((n - size) // stride + 1 for n in padded.shape[1:3])
    weights = random.normal(size=(batch, rows, columns, 4)).astype("float32")
    of_kernel, of_padded = np.zeros(kernel.shape), np.zeros(padded.shape)
    for i, j in np.ndindex(size, size):
        part = np.s_[:, i : i + stride * rows : stride, j : j + stride * columns : stride]
        of_kernel[i, j] = np.einsum("nhwc,nhwf->cf", padded[part], weights)
        of_padded[part] += np.einsum("nhwf,cf->nhwc", weights, kernel[i, j])
    of_x = of_padded[:, padding : padding + 7, padding : padding + 9]

    def total(x, kernel, weights):
        y = kernels().conv(x, kernel, None, (stride, stride), (padding, padding), "float32")
        return ops.sum(y * weights)

    _, found = differentiate(total, [])(x, kernel, weights)
    np.testing.assert_allclose(found, of_x, atol=1e-5)
    _, found = differentiate(lambda kernel, x, weights: total(x, kernel, weights), [])(kernel, x, weights)
    np.testing.assert_allclose(found, of_kernel, rtol=1e-5, atol=1e-5 * np.abs(of_kernel).max())


@pytest.mark.parametrize("half", ["bfloat16", "float16"])
def test_a_convolution_in_half_precision(half):
    layer = keras.layers.Conv2D(4, 3, padding="same", dtype=f"mixed_{half}")
    layer.build((None, 8, 8, 3))
    x = ops.cast(np.random.default_rng(0).normal(size=(2, 8, 8, 3)), half)
    found = FastConv2D(layer)(x, training=True)
    assert keras.backend.standardize_dtype(found.dtype) == half
    one, other = (ops.convert_to_numpy(ops.cast(y, "float32")) for y in (found, layer(x)))
    np.testing.assert_allclose(one, other, rtol=2**-6, atol=2**-6)


def test_a_kernels_gradient_in_half_precision_is_summed_in_float32():
    """In bfloat16 itself each of the sums on the way would be rounded."""
    batch = 1100  # of which JAX takes parts
    x = np.random.default_rng(0).integers(128, 256, (batch, 4, 4, 8)).astype("float32")  # bfloat16 has them exactly
    kernel = np.zeros((1, 1, 8, 4), "float32")

    def total(kernel, x):
        y = kernels().conv(x, kernel, None, (1, 1), (0, 0), "bfloat16")
        return ops.sum(ops.cast(y, "float32"))

    _, found = differentiate(total, [])(kernel, x)
    expected = np.repeat(x.sum(axis=(0, 1, 2), dtype="float64")[:, None], 4, axis=1)
    np.testing.assert_allclose(ops.convert_to_numpy(found)[0, 0], expected, rtol=2**-8)


def test_a_bias_before_a_norm_has_a_gradient_of_exactly_zero():
    model = training_graph(network("simple_cnn"), [], seed=0)
    _, gradients = one_update(model, {"pixels": IMAGES, "position": np.arange(16, dtype="int32")})
    biases = [gradient for path, gradient in gradients.items() if "conv" in path and path.endswith("bias")]
    assert len(biases) == 5
    assert not any(bias.any() for bias in biases)


def test_validation_in_the_training_graph_is_the_network():
    plain = network("simple_cnn", initialization="pytorch")
    model = training_graph(plain, [], seed=0)
    found = model({"pixels": IMAGES, "position": np.zeros(16, "int32")}, training=False)
    expected = plain(IMAGES.astype("float32"), training=False)
    np.testing.assert_allclose(ops.convert_to_numpy(found), ops.convert_to_numpy(expected), atol=1e-5)


def test_gelu_is_exact_in_sixteen_bits():
    """Keras on TensorFlow rounds at each of its operations."""
    from scipy.special import ndtr

    layer = keras.layers.Activation("gelu", dtype="bfloat16")
    x = ops.cast(np.linspace(-6, 6, 4001, dtype="float32"), "bfloat16")
    found = ops.convert_to_numpy(ops.cast(FastGelu(layer)(x), "float32"))
    wide = ops.convert_to_numpy(ops.cast(x, "float32")).astype("float64")
    np.testing.assert_allclose(found, wide * ndtr(wide), rtol=2**-8, atol=2e-6)


def test_what_differs_between_frameworks_or_is_shared_keeps_its_stock_layer():
    x = inputs = keras.Input((8, 8, 4))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", name="strided")(x)
    x = shared = keras.layers.Conv2D(4, 3, padding="same", name="biased")(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.Maximum(name="larger")([x, shared])
    found = faster(keras.Model(inputs, x))
    assert set(found) == {"biased", "norm"}
    assert isinstance(found["biased"], FastConv2D)
    assert found["biased"].norm is None  # its bias goes another way, too
    assert isinstance(found["norm"], FusedBatchNormalization)


def test_layers_that_join_tensors_are_trained_too():
    def build():
        keras.utils.clear_session(free_memory=False)
        x = inputs = keras.Input((32, 32, 3))
        x = keras.layers.Rescaling(1 / 255)(x)
        branches = [keras.layers.Conv2D(4, size, padding="same", name=f"branch{size}")(x) for size in (1, 3)]
        x = keras.layers.Concatenate(name="joined")(branches)
        x = keras.layers.GlobalAveragePooling2D(name="pooled")(x)
        built = keras.Model(inputs, keras.layers.Dense(10, name="logits")(x))
        initialize(built, 0)
        return built

    loss, _ = one_update(build(), IMAGES.astype("float32"))
    model = training_graph(build(), [], seed=0)
    twin_loss, _ = one_update(model, {"pixels": IMAGES, "position": np.arange(16, dtype="int32")})
    assert twin_loss == pytest.approx(loss, rel=1e-5)
