"""The counter-based numbers: the same everywhere, and as random as their users need."""

import keras
import numpy as np
import pytest
from scipy import stats

from kcnn import random

COUNTER = np.arange(1 << 16, dtype="int32")
KEYS = [random.key(seed, "what") for seed in range(8)]
EDGES = np.array([0, 1, -1, 2**31 - 1, -(2**31), 12345, -98765], dtype="int32")


def unit(draw):
    """Return all 32 bits as a float in [0, 1)."""
    return draw.astype("int64").astype("uint32") / 2**32


def ones(bits):
    """Return the number of ones of each int32."""
    return np.unpackbits(np.ascontiguousarray(bits).view("uint8").reshape(-1, 4), axis=1).sum(axis=1)


# --- The same on NumPy and the backend ---


@pytest.mark.parametrize(
    "function",
    [
        lambda x: random.bits(KEYS[0], x),
        lambda x: random.fold(random.bits(KEYS[0], x)[:, None], np.arange(5, dtype="int32")[None]),
        lambda x: random.integers(random.bits(KEYS[1], x), 9),
        lambda x: random.integers(random.bits(KEYS[1], x), 32767),
        lambda x: random.below(random.bits(KEYS[2], x), 0.3),
        lambda x: random.uniform(random.bits(KEYS[3], x)),
    ],
    ids=["bits", "fold", "integers 9", "integers 32767", "below", "uniform"],
)
def test_numpy_and_the_backend_agree(function):
    counter = np.concatenate([EDGES, COUNTER[:4096]])
    expected = function(counter)
    found = function(keras.ops.convert_to_tensor(counter))
    assert isinstance(expected, np.ndarray)
    assert not isinstance(found, np.ndarray)
    found = keras.ops.convert_to_numpy(found)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_numbers_are_golden():
    # Written down once: another number here means that every recipe gives another result.
    assert random.key(0, "crop", "rows") == (1744647825, -874337523)
    assert random.bits((1, 2), EDGES).tolist() == [
        -889199728, -238177609, -787275391, -1451606499, 1430874055, 1982187033, 1504689110
    ]  # fmt: skip


def test_keys_differ_and_repeat():
    keys = {random.key(seed, name) for seed in range(100) for name in ("a", "b", "a/b")}
    assert len(keys) == 300
    assert random.key(3, "a", 7) == random.key(3, "a", 7)
    assert all(-(2**31) <= word < 2**31 for pair in keys for word in pair)


# --- Random enough ---


@pytest.mark.parametrize("key", KEYS[:4])
def test_every_byte_is_uniform(key):
    drawn = random.bits(key, COUNTER).view("uint8").reshape(-1, 4)
    for byte in drawn.T:
        assert stats.chisquare(np.bincount(byte, minlength=256)).pvalue > 1e-4


def test_no_two_counters_collide_under_one_key():
    # Each step of the mixer can be undone, so a key permutes the 2**32 counters.
    assert len(np.unique(random.bits(KEYS[0], COUNTER))) == len(COUNTER)


@pytest.mark.parametrize("lag", [1, 2, 7, 128, 50000])
def test_neighbouring_counters_are_uncorrelated(lag):
    drawn = unit(random.bits(KEYS[0], COUNTER))
    assert abs(np.corrcoef(drawn[:-lag], drawn[lag:])[0, 1]) < 4 / np.sqrt(len(COUNTER) - lag)


def test_neighbouring_keys_are_uncorrelated():
    # Keys as `key` makes them, and keys that differ in low bits. The second word is what keeps keys apart: two that
    # share it draw the same numbers in shifted order, which hashed keys do with a chance of 2**-32.
    pairs = [(KEYS[0], KEYS[1]), ((5, 9), (5, 8)), ((0, 0), (1, 1)), ((5, 9), (4, 8))]
    for first, second in pairs:
        a, b = unit(random.bits(first, COUNTER)), unit(random.bits(second, COUNTER))
        assert abs(np.corrcoef(a, b)[0, 1]) < 4 / np.sqrt(len(COUNTER))
        assert stats.kstest((a - b) % 1, "uniform").pvalue > 1e-4
        # Nor the same numbers in another order.
        assert len(np.intersect1d(a, b)) < 10


