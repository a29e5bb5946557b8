"""95 % confidence intervals of accuracies."""

import numpy as np

Z_95 = 1.959963984540054  # the normal distribution's 97.5 % quantile


def wilson(correct, count):
    """Return the 95 % interval of a proportion (Wilson 1927), which stays within 0 and 1.

    Args:
        correct, count: How many of how many, count above 0; an effective count need not be whole.
    """
    share = correct / count
    centre = (share + Z_95**2 / (2 * count)) / (1 + Z_95**2 / count)
    half = Z_95 / (1 + Z_95**2 / count) * np.sqrt(share * (1 - share) / count + Z_95**2 / (4 * count**2))
    return max(float(centre - half), 0.0), min(float(centre + half), 1.0)


def balanced(correct, support):
    """Return the mean recall of the classes that have images, and its 95 % interval.

    The interval is Wilson's for as many images as would give the mean recall its variance if all were of one class,
    as surveys do with strata (Kott & Carr 1997). A bootstrap agrees with it where it knows a variance at all; it
    knows none where every image is right.

    Args:
        correct, support: Arrays (K,), how many of how many images of each class; at least one class has images.

    Returns:
        (mean, low, high), each from 0 to 1.
    """
    correct, support = (np.asarray(values, "float64")[np.asarray(support) > 0] for values in (correct, support))
    recalls = correct / support
    mean = float(recalls.mean())
    # A class of few images that are all right, or all wrong, would seem to have no variance: each is taken with one
    # image more, of the mean of all classes. A single image tells none; the mean stands in.
    drawn = (correct + mean) / (support + 1)
    own = np.where(support > 1, drawn * (1 - drawn), mean * (1 - mean)) / np.maximum(support - 1, 1)
    variance = float(own.sum()) / len(support) ** 2
    equal = len(support) ** 2 / float((1 / support).sum())  # where all recalls are alike
    count = mean * (1 - mean) / variance if variance > 0 else equal
    return mean, *wilson(mean * count, count)
