"""Counter-based random numbers: the same bits in NumPy, TensorFlow, PyTorch and JAX.

A draw is a function of its key and its counter, never of a state. The key comes from a seed and the name of
what is drawn; the counter of a training image is its position in the whole training, so that a run that goes
on from step 1000 sees what it would have seen, and so that no batch size, worker or framework changes a draw.

All arithmetic is in int32 that wraps. NumPy arrays stay NumPy arrays.
"""

import hashlib
import operator
from types import SimpleNamespace

import numpy as np

# What PyTorch and JAX compute with Python's operators, which cost a fraction of a call to `keras.ops`.
OPERATORS = SimpleNamespace(
    add=operator.add,
    multiply=operator.mul,
    less=operator.lt,
    bitwise_and=operator.and_,
    bitwise_xor=operator.xor,
    right_shift=operator.rshift,
)


def key(seed, *purpose):
    """Return the two int32 words that stand for `seed` and what is drawn.

    Args:
        seed: Any integer.
        *purpose: Strings and integers that name the draw, for instance `"flip", "horizontal"`.
    """
    text = "/".join(str(part) for part in (seed, *purpose))
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    first, second = np.frombuffer(digest, dtype="<i4")
    return int(first), int(second)


def bits(key, counter):
    """Return 32 random bits for each element of `counter`, as int32 of the same shape.

    Args:
        key: What `key()` returned.
        counter: int32 array or tensor of any shape.
    """
    xp = _namespace(counter)
    # Two keyed rounds: with one, two keys that differ in low bits would draw the same numbers in another order.
    hashed = _mix(xp, xp.add(counter, key[0]))
    return _mix(xp, xp.bitwise_xor(hashed, key[1]))


def fold(draw, counter):
    """Return fresh bits for each pair of a draw and a counter that broadcast against each other.

    With `draw = bits(key, position)[:, None]` and `counter = arange(n)` this is one number an image and element.
    """
    xp = _namespace(counter)
    # The odd constant (2**32 / golden ratio) spreads consecutive counters over the whole range first.
    spread = _mix(xp, xp.multiply(counter, -1640531527))
    xp = _namespace(draw)
    if xp is not np:
        from keras import ops

        spread = ops.convert_to_tensor(spread)
    return _mix(xp, xp.bitwise_xor(draw, spread))


def integers(draw, limit):
    """Map bits to integers in [0, limit); `limit` is at most 32767, its bias at most limit / 65536."""
    if not 1 <= limit <= 32767:
        raise ValueError(f"`limit` must be between 1 and 32767. Received: limit={limit}")
    xp = _namespace(draw)
    high = xp.bitwise_and(xp.right_shift(draw, 16), 0xFFFF)
    return xp.right_shift(xp.multiply(high, limit), 16)


def below(draw, probability):
    """Return a boolean that is true with `probability`, a float from 0 to 1, exact to 2**-24."""
    xp = _namespace(draw)
    return xp.less(_top24(xp, draw), round(probability * 2**24))


def uniform(draw):
    """Map bits to float32 in [0, 1), multiples of 2**-24."""
    xp = _namespace(draw)
    top = _top24(xp, draw)
    if xp is np:
        return top.astype("float32") * np.float32(2**-24)
    from keras import ops

    return ops.multiply(ops.cast(top, "float32"), np.float32(2**-24))


def permutation(key, count):
    """Return the numbers 0..count-1 in random order, as an int64 NumPy array."""
    return np.argsort(bits(key, np.arange(count, dtype="int32")), kind="stable")


def fraction(seed, *name):
    """Return a float in [0, 1) that depends on `seed` and the strings of `name` alone."""
    text = "/".join(str(part) for part in (seed, *name))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest(), "big") / 2**48


def _top24(xp, draw):
    return xp.bitwise_and(xp.right_shift(draw, 8), 0xFFFFFF)


def _mix(xp, x):
    # lowbias32 (Wellons 2018, github.com/skeeto/hash-prospector); the masks make the shift a logical one.
    x = xp.bitwise_xor(x, xp.bitwise_and(xp.right_shift(x, 16), 0xFFFF))
    x = xp.multiply(x, 0x7FEB352D)
    x = xp.bitwise_xor(x, xp.bitwise_and(xp.right_shift(x, 15), 0x1FFFF))
    x = xp.multiply(x, 0x846CA68B - 2**32)
    return xp.bitwise_xor(x, xp.bitwise_and(xp.right_shift(x, 16), 0xFFFF))


def _namespace(x):
    if isinstance(x, np.ndarray | np.integer):
        return np
    if hasattr(x, "__rshift__"):
        return OPERATORS
    from keras import ops

    return ops
