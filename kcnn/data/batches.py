"""Batches as a pure function of their number, so that any step of any training can be made again."""

from collections.abc import Callable, Iterator

import numpy as np

from kcnn import random
from kcnn.data.dataset import Split
from kcnn.data.decode import cores
from kcnn.errors import DataError

PREFETCH = 16  # batches decoded ahead of the training, where images come from the disk


class _Batches:
    """What both kinds of batches share: `len(self)`, `self[number]`, and iteration from any number."""

    @property
    def in_memory(self) -> bool:
        """Whether no image has to be decoded for a batch."""
        return isinstance(self.split.images, np.ndarray)

    def iterate(self, start: int = 0) -> Iterator[tuple]:
        """Yield the batches from number `start` to the last; images on disk are decoded ahead by threads.

        Raises:
            DataError: If images come from the disk and grain is not installed.
        """
        if self.in_memory:
            return (self[number] for number in range(start, len(self)))
        if start >= len(self):
            return iter(())
        # A generator, since Keras knows that kind of iterator and not grain's.
        return (batch for batch in self._prefetched(start))

    def __iter__(self) -> Iterator[tuple]:
        return self.iterate()

    def _prefetched(self, start):
        try:
            import grain
        except ImportError as error:
            raise DataError(
                "Images that do not fit into memory are read through grain, which is not installed. "
                "Run pip install 'kcnn[data]', or raise data.memory_limit."
            ) from error
        options = grain.ReadOptions(num_threads=cores(), prefetch_buffer_size=PREFETCH)
        return grain.MapDataset.source(self)[start:].to_iter_dataset(options)

    def _inputs(self, indices, position):
        return {"pixels": self.split.images[indices], "position": position}

    def _one_hot(self, indices):
        return np.eye(self.num_classes, dtype="float32")[self.split.labels[indices]]


class TrainingBatches(_Batches):
    """Every batch of a training: `self[step]` is `(inputs, labels)` or `(inputs, labels, sample_weight)`.

    `inputs["pixels"]` is uint8 (b, H, W, C), `inputs["position"]` int32 (b,), the place of each image in the whole
    training (wrapped after 2**31); `labels` is float32 (b, K). The order of an epoch is a permutation that depends on
    seed and epoch alone, and its last batch holds what is left.

    Args:
        split: The training images.
        num_classes: K.
        batch_size: Images in a batch.
        seed: Of the order.
        epochs: How often each image is seen.
        transform: Called as `transform(pixels, position, images, epoch)` for augmentations outside of the graph;
            `images` int (b,) are the indices of the images in their split. Returns pixels.
        mix_labels: Called as `mix_labels(labels, position)` where an augmentation mixes images; returns labels.
        class_weights: float array (K,); a sample's weight is that of its (mixed) label.
    """

    def __init__(
        self,
        split: Split,
        num_classes: int,
        batch_size: int,
        seed: int,
        epochs: int,
        *,
        transform: Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray] | None = None,
        mix_labels: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
        class_weights: np.ndarray | None = None,
    ):
        self.split = split
        self.num_classes = num_classes
        self.batch_size = batch_size
        self.seed = seed
        self.epochs = epochs
        self.transform = transform
        self.mix_labels = mix_labels
        self.class_weights = None if class_weights is None else np.asarray(class_weights, "float32")
        self.steps_per_epoch = _count(split, batch_size)
        self._latest = None  # (epoch, its order): one tuple, so that threads see both or neither

    def __len__(self) -> int:
        return self.epochs * self.steps_per_epoch

    def __getitem__(self, step: int) -> tuple:
        if not 0 <= step < len(self):
            raise IndexError(f"`step` must be at least 0 and below {len(self)}. Received: step={step}")
        epoch, batch = divmod(int(step), self.steps_per_epoch)
        rows = np.arange(batch * self.batch_size, min((batch + 1) * self.batch_size, len(self.split)))
        indices = self.order(epoch)[rows]
        position = (rows + epoch * len(self.split)).astype("int32")
        labels = self._one_hot(indices)
        if self.mix_labels is not None:
            labels = self.mix_labels(labels, position)
        inputs = self._inputs(indices, position)
        if self.transform is not None:
            inputs["pixels"] = self.transform(inputs["pixels"], position, indices, epoch)
        if self.class_weights is None:
            return inputs, labels
        return inputs, labels, labels @ self.class_weights

    def order(self, epoch: int) -> np.ndarray:
        """Return the indices of the images in the order in which `epoch` sees them."""
        latest = self._latest
        if latest is None or latest[0] != epoch:
            latest = epoch, random.permutation(random.key(self.seed, "order", epoch), len(self.split))
            self._latest = latest
        return latest[1]


class EvaluationBatches(_Batches):
    """The images of a split once, in order: `self[number]` is `(inputs, labels)` as in training, all positions 0."""

    def __init__(self, split: Split, num_classes: int, batch_size: int):
        self.split = split
        self.num_classes = num_classes
        self.batch_size = batch_size

    def __len__(self) -> int:
        return _count(self.split, self.batch_size)

    def __getitem__(self, number: int) -> tuple:
        if not 0 <= number < len(self):
            raise IndexError(f"`number` must be at least 0 and below {len(self)}. Received: number={number}")
        start = int(number) * self.batch_size
        indices = np.arange(start, min(start + self.batch_size, len(self.split)))
        return self._inputs(indices, np.zeros(len(indices), "int32")), self._one_hot(indices)


def _count(split, batch_size):
    return (len(split) + batch_size - 1) // batch_size
