import math

import numpy as np
import pytest
from keras import ops

from kcnn.optim.schedules import LearningRateTable, constant, cosine, step, triangular


def test_cosine_per_epoch_is_pytorchs_cosine_annealing_stepped_once_an_epoch():
    factors = cosine(50, 7, per="epoch")
    for epoch in range(50):
        expected = 0.5 * (1 + math.cos(math.pi * epoch / 50))
        np.testing.assert_allclose(factors[epoch * 7 : epoch * 7 + 7], expected, rtol=1e-12)


def test_cosine_per_step_falls_from_one_towards_its_end():
    factors = cosine(4, 100, final=0.1)
    assert factors[0] == 1
    assert (np.diff(factors) < 0).all()
    assert 0.1 < factors[-1] < 0.1001


def test_warm_up_rises_to_the_peak_and_then_the_schedule_begins():
    factors = cosine(10, 10, warmup_epochs=2)
    np.testing.assert_allclose(factors[:20], (np.arange(20) + 1) / 20)
    assert factors[20] == 1
    assert factors.argmax() in (19, 20)
    assert len(factors) == 100


def test_a_warm_up_may_take_every_step():
    factors = cosine(1, 4, warmup_epochs=0.9)
    assert factors.tolist() == pytest.approx([0.25, 0.5, 0.75, 1.0])


def test_step_falls_at_its_milestones():
    factors = step(6, 2, milestones=[2, 4], gamma=0.1)
    np.testing.assert_allclose(factors, [1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.01])


def test_other_schedules_warm_up_too():
    np.testing.assert_allclose(constant(3, 2, warmup_epochs=1), [0.5, 1, 1, 1, 1, 1])
    factors = step(4, 2, milestones=[2], warmup_epochs=1)
    np.testing.assert_allclose(factors, [0.5, 1, 1, 1, 0.1, 0.1, 0.1, 0.1])


def test_constant_is_constant():
    assert (constant(3, 5) == 1).all()


@pytest.mark.parametrize(("peak", "top"), [(0.25, 10), (0.0, 0), (0.999, 39)])
def test_triangular_is_two_lines(peak, top):
    factors = triangular(4, 10, peak=peak, start=0.2, final=0.1)
    assert len(factors) == 40
    expected = [1 + 0.8 * (n - top) / top if n < top else 1 - 0.9 * (n - top) / (40 - top) for n in range(40)]
    np.testing.assert_allclose(factors, expected, rtol=1e-12)
    assert factors.argmax() == top
    assert factors[top] == 1


@pytest.mark.parametrize("peak", [-0.1, 1.0])
def test_a_triangle_whose_peak_is_outside_is_refused(peak):
    with pytest.raises(ValueError, match="`peak` must be at least 0 and less than 1"):
        triangular(4, 10, peak=peak)


@pytest.mark.parametrize("warmup", [-1, 5, 6.5])
def test_a_warm_up_that_never_ends_is_refused(warmup):
    with pytest.raises(ValueError, match="never reaches its peak"):
        cosine(5, 10, warmup_epochs=warmup)


def test_the_table_gives_each_step_its_rate_and_holds_the_last():
    table = LearningRateTable([0.1, 0.2, 0.3])
    rates = [float(ops.convert_to_numpy(table(ops.convert_to_tensor(n, "int32")))) for n in range(5)]
    np.testing.assert_allclose(rates, [0.1, 0.2, 0.3, 0.3, 0.3], rtol=1e-6)
