"""Merge neighbouring augmentations that only move whole pixels, so that they cost one gather together."""

import itertools

import keras

from kcnn.augment._index_map import IndexMap, gather


@keras.saving.register_keras_serializable(package="kcnn")
class FusedIndexMap(IndexMap):
    """Several index maps applied as one; the result is exactly that of the layers one after the other.

    Args:
        layers: `IndexMap` layers in order. Each keeps its seed and name, so its draws stay what they were.
    """

    def __init__(self, layers, **kwargs):
        super().__init__(**kwargs)
        self.layers = [
            layer if isinstance(layer, IndexMap) else keras.saving.deserialize_keras_object(layer) for layer in layers
        ]

    def build(self, *input_shapes):
        for layer in self.layers:
            layer.built = True

    @property
    def leaves_black(self):
        return any(layer.leaves_black for layer in self.layers)

    def augment(self, images, position):
        return gather(images, position, self.layers)

    def get_config(self):
        layers = [keras.saving.serialize_keras_object(layer) for layer in self.layers]
        return {**super().get_config(), "layers": layers}


def fuse(layers):
    """Return `layers` with each run of neighbouring index maps replaced by one `FusedIndexMap`.

    Args:
        layers: Augmentation layers in the order in which they are applied.
    """
    fused = []
    for is_map, group in itertools.groupby(layers, lambda layer: isinstance(layer, IndexMap)):
        run = list(group)
        if is_map and len(run) > 1:
            run = [FusedIndexMap(run, name="_".join(layer.name for layer in run))]
        fused += run
    return fused
