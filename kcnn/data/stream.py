"""Images that are too many for memory: decoded when a batch asks for them."""

import numpy as np

from kcnn.data.decode import decode
from kcnn.data.listing import Listing


class StreamedImages:
    """Looks like a uint8 array (N, H, W, C) that is indexed with arrays of integers."""

    def __init__(self, listing: Listing, image_shape: tuple[int, int, int], resize: str):
        self.listing = listing
        self.image_shape = image_shape
        self.resize = resize

    def __len__(self) -> int:
        return len(self.listing)

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        """Return the images at `indices` as uint8 (n, H, W, C). Raises ImageError."""
        images = np.empty((len(indices), *self.image_shape), "uint8")
        for row, index in enumerate(indices):
            name = self.listing.location(index)
            images[row] = decode(self.listing.contents[index], self.image_shape, self.resize, name=name)
        return images
