"""The layer that all augmentations share: uint8 pixels in, uint8 pixels out, drawn from the position."""

import keras

from kcnn import random


class Augmentation(keras.layers.Layer):
    """Changes each image on its own while training and does nothing otherwise.

    The input is `images`, uint8 of shape (B, H, W, C), and `position`, int32 of shape (B,): the place of each
    image in the whole training. Subclasses implement `augment(images, position)` in integer arithmetic and
    draw through `draw`, so that the result is a function of the seed, the layer's name and the position.

    Args:
        seed: Any integer. Layers with another seed or another name draw other numbers.
    """

    def __init__(self, *, seed=0, **kwargs):
        # Integer dtype: Keras must cast nothing here, whatever the global policy is.
        super().__init__(**{"dtype": "uint8", **kwargs})
        self.seed = seed

    def call(self, images, position, training=False):
        return self.augment(images, position) if training else images

    def augment(self, images, position):
        """Return the augmented images, uint8 of the same shape."""
        raise NotImplementedError(f"{type(self).__name__} does not implement `augment`.")

    def draw(self, purpose, position):
        """Return 32 random bits an image for `purpose`, int32 (B,); NumPy in, NumPy out."""
        return random.bits(random.key(self.seed, self.name, purpose), position)

    def compute_output_spec(self, images, position, training=False):
        return keras.KerasTensor(images.shape, dtype="uint8")

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}
