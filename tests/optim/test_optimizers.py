"""Against hand-written NumPy versions of the published updates."""

import keras
import numpy as np
import pytest
from keras import ops

from kcnn.optim import optimizers
from kcnn.optim.muon import orthogonal
from kcnn.optim.schedules import LearningRateTable

STEPS = 5


def run(optimizer, start, gradients, names=(None, None)):
    variables = [keras.Variable(value, name=name) for value, name in zip(start, names, strict=True)]
    optimizer.build(variables)
    for gradient in gradients:
        optimizer.apply([ops.convert_to_tensor(g) for g in gradient], variables)
    return [ops.convert_to_numpy(variable) for variable in variables]


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    start = [rng.normal(size=(3, 4)).astype("float32"), rng.normal(size=4).astype("float32")]
    gradients = [[rng.normal(size=s.shape).astype("float32") for s in start] for _ in range(STEPS)]
    return start, gradients


def adam_by_hand(w, gradients, rate, l2, decoupled, betas=(0.9, 0.999), epsilon=1e-8):
    w = w.astype("float64")
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(gradients, 1):
        w = w * (1 - rate * decoupled)
        g = g + l2 * w
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g
        w = w - rate * (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + epsilon)
    return w


@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_adam_adds_l2_to_the_gradient_as_pytorch_does(problem, l2):
    start, gradients = problem
    found = run(optimizers.adam(learning_rate=0.01, l2=l2), start, gradients)
    for i in range(2):
        np.testing.assert_allclose(
            found[i], adam_by_hand(start[i], [g[i] for g in gradients], 0.01, l2, 0), rtol=2e-4, atol=2e-6
        )


@pytest.mark.parametrize("make", [optimizers.adam, lambda **options: optimizers.adamw(weight_decay=0.0, **options)])
def test_adams_epsilon_is_pytorchs(problem, make):
    """Seen only where gradients are as small as epsilon, as those of L2 alone are."""
    start, gradients = problem
    gradients = [[g * np.float32(1e-8) for g in step] for step in gradients]
    found = run(make(learning_rate=0.01), start, gradients)
    for i in range(2):
        expected = adam_by_hand(start[i], [g[i] for g in gradients], 0.01, 0, 0) - start[i]
        np.testing.assert_allclose(found[i] - start[i], expected, rtol=1e-3, atol=1e-6)


def test_adamw_shrinks_weights_apart_from_the_gradient(problem):
    start, gradients = problem
    found = run(optimizers.adamw(learning_rate=0.01, weight_decay=0.5), start, gradients)
    for i in range(2):
        np.testing.assert_allclose(
            found[i], adam_by_hand(start[i], [g[i] for g in gradients], 0.01, 0, 0.5), rtol=2e-4, atol=2e-6
        )


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_adams_other_options_count(problem, name):
    start, gradients = problem
    make = getattr(optimizers, name)
    found = run(make(learning_rate=0.01, beta_1=0.7, beta_2=0.95, epsilon=1e-3), start, gradients)
    decay = 0.01 if name == "adamw" else 0
    for i in range(2):
        expected = adam_by_hand(start[i], [g[i] for g in gradients], 0.01, 0, decay, (0.7, 0.95), 1e-3)
        np.testing.assert_allclose(found[i], expected, rtol=2e-4, atol=2e-6)


@pytest.mark.parametrize("nesterov", [True, False])
def test_sgd_with_l2_is_pytorchs(problem, nesterov):
    start, gradients = problem
    found = run(optimizers.sgd(learning_rate=0.1, momentum=0.8, nesterov=nesterov, l2=0.01), start, gradients)
    for i in range(2):
        w, velocity = start[i].astype("float64"), 0
        for g in gradients:
            g = g[i] + 0.01 * w
            velocity = 0.8 * velocity + g
            w = w - 0.1 * (g + 0.8 * velocity if nesterov else velocity)
        np.testing.assert_allclose(found[i], w, rtol=1e-4, atol=1e-6)


