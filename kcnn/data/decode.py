"""The one way from an encoded image to an array of pixels, for fit, evaluate and predict alike."""

import contextlib
import io
import logging
import os
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from kcnn.data import content
from kcnn.data.helpers import Helpers
from kcnn.errors import ImageError, KcnnError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
EXTENSIONS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
MAX_PIXELS = 89_478_485  # a quarter of a GiB of RGB; the number at which Pillow begins to warn
MIN_SIDE = 2
RESIZES = ("crop", "pad", "stretch")
CHUNK = 128  # images that a thread decodes before it reports, or fewer
CHUNK_BYTES = 2**23  # where their pixels are more than this
WORTH_A_HELPER = 2000  # images; a process more starts in the time in which one decodes these, if they are tiny

# Transparent pictures are mostly drawn for white pages: on black their dark lines would vanish.
BACKGROUND = (255, 255, 255, 255)

ORIENTATION_TAG = 0x0112
PNG_ORIENTATIONS = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")  # without these a PNG says none
ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = (5, 6, 7, 8)

# Without a handler Python would print what Pillow logs about damaged files to stderr.
logging.getLogger("PIL").addHandler(logging.NullHandler())


def decode(
    source: str | Path | bytes | BinaryIO | np.ndarray,
    image_shape: tuple[int, int, int],
    resize: str = "crop",
    *,
    name: str | None = None,
) -> np.ndarray:
    """Return one image as a uint8 array of `image_shape`.

    EXIF orientation is obeyed, transparency is laid on white, 16-bit greys are divided by 256, floats are read as
    0..1 (or 0..255 where any exceeds 1), animations give their first frame. An image that has the wanted size
    is not resampled.

    Args:
        source: A path, encoded bytes, a file object, or a uint8 array (H, W) or (H, W, C) of pixels.
        image_shape: (height, width, channels), channels being 1 (luma, ITU-R 601) or 3 (RGB).
        resize: "crop" scales the shorter side and cuts the centre, "pad" scales the longer side and centres on
            black, "stretch" scales each side by itself. All are bilinear with antialiasing.
        name: What the image is called in errors; by default its path.

    Raises:
        ImageError: If the image cannot be read, or is too large or too small.
    """
    if resize not in RESIZES:
        raise ValueError(f"`resize` must be one of {', '.join(RESIZES)}. Received: resize={resize!r}")
    try:
        return read_pixels(source, image_shape, resize)
    except ImageError as error:
        default = source if isinstance(source, str | Path) else getattr(source, "name", "the image")
        raise ImageError(f"Cannot read {name or default}: {error}.") from error


