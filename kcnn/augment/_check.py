"""Checks of an augmentation's arguments, each with a message that says what was expected."""


def number(name, value, low, high):
    """Return `value` as a float; raise `ValueError` unless it is a number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"`{name}` must be a number from {low} to {high}. Received: {name}={value!r}")
    return float(value)


def boolean(name, value):
    """Return `value`; raise `ValueError` unless it is true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"`{name}` must be true or false. Received: {name}={value!r}")
    return value


def integer(name, value, low, high):
    """Return `value`; raise `ValueError` unless it is an integer from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"`{name}` must be an integer from {low} to {high}. Received: {name}={value!r}")
    return value


def interval(name, value, low, high):
    """Return `value` as a pair of floats; raise `ValueError` unless low <= first <= second <= high."""
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in value)
    if len(value) != 2 or not numbers or not low <= value[0] <= value[1] <= high:
        raise ValueError(
            f"`{name}` must be two numbers, smaller first, from {low} to {high}. Received: {name}={value!r}"
        )
    return (float(value[0]), float(value[1]))


def choice(name, value, known):
    """Return `value`; raise `ValueError` unless it is one of `known`."""
    if value not in known:
        raise ValueError(f"`{name}` must be one of {', '.join(map(repr, known))}. Received: {name}={value!r}")
    return value