def test_lion_steps_by_the_sign(problem):
    start, gradients = problem
    found = run(optimizers.lion(learning_rate=0.01, weight_decay=0.1), start, gradients)
    for i in range(2):
        w, m = start[i].astype("float64"), np.zeros_like(start[i])
        for g in gradients:
            w = w * (1 - 0.01 * 0.1) - 0.01 * np.sign(0.9 * m + 0.1 * g[i])
            m = 0.99 * m + 0.01 * g[i]
        np.testing.assert_allclose(found[i], w, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("build", [optimizers.adam, optimizers.sgd], ids=["adam", "sgd"])
def test_one_dimensional_variables_can_be_spared(problem, build):
    start, gradients = problem
    plain = run(build(learning_rate=0.01), start, gradients)
    spared = run(build(learning_rate=0.01, l2=0.5, decay_norm_and_bias=False), start, gradients)
    assert not np.allclose(plain[0], spared[0])
    np.testing.assert_array_equal(plain[1], spared[1])


def test_decoupled_decay_can_spare_one_dimensional_variables_too(problem):
    start, gradients = problem
    plain = run(optimizers.adamw(learning_rate=0.01, weight_decay=0.0), start, gradients)
    spared = run(optimizers.adamw(learning_rate=0.01, weight_decay=0.5, decay_norm_and_bias=False), start, gradients)
    assert not np.allclose(plain[0], spared[0])
    np.testing.assert_array_equal(plain[1], spared[1])


def test_l2_comes_after_clipping(problem):
    start, _ = problem
    gradients = [[100 * np.ones_like(s) for s in start]]
    found = run(
        optimizers.sgd(learning_rate=1.0, momentum=0.0, nesterov=False, l2=0.1, clip_norm=1.0), start, gradients
    )
    norm = np.sqrt(sum((g**2).sum() for g in gradients[0]))
    for i in range(2):
        np.testing.assert_allclose(found[i], start[i] - (100 / norm + 0.1 * start[i]), rtol=1e-4, atol=1e-5)


def test_accumulated_gradients_are_averaged(problem):
    start, gradients = problem
    each = run(optimizers.sgd(learning_rate=0.1, accumulation_steps=2, l2=0.1), start, gradients[:4])
    means = [[(a + b) / 2 for a, b in zip(gradients[k], gradients[k + 1], strict=True)] for k in (0, 2)]
    whole = run(optimizers.sgd(learning_rate=0.1, l2=0.1), start, means)
    for i in range(2):
        np.testing.assert_allclose(each[i], whole[i], rtol=1e-5, atol=1e-6)


def test_muon_leaves_kernels_of_single_channels_to_the_descent(problem):
    """A depthwise kernel has one filter a channel, and no matrix to make orthogonal."""
    rng = np.random.default_rng(1)
    kernel, *gradients = (rng.normal(size=(3, 3, 8, 1)).astype("float32") for _ in range(STEPS + 1))
    optimizer = optimizers.muon(learning_rate=0.1, others_factor=0.5, others_momentum=0.85, l2=0.01)
    (moved,) = run(optimizer, [kernel], [[gradient] for gradient in gradients], names=("kernel",))
    expected = by_descent(kernel, gradients, [0.05] * STEPS, 0.85, 0.01)
    np.testing.assert_allclose(moved, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "lion", "muon"])
