"""KerasCV's RandAugment, AugMix and GridMask for the input pipeline: NumPy in, NumPy out, on any backend.

KerasCV computes them with TensorFlow, one image at a time (35 to 60 ms an image on 2 cores), whatever backend
trains. Here each image is drawn from its own position: all of KerasCV's sources of random numbers are set
anew before it. So a recipe gives the same images in any batch, in any order and on any backend, as long as
the versions of KerasCV and TensorFlow and the kind of machine stay the same: this is floating-point
arithmetic, not the integer arithmetic of the other augmentations.
"""

import importlib
import threading
import warnings

import numpy as np

from kcnn import random
from kcnn.augment import _check
from kcnn.backend import admit_tensorflow
from kcnn.errors import BackendError

# Batches are made ahead by several threads, and some sources of random numbers are those of the whole process.
_one_at_a_time = threading.Lock()


class KerasCvAugmentation:
    """One KerasCV layer, applied image by image in the input pipeline.

    Args:
        seed: Any integer.
        name: Layers with another name draw other numbers.

    Raises:
        BackendError: If KerasCV, or the TensorFlow that it computes with, is not installed.
    """

    in_pipeline = True

    def __init__(self, *, seed=0, name=None):
        self.seed = seed
        self.name = name or type(self).__name__
        self._cv = _import_keras_cv()
        tensorflow = importlib.import_module("tensorflow")
        # Parts that are made without a seed ask for it, and where operations are to be deterministic there is none.
        tensorflow.random.set_global_generator(tensorflow.random.Generator.from_seed(0))
        self._layer = self.make_layer(self._cv)
        self._sources = _Sources(self._cv, self._layer)

    def make_layer(self, keras_cv):
        """Return the KerasCV layer, made with a seed."""
        raise NotImplementedError(f"{type(self).__name__} does not implement `make_layer`.")

    def transform(self, images, position, *identity):
        """Return augmented images.

        Args:
            images: uint8 (B, H, W, 1 or 3).
            position: int32 (B,), the place of each image in the whole training.
            *identity: Which images they are, which does not matter here.
        """
        seeds = random.bits(random.key(self.seed, self.name), np.asarray(position, dtype="int32"))
        return np.stack([self._transform_one(*pair) for pair in zip(images, seeds, strict=True)])

    def _transform_one(self, image, seed):
        grey = image.shape[-1] == 1  # which some of KerasCV's operations do not take
        with _one_at_a_time:
            self._sources.reset(int(seed) & 0x7FFFFFFF)
            given = image.repeat(3, axis=-1) if grey else image
            changed = self._layer(given[None].astype("float32"), training=True)
            changed = np.asarray(_to_numpy(changed))[0, ..., : image.shape[-1]]
        return np.clip(np.rint(changed), 0, 255).astype("uint8")

    def get_config(self):
        return {"seed": self.seed, "name": self.name}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


class KerasCvRandAugment(KerasCvAugmentation):
    """KerasCV's RandAugment, in the input pipeline (slow; `rand_augment` is the fast one).

    Args:
        num_ops: Operations an image, 1 to 8.
        magnitude: Mean strength, 0 to 1.
        magnitude_stddev: Spread of the strength, 0 to 1.
        rate: The share of operations that are carried out, 0 to 1.
        geometric: Whether shears and translations take part.
    """

    def __init__(
        self,
        *,
        num_ops: int = 2,
        magnitude: float = 0.3,
        magnitude_stddev: float = 0.15,
        rate: float = 0.9,
        geometric: bool = True,
        seed=0,
        name=None,
    ):
        self.num_ops = _check.integer("num_ops", num_ops, 1, 8)
        self.magnitude = _check.number("magnitude", magnitude, 0, 1)
        self.magnitude_stddev = _check.number("magnitude_stddev", magnitude_stddev, 0, 1)
        self.rate = _check.number("rate", rate, 0, 1)
        self.geometric = bool(geometric)
        super().__init__(seed=seed, name=name)

    def make_layer(self, keras_cv):
        return keras_cv.layers.RandAugment(
            value_range=(0, 255),
            augmentations_per_image=self.num_ops,
            magnitude=self.magnitude,
            magnitude_stddev=self.magnitude_stddev,
            rate=self.rate,
            geometric=self.geometric,
            seed=1,
        )

    def get_config(self):
        names = ("num_ops", "magnitude", "magnitude_stddev", "rate", "geometric")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