def test_avalanche():
    # Whichever bit of the counter is turned over, half of the bits of the draw follow.
    plain = random.bits(KEYS[0], COUNTER[:8192])
    for bit in range(32):
        turned = random.bits(KEYS[0], COUNTER[:8192] ^ np.array(1 << bit, dtype="int64").astype("int32"))
        changed = plain ^ turned
        assert ones(changed).mean() == pytest.approx(16, abs=0.2)
        each = [((changed >> place) & 1).mean() for place in range(32)]
        assert min(each) > 0.45
        assert max(each) < 0.55


def test_fold_is_uniform_along_both_axes():
    drawn = random.fold(random.bits(KEYS[0], COUNTER[:512])[:, None], np.arange(512, dtype="int32")[None])
    assert len(np.unique(drawn)) > drawn.size * 0.9999
    values = unit(drawn)
    assert stats.kstest(values.ravel(), "uniform").pvalue > 1e-4
    bound = 5 / np.sqrt(values.size)
    assert abs(np.corrcoef(values[:, :-1].ravel(), values[:, 1:].ravel())[0, 1]) < bound
    assert abs(np.corrcoef(values[:-1].ravel(), values[1:].ravel())[0, 1]) < bound


# --- What is made of the bits ---


@pytest.mark.parametrize("limit", [1, 2, 9, 1000])
def test_integers_are_uniform_and_in_range(limit):
    drawn = random.integers(random.bits(KEYS[0], COUNTER), limit)
    counts = np.bincount(drawn, minlength=limit)
    assert len(counts) == limit
    assert limit == 1 or stats.chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize("limit", [0, -1, 32768])
def test_integers_refuse_limits_that_overflow(limit):
    with pytest.raises(ValueError, match="`limit` must be between 1 and 32767"):
        random.integers(COUNTER, limit)


@pytest.mark.parametrize("probability", [0.0, 0.01, 0.5, 0.9, 1.0])
def test_below_has_its_probability(probability):
    hits = int(random.below(random.bits(KEYS[0], COUNTER), probability).sum())
    if probability in (0.0, 1.0):
        assert hits == probability * len(COUNTER)
    else:
        assert stats.binomtest(hits, len(COUNTER), probability).pvalue > 1e-4


def test_uniform_is_uniform():
    drawn = random.uniform(random.bits(KEYS[0], COUNTER))
    assert drawn.dtype == np.float32
    assert drawn.min() >= 0
    assert drawn.max() < 1
    assert stats.kstest(drawn, "uniform").pvalue > 1e-4
    assert random.uniform(np.array([-1], dtype="int32"))[0] == np.float32(1 - 2**-24)


def test_permutation_holds_each_number_once():
    for count in (0, 1, 2, 1000):
        np.testing.assert_array_equal(np.sort(random.permutation(KEYS[0], count)), np.arange(count))
    first, second = random.permutation(KEYS[0], 1000), random.permutation(KEYS[1], 1000)
    assert (first != second).any()
    assert abs(stats.spearmanr(first, np.arange(1000)).statistic) < 0.13
    assert abs(stats.spearmanr(first, second).statistic) < 0.13


def test_first_place_of_a_permutation_is_uniform():
    first = [random.permutation(random.key(seed, "order"), 10)[0] for seed in range(2000)]
    assert stats.chisquare(np.bincount(first, minlength=10)).pvalue > 1e-4


def test_fraction():
    drawn = [random.fraction(seed, "split") for seed in range(2000)]
    assert stats.kstest(drawn, "uniform").pvalue > 1e-4
    assert random.fraction(1, "a") == random.fraction(1, "a") != random.fraction(1, "b")
