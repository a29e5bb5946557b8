"""Twice the files take about twice the time, from the listing to the fingerprint."""

import time

import pytest

from kcnn.data import loading
from kcnn.data.fingerprint import fingerprint
from kcnn.data.layout import arrange
from kcnn.data.leaks import check_leaks, find_copies

FEW, MANY = 4_000, 32_000
FACTOR = 3  # more than linear growth, for logarithms, caches and noise; quadratic would be 8


def work(count, classes):
    entries = [(f"train/{index % classes}/{index:06d}.png", index.to_bytes(8, "big")) for index in range(count)]
    entries += [(f"test/{index % classes}/{index:06d}.png", index.to_bytes(9, "big")) for index in range(count // 4)]
    begin = time.process_time()
    source = arrange(entries, "here", None)
    shares = loading._shares(source.splits, CONFIG, 0, ("train", "validation"))
    copies = find_copies(source.splits, "train")
    check_leaks(source.splits, copies)
    listings = loading._divide(source.splits, shares, copies, None)
    loading._class_names(source, listings, ("train", "validation"), None)
    fingerprint(listings)
    return time.process_time() - begin


class CONFIG:
    test = validation = 0.1


@pytest.mark.parametrize("share", [0, 1], ids=["ten classes", "hundreds of classes"])
def test_time_grows_linearly(share):
    few, many = (min(work(count, count // 20 if share else 10) for _ in range(3)) for count in (FEW, MANY))
    assert many < FACTOR * few * MANY / FEW