def decode_many(
    contents: Sequence,
    image_shape: tuple[int, int, int],
    resize: str,
    *,
    out: np.ndarray | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[tuple[int, str]]:
    """Decode every image on all cores; return (index, reason) of each one that cannot be read.

    Args:
        contents: What `decode` takes, or `Extent`s.
        out: uint8 array (N, H, W, C) to write to; None only tries the images.
        progress: Called with the number of images that are done.
    """

    with Decoders(len(contents)) as decoders:
        return decoders.decode(contents, image_shape, resize, out=out, progress=progress)


class Decoders:
    """All cores, which decode one lot of images after another while the block lasts.

    Pillow frees the GIL while it decodes, so threads are enough for few or large images; helpers decode where there
    are many. Forking under TensorFlow or JAX is not safe.

    Args:
        expected: How many images there will be; None where nobody knows, and helpers start once many have come.
    """

    def __init__(self, expected: int | None):
        self._expected, self._come = expected or 0, 0
        self._helpers = Helpers(self._worth())

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.enter_context(_pillow_warnings)
            stack.enter_context(self._helpers)
            self._pool = stack.enter_context(ThreadPoolExecutor(cores()))
            self._opened = stack.pop_all()
        return self

    def __exit__(self, *exception):
        self._pool.shutdown(cancel_futures=True)
        self._opened.close()

    def decode(
        self,
        contents: Sequence,
        image_shape: tuple[int, int, int],
        resize: str,
        *,
        out: np.ndarray | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> list[tuple[int, str]]:
        """Do what `decode_many` does."""
        if out is not None and len(out) != len(contents):  # else a helper and its reader wait for each other
            raise ValueError(f"`out` must have one row an image. Received: {len(out)} rows, {len(contents)} images")
        self._come += len(contents)
        self._helpers.grow(self._worth())
        share = -(-len(contents) // cores())
        chunk = max(min(CHUNK, CHUNK_BYTES // int(np.prod(image_shape)), share), 1)

        def work(start):
            part = slice(start, start + chunk)
            bad = self._helpers.decode_some(contents[part], image_shape, resize, None if out is None else out[part])
            return [(start + index, reason) for index, reason in bad]

        failed = []
        for done, bad in enumerate(self._pool.map(work, range(0, len(contents), chunk)), 1):
            failed += bad
            if progress:
                progress(min(done * chunk, len(contents)))
        return failed

    def _worth(self):
        return min(max(self._expected, self._come) // WORTH_A_HELPER, cores() - 1)


def decode_some(
    contents: Sequence, image_shape: tuple[int, int, int], resize: str, out: np.ndarray | None
) -> list[tuple[int, str]]:
    """Do what `decode_many` does in this thread alone."""
    bad = []
    with _pillow_warnings:
        for index, source in enumerate(contents):
            try:
                pixels = read_pixels(source, image_shape, resize)
            except ImageError as error:
                bad.append((index, str(error)))
                continue
            if out is not None:
                out[index] = pixels
    return bad


def read_pixels(source, image_shape, resize):
    """Do the work of `decode`, with an `ImageError` that holds the reason alone."""
    height, width, channels = image_shape
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8:
            raise ValueError(f"Pixels must be uint8, 0..255. Received: dtype={source.dtype}")
        if source.shape == tuple(image_shape):
            return source
        image = Image.fromarray(source[..., 0] if source.shape[2:] == (1,) else source)
        return _as_array(_fit(_to_mode(image, channels), width, height, resize), channels)
    with _reasons:
        image = _open(_read(source))
        # JPEG decodes to 1/2, 1/4 or 1/8 in its own transform, 1.7 times as fast for 640x480 to 64x64. Twice the size
        # that is needed leaves the last step to the antialiased filter.
        side = 2 * max(width, height)
        if min(image.size) >= 2 * side:
            image.draft(None, (side, side))
        image.load()
        image = _upright(image)
        image = _fit(_to_mode(image, channels), width, height, resize)
    return _as_array(image, channels)


def peek(source, most_pixels: int = MAX_PIXELS) -> tuple[int, int, bool]:
    """Return (height, width, is it grey) of one image, mostly from its header.

    Raises:
        ImageError: It cannot be read, or has more than `most_pixels`, which is found before anything is decoded.
    """
    if isinstance(source, np.ndarray):
        return *source.shape[:2], source.shape[2:] in ((), (1,))
    with _reasons:
        data = _read(source)
        image = _open(data, most_pixels)
        width, height = image.size
        # Pillow turns TIFF by itself, and its size is already that of the turned image. A PNG it would decode to look
        # for what most have not.
        known = image.format == "TIFF" or (image.format == "PNG" and not any(word in data for word in PNG_ORIENTATIONS))
        if not known and _orientation(image) in SIDEWAYS:
            width, height = height, width
        return height, width, _is_grey(image)


def is_image(name: str) -> bool:
    """Return whether the name ends like an image that kcnn reads."""
    return name.lower().endswith(EXTENSIONS)


def cores() -> int:
    """Return how many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _read(source):
    if isinstance(source, Path):
        source = str(source)
    data = source.read() if hasattr(source, "read") else content.read(source)
    if not data:
        raise ImageError("the file is empty")
    return data


def _open(data, most_pixels=MAX_PIXELS):
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        _check_size(_size_of_bomb(data), most_pixels)
        raise
    _check_size(image.size, most_pixels)
    return image


def _size_of_bomb(data):
    # Image.open refuses to say what size it refuses.
    for name in FORMATS:
        factory, accept = Image.OPEN[name]
        if accept and accept(data[:16]) is True:
            return factory(io.BytesIO(data), "").size
    return MAX_PIXELS, MAX_PIXELS


def _check_size(size, most_pixels):
    width, height = size
    if width * height > most_pixels:
        raise ImageError(f"{width} x {height} pixels are more than the {most_pixels:,} that are decoded")
    if min(size) < MIN_SIDE:
        raise ImageError(f"{width} x {height} pixels are fewer than {MIN_SIDE} x {MIN_SIDE}")


def _orientation(image):
    try:
        return image.getexif().get(ORIENTATION_TAG, 1)
    except Exception:  # damaged EXIF says nothing about the pixels
        return 1


def _upright(image):
    orientation = _orientation(image)
    return image.transpose(ORIENTATIONS[orientation]) if orientation in ORIENTATIONS else image


def _is_grey(image):
    if image.mode == "P":
        entries = np.array(image.getpalette("RGB"), "uint8").reshape(-1, 3)
        return bool((entries == entries[:, :1]).all())
    return image.mode in ("1", "L", "LA", "La", "I", "F") or image.mode.startswith("I;16")


def _to_mode(image, channels):
    mode = "L" if channels == 1 else "RGB"
    if image.mode.startswith("I") or image.mode == "F":
        image = _to_eight_bits(image)
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, BACKGROUND), image)
    return image if image.mode == mode else image.convert(mode)


def _to_eight_bits(image):
    values = np.asarray(image)
    if image.mode == "F":
        values = np.nan_to_num(values, posinf=0, neginf=0)
        values = values * 255 if values.max() <= 1 else values
        values = values.clip(0, 255).round()
    elif values.min() < 0 or values.max() > 65535:
        raise ImageError("it has values that 16 bits do not hold")
    else:
        values = values >> 8  # Pillow's own conversion would clip at 255
    return Image.fromarray(values.astype("uint8"))


def _fit(image, width, height, resize):
    if image.size == (width, height):
        return image
    old_width, old_height = image.size
    box = (0, 0, old_width, old_height)
    size = (width, height)
    if resize == "crop":
        scale = max(width / old_width, height / old_height)
        left = (old_width - width / scale) / 2
        top = (old_height - height / scale) / 2
        box = (max(left, 0), max(top, 0), min(old_width - left, old_width), min(old_height - top, old_height))
    elif resize == "pad":
        scale = min(width / old_width, height / old_height)
        size = (max(round(old_width * scale), 1), max(round(old_height * scale), 1))
    image = image.resize(size, Image.Resampling.BILINEAR, box=box)
    if size == (width, height):
        return image
    canvas = Image.new(image.mode, (width, height))
    canvas.paste(image, ((width - size[0]) // 2, (height - size[1]) // 2))
    return canvas


def _as_array(image, channels):
    array = np.asarray(image)
    return array[..., None] if channels == 1 else array


class _Reasons:
    """Turns whatever reading an image raises into an `ImageError` that says why."""

    def __enter__(self):
        _pillow_warnings.__enter__()

    def __exit__(self, kind, error, traceback):
        _pillow_warnings.__exit__()
        if error is None or isinstance(error, KcnnError | MemoryError) or not isinstance(error, Exception):
            return
        raise ImageError(_reason(error)) from error


def _reason(error):
    if isinstance(error, UnidentifiedImageError):
        return f"its content is not that of a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} image"
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if isinstance(error, OSError) and error.errno:  # of the system, where Pillow's own have none
        return f"it cannot be read ({error.strerror})"
    # damaged files make Pillow raise nearly anything
    return f"it is damaged or cut short ({str(error) or type(error).__name__})"


class _QuietPillow(contextlib.ContextDecorator):
    """Ignore Pillow's warnings while any thread decodes.

    `warnings.catch_warnings` changes the whole process, so threads that each entered it would restore one another's
    filters: the first one in changes them, the last one out restores them.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._users = 0

    def __enter__(self):
        with self._lock:
            if self._users == 0:
                self._saved = warnings.catch_warnings()
                self._saved.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL(\.|$)")
            self._users += 1

    def __exit__(self, *exception):
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._saved.__exit__(*exception)


_pillow_warnings = _QuietPillow()
_reasons = _Reasons()