def test_gradients_are_clipped(problem, name):
    start, gradients = problem
    make = getattr(optimizers, name)
    cut = [[np.clip(one, -0.3, 0.3) for one in step] for step in gradients]
    norms = [np.sqrt(sum((one**2).sum() for one in step)) for step in gradients]
    scaled = [[one * min(1, 0.5 / norm) for one in step] for step, norm in zip(gradients, norms, strict=True)]
    for options, given in (({"clip_value": 0.3}, cut), ({"clip_norm": 0.5}, scaled)):
        for one, other in zip(run(make(**options), start, gradients), run(make(), start, given), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_two_ways_of_clipping_are_refused():
    with pytest.raises(ValueError, match="not both"):
        optimizers.adam(clip_norm=1.0, clip_value=1.0)


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("adam", "beta_1", 1.0),
        ("adamw", "beta_2", -0.1),
        ("adamw", "weight_decay", -1e-4),
        ("lion", "beta_2", 1.5),
        ("sgd", "momentum", 1.0),
        ("sgd", "l2", -1e-4),
        ("adam", "clip_norm", 0.0),
        ("muon", "clip_value", -1.0),
        ("muon", "others_momentum", 1.0),
    ],
)
def test_what_makes_no_sense_is_refused(name, option, value):
    with pytest.raises(ValueError, match=f"`{option}` must be (at least|greater than) 0"):
        getattr(optimizers, name)(**{option: value})


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "lion", "muon"])
@pytest.mark.parametrize("norm_and_bias", [True, False])
def test_a_factor_is_a_learning_rate_of_ones_own(problem, name, norm_and_bias):
    """Decoupled decay is the rate's too: a variable with a factor moves as if the optimizer had that rate."""
    start, gradients = problem
    decay = {"weight_decay": 0.1} if name in ("adamw", "lion") else {"l2": 0.1}
    make = getattr(optimizers, name)

    def trained(rate, factors):
        optimizer = make(learning_rate=rate, decay_norm_and_bias=norm_and_bias, **decay)
        optimizer.factors = factors
        return run(optimizer, start, gradients, names=("kernel", "bias"))

    both, slow, fast = trained(0.02, {"kernel": 0.25}), trained(0.005, {}), trained(0.02, {})
    np.testing.assert_allclose(both[0], slow[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(both[1], fast[1], rtol=1e-5, atol=1e-6)
    assert np.abs(both[0] - fast[0]).max() > 1e-3


# --- Muon, and the biases of norms ---


def by_descent(w, gradients, rate, momentum, l2):
    """PyTorch's SGD with Nesterov's momentum, whose buffer does not hold the rate."""
    w, buffer = w.astype("float64"), 0
    for g, r in zip(gradients, rate, strict=True):
        g = g + l2 * w
        buffer = momentum * buffer + g
        w = w - r * (g + momentum * buffer)
    return w


def newton_schulz(x, iterations):
    """The iteration as it is published, on a matrix (outputs, inputs)."""
    x = x / np.linalg.norm(x)
    for _ in range(iterations):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x


def by_muon(w, gradients, rate, momentum, iterations, normalize):
    """On a kernel as PyTorch has it, (outputs, inputs, h, w)."""
    w, buffer = w.transpose(3, 2, 0, 1).astype("float64"), 0
    for g, r in zip(gradients, rate, strict=True):
        g = g.transpose(3, 2, 0, 1).astype("float64")
        buffer = momentum * buffer + g
        step = newton_schulz((g + momentum * buffer).reshape(len(w), -1), iterations).reshape(w.shape)
        if normalize:
            w = w * (len(w) ** 0.5 / np.linalg.norm(w))
        w = w - r * step
    return w.transpose(2, 3, 1, 0)


@pytest.mark.parametrize("shape", [(3, 3, 4, 6), (1, 1, 3, 5)], ids=["more inputs", "more outputs"])
@pytest.mark.parametrize("normalize", [True, False])
def test_muon_is_that_of_its_authors(problem, shape, normalize):
    rng = np.random.default_rng(1)
    start, gradients = problem
    start = [rng.normal(size=shape).astype("float32"), *start]
    gradients = [[rng.normal(size=shape).astype("float32"), *step] for step in gradients]
    rates = LearningRateTable(np.linspace(0.3, 0.1, STEPS))
    optimizer = optimizers.muon(
        learning_rate=rates,
        momentum=0.7,
        iterations=4,
        normalize=normalize,
        others_factor=0.5,
        others_momentum=0.6,
        l2=0.01,
        norm_bias_factor=4.0,
    )
    kernel, dense, beta = run(optimizer, start, gradients, names=("kernel", "kernel2", "beta"))
    expected = by_muon(start[0], [g[0] for g in gradients], rates.rates, 0.7, 4, normalize)
    np.testing.assert_allclose(kernel, expected, rtol=1e-4, atol=1e-5)
    expected = by_descent(start[1], [g[1] for g in gradients], 0.5 * rates.rates, 0.6, 0.01)
    np.testing.assert_allclose(dense, expected, rtol=1e-5, atol=1e-5)
    expected = by_descent(start[2], [g[2] for g in gradients], 2.0 * rates.rates, 0.6, 0.0025)
    np.testing.assert_allclose(beta, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(40, 20), (20, 40), (30, 30)])
def test_what_is_made_orthogonal_keeps_its_directions(shape):
    """Singular vectors stay; singular values come from anywhere to between 0.5 and 1.5."""
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.normal(size=(side, 20)))[0] for side in shape)
    values = np.geomspace(1, 0.05, 20)
    found = ops.convert_to_numpy(orthogonal(ops.convert_to_tensor((left * values @ right.T).astype("float32")), 5))
    inner = left.T @ found @ right
    np.testing.assert_allclose(inner, np.diag(np.diag(inner)), atol=1e-4)
    assert (np.diag(inner) > 0.5).all()
    assert (np.diag(inner) < 1.5).all()


def test_a_matrix_of_zeros_stays_one():
    assert not ops.convert_to_numpy(orthogonal(ops.zeros((4, 3)), 3)).any()


def test_biases_of_norms_have_a_rate_of_their_own_and_keep_their_decay(problem):
    start, gradients = problem
    options = {"l2": 0.1, "momentum": 0.9}
    both = run(
        optimizers.sgd(learning_rate=0.01, norm_bias_factor=8.0, **options), start, gradients, names=("kernel", "beta")
    )
    slow = run(optimizers.sgd(learning_rate=0.01, **options), start, gradients)
    fast = run(optimizers.sgd(learning_rate=0.08, momentum=0.9, l2=0.1 / 8), start, gradients)
    np.testing.assert_allclose(both[0], slow[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(both[1], fast[1], rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="`norm_bias_factor` must be greater than 0"):
        optimizers.sgd(norm_bias_factor=0.0)
