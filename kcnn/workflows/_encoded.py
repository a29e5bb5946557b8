"""How close a file that decodes images by itself comes to `kcnn.data.decode`."""

import io
import math

import numpy as np
from PIL import Image

from kcnn.data.decode import decode
from kcnn.metrics.agreement import largest_difference

FILES = 32  # images as they were found
ENLARGED = ((2.6, 1.7), (1.3, 3.1), (8.5, 8.5))  # width and height, in those of the model; a large one is halved first
LARGEST = 2**24  # pixels that an image is enlarged to, unless the model's own are more
QUALITY = 90
STARTS = (b"\xff\xd8", b"\x89PNG")  # of a JPEG and a PNG
ORIENTATION = 0x0112


def samples(found, folder):
    """Return the paths of encoded images: some of the files themselves, and JPEGs of other sizes made of them.

    Files in another format, such as WebP, those that EXIF turns, and such as are not RGB or grey are left out.

    Args:
        found: `CertifiedImages`.
        folder: To write to.
    """
    folder.mkdir()
    paths = []
    for position in range(min(FILES, len(found.images))):
        original = found.original(position)
        if original and original.startswith(STARTS) and _is_plain(original):
            paths.append(folder / f"file-{position}")
            paths[-1].write_bytes(original)
    for position, factors in enumerate(ENLARGED * (FILES // len(ENLARGED))):
        pixels = found.images[position % len(found.images)]
        image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
        room = max(math.sqrt(LARGEST / (image.width * image.height)), 1)
        size = [max(round(side * min(factor, room)), 2) for side, factor in zip(image.size, factors, strict=True)]
        paths.append(folder / f"enlarged-{position}")
        image.resize(size, Image.Resampling.BICUBIC).save(paths[-1], "JPEG", quality=QUALITY)
    return paths


def decoded(paths, image_shape, resize):
    """Return uint8 (N, H, W, C), what kcnn decodes."""
    return np.stack([decode(path, tuple(image_shape), resize) for path in paths])


def compare(paths, pixels, theirs, probabilities):
    """Return how close a file comes, as plain numbers.

    Args:
        paths: What `samples` returned.
        pixels, probabilities: Of kcnn and the trained model.
        theirs: `pixels` and `probabilities` of the file, and `of_pixels`, its probabilities of these pixels.
    """
    apart = np.abs(pixels.astype("int16") - theirs["pixels"])
    own = sum(path.name.startswith("file") for path in paths)
    return {
        "files": own,
        "enlarged": len(paths) - own,
        "largest": int(apart.max()),
        "mean": float(apart.mean()),
        "equal": float((apart == 0).mean()),
        "between": largest_difference(theirs["of_pixels"], theirs["probabilities"]),
        "probability": largest_difference(probabilities, theirs["probabilities"]),
        "top1": float((probabilities.argmax(axis=1) == theirs["probabilities"].argmax(axis=1)).mean()),
    }


def _is_plain(content):
    with Image.open(io.BytesIO(content)) as image:
        return image.getexif().get(ORIENTATION, 1) == 1 and image.mode in ("L", "RGB", "RGBA", "LA", "P")
