"""Architectures: a builder takes an image's shape and a number of classes and returns pixels to logits."""
