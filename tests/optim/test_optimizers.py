"""Against hand-written NumPy versions of the published updates."""

import keras
import numpy as np
import pytest
from keras import ops

from kcnn.optim import optimizers

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


def adam_by_hand(w, gradients, rate, l2, decoupled):
    w = w.astype("float64")
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(gradients, 1):
        w = w * (1 - rate * decoupled)
        g = g + l2 * w
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        w = w - rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
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


def test_sgd_with_nesterov_and_l2_is_pytorchs(problem):
    start, gradients = problem
    found = run(optimizers.sgd(learning_rate=0.1, momentum=0.9, l2=0.01), start, gradients)
    for i in range(2):
        w, velocity = start[i].astype("float64"), 0
        for g in gradients:
            g = g[i] + 0.01 * w
            velocity = 0.9 * velocity + g
            w = w - 0.1 * (g + 0.9 * velocity)
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


def test_two_ways_of_clipping_are_refused():
    with pytest.raises(ValueError, match="not both"):
        optimizers.adam(clip_norm=1.0, clip_value=1.0)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "lion"])
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
