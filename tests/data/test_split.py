"""Splits depend on names alone."""

import numpy as np
import pytest

from kcnn.data.split import hold_out, take
from kcnn.errors import DataError


def images(count, classes=("a", "b", "c")):
    names = [f"{label}/{index:04d}.png" for label in classes for index in range(count)]
    return names, [name[0] for name in names]


def held_names(names, labels, *arguments):
    return {name for name, held in zip(names, hold_out(names, labels, *arguments), strict=True) if held}


def test_same_split_in_any_order():
    names, labels = images(100)
    order = np.random.default_rng(0).permutation(len(names))
    shuffled = [names[i] for i in order], [labels[i] for i in order]
    assert held_names(names, labels, 0.2, 7, "validation") == held_names(*shuffled, 0.2, 7, "validation")


def test_adding_images_moves_nothing():
    few, many = images(100), images(150)
    before = held_names(*few, 0.2, 7, "validation")
    after = held_names(*many, 0.2, 7, "validation")
    assert after & set(few[0]) == before


def test_a_larger_fraction_holds_out_a_superset():
    names, labels = images(100)
    assert held_names(names, labels, 0.1, 7, "validation") < held_names(names, labels, 0.3, 7, "validation")


def test_seed_and_purpose_matter():
    names, labels = images(100)
    splits = [
        held_names(names, labels, 0.2, seed, purpose)
        for seed, purpose in ((0, "validation"), (1, "validation"), (0, "test"))
    ]
    assert len({frozenset(split) for split in splits}) == 3


def test_each_class_gives_its_share_to_within_sampling_error():
    names, labels = images(2000)
    held = hold_out(names, labels, 0.2, 3, "validation")
    for label in "abc":
        share = held[[index for index, other in enumerate(labels) if other == label]].mean()
        assert abs(share - 0.2) < 4 * (0.2 * 0.8 / 2000) ** 0.5


@pytest.mark.parametrize("fraction", [0.001, 0.5, 0.999])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_small_classes_lie_on_both_sides(fraction, count):
    names, labels = images(count)
    held = hold_out(names, labels, fraction, 0, "validation")
    for label in "abc":
        members = held[[index for index, other in enumerate(labels) if other == label]]
        assert members.any()
        assert not members.all()


@pytest.mark.parametrize("seed", range(20))
def test_enough_of_a_class_stays_for_the_next_division(seed):
    names, labels = images(3)
    held = hold_out(names, labels, 0.9, seed, "test", leave=2)
    assert [held[[label == other for other in labels]].sum() for label in "abc"] == [1, 1, 1]
    with pytest.raises(DataError, match="at least 4 images where test"):
        hold_out(names, labels, 0.9, seed, "test", leave=3)


def test_nothing_and_everything():
    names, labels = images(1)
    assert not hold_out(names, labels, 0, 0, "validation").any()
    assert hold_out(names, labels, 1.0, 0, "test").all()


def test_one_more_copy_never_holds_an_image_out():
    names, labels = images(50)
    before = held_names(names, labels, 0.3, 0, "test")
    for index in range(30):
        copy = f"a/copy{index}.png"
        held = hold_out([copy, *names], ["a", *labels], 0.3, 0, "test", same_as={names[0]: copy})
        assert held[0] == held[1]
        assert {name for name, out in zip(names, held[1:], strict=True) if out} | {names[0]} == before | {names[0]}
        assert names[0] in before or not held[0]


def test_class_with_one_image_is_named():
    with pytest.raises(DataError, match=r"at least 2 images.*'lonely'.*data\.validation = 0"):
        hold_out(["a/1", "a/2", "lonely/1"], ["a", "a", "lonely"], 0.5, 0, "validation")


def test_limit_is_nested_and_stratified():
    names, labels = images(100)
    labels = ["rare" if index < 5 else label for index, label in enumerate(labels)]
    previous = set()
    for limit in range(4, len(names) + 20):
        taken = take(names, labels, limit, 0)
        assert len(taken) == min(limit, len(names))
        assert (np.diff(taken) > 0).all()
        assert previous <= set(taken)
        previous = set(taken)
        for label in set(labels):
            share = labels.count(label) / len(names)
            assert abs(sum(labels[index] == label for index in taken) - share * len(taken)) <= 2


def test_limit_ignores_order():
    names, labels = images(50)
    order = np.random.default_rng(1).permutation(len(names))
    shuffled = [names[i] for i in order]
    taken = {shuffled[index] for index in take(shuffled, [labels[i] for i in order], 30, 0)}
    assert taken == {names[index] for index in take(names, labels, 30, 0)}


def test_limit_below_the_number_of_classes():
    with pytest.raises(DataError, match="at least the number of classes, 3"):
        take(*images(10), 2, 0)
