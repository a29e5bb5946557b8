"""Plain values for JSON, which has no NaN and no infinity."""

import math


def finite(value):
    """Return a tree of dicts, lists and plain values with None for each number that is not finite."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