class KerasCvAugMix(KerasCvAugmentation):
    """KerasCV's AugMix (Hendrycks et al. 2019), in the input pipeline.

    Args:
        severity: The largest strength of an operation, 0.01 to 1.
        num_chains: Chains of operations that are mixed, 1 to 8.
        alpha: Parameter of the distributions of the mixture, 0.01 to 100.
    """

    def __init__(self, *, severity: float = 0.3, num_chains: int = 3, alpha: float = 1.0, seed=0, name=None):
        self.severity = _check.number("severity", severity, 0.01, 1)
        self.num_chains = _check.integer("num_chains", num_chains, 1, 8)
        self.alpha = _check.number("alpha", alpha, 0.01, 100)
        super().__init__(seed=seed, name=name)

    def make_layer(self, keras_cv):
        return keras_cv.layers.AugMix(
            value_range=(0, 255),
            severity=self.severity,
            num_chains=self.num_chains,
            alpha=self.alpha,
            seed=1,
        )

    def get_config(self):
        names = ("severity", "num_chains", "alpha")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


class KerasCvGridMask(KerasCvAugmentation):
    """KerasCV's GridMask (Chen et al. 2020), in the input pipeline.

    Args:
        ratio: Largest side of the square that is hidden in each grid cell, as a share of the cell's, 0 to 1.
        rotation: Largest turn of the grid as a fraction of a full one, 0 to 1.
    """

    def __init__(self, *, ratio: float = 0.5, rotation: float = 0.15, seed=0, name=None):
        self.ratio = _check.number("ratio", ratio, 0, 1)
        self.rotation = _check.number("rotation", rotation, 0, 1)
        super().__init__(seed=seed, name=name)

    def make_layer(self, keras_cv):
        return keras_cv.layers.GridMask(ratio_factor=(0, self.ratio), rotation_factor=self.rotation, seed=1)

    def get_config(self):
        return {**super().get_config(), "ratio": self.ratio, "rotation": self.rotation}


class _Sources:
    """All that a KerasCV layer and the layers inside it draw from."""

    def __init__(self, keras_cv, layer):
        # On every backend: TensorFlow is what KerasCV computes with, and part of its interface.
        self._tensorflow = importlib.import_module("tensorflow")
        self._numpy = np.random.default_rng(0)
        self._generators = []
        self._take_over(keras_cv, layer, set())

    def reset(self, seed):
        """Set every source anew from `seed`, 0 to 2**31 - 1."""
        # AugMix draws its mixture from TensorFlow's global seed.
        self._tensorflow.random.set_seed(seed)
        self._numpy.bit_generator.state = np.random.PCG64(seed).state
        for number, generator in enumerate(self._generators):
            generator.reset_from_seed(random.key(seed, number)[0])

    def _take_over(self, keras_cv, part, seen):
        if id(part) in seen:
            return
        seen.add(id(part))
        for name, value in list(vars(part).items()):
            if isinstance(value, self._tensorflow.random.Generator):
                # Its own generator: parts made without a seed share the global one.
                setattr(part, name, self._tensorflow.random.Generator.from_seed(0))
                self._generators.append(getattr(part, name))
            elif isinstance(value, keras_cv.core.UniformFactorSampler | keras_cv.core.NormalFactorSampler):
                # With an integer seed the uniform sampler would return one and the same number for ever, and
                # its numbers depend on the backend.
                setattr(part, name, _sampler(keras_cv, value, self._numpy))
            else:
                for inner in value if isinstance(value, list | tuple) else (value,):
                    if type(inner).__module__.startswith("keras_cv.") and hasattr(inner, "__dict__"):
                        self._take_over(keras_cv, inner, seen)


def _sampler(keras_cv, original, generator):
    class Sampler(keras_cv.core.FactorSampler):
        def __call__(self, shape=(), dtype="float32"):
            if isinstance(original, keras_cv.core.NormalFactorSampler):
                drawn = generator.normal(original.mean, original.stddev, tuple(shape))
                drawn = np.clip(drawn, original.min_value, original.max_value)
            else:
                drawn = generator.uniform(original.lower, original.upper, tuple(shape))
            return np.asarray(drawn, dtype="float32").astype(dtype)

        def get_config(self):
            return original.get_config()

    return Sampler()


def _import_keras_cv():
    admit_tensorflow()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the last release of KerasCV, on a newer Python and Keras
            import keras_cv
    except ImportError as error:
        raise BackendError(
            "The keras_cv_* augmentations need KerasCV and TensorFlow, on every backend: "
            f"pip install 'kcnn[cv]' tensorflow. Received: {error}"
        ) from error
    return keras_cv


def _to_numpy(tensor):
    import keras

    return keras.ops.convert_to_numpy(tensor)
