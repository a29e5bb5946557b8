"""Images out of a request: multipart, JSON with base64, or one image by itself."""

import base64
import binascii
import contextlib
import threading
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, FailFast, ValidationError
from starlette.exceptions import HTTPException

from kcnn.data.decode import peek, read_pixels
from kcnn.errors import ImageError
from kcnn.serving.refused import Refused

NAME = 200  # letters of a name that are given back
COMMAS = 1000  # that an element of a body in JSON may hold: a name may, base64 does not
LARGE = 25_000_000  # pixels, as few cameras have; of images above, one is decoded at a time: it is held several times
_one_large = threading.Lock()


@dataclass(frozen=True)
class Received:
    """One image as it came: its name, and its bytes, or their base64."""

    name: str
    data: bytes | str


class Named(BaseModel):
    """An image in JSON that has a name."""

    model_config = ConfigDict(extra="forbid")

    data: str
    name: str | None = None


class Images(BaseModel):
    """The body of a request in JSON: each image in base64, or as a data URL."""

    model_config = ConfigDict(extra="forbid")

    # Without the first a large body would give two errors for each wrong element, of which one is told.
    images: Annotated[list[str | Named], FailFast()]


async def images_of(request, limits):
    """Return the `Received` images of a Starlette request; at least one.

    Raises:
        Refused: It holds none, or too many, or is of a type or a form that is not understood.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        found = await _of_form(request, limits)
    elif kind == "application/json":
        found = _of_json(await request.body(), limits)
    elif kind.startswith("image/") or kind == "application/octet-stream":
        found = [Received("image", await request.body())]
    else:
        raise Refused(
            415,
            "type",
            "Expected multipart/form-data, application/json, or an image's own type such as image/jpeg. "
            f"Received: {kind[:NAME] or 'no Content-Type'}",
        )
    if not found:
        raise Refused(400, "form", "The request holds no image.")
    return found


async def _of_form(request, limits):
    try:
        async with request.form(max_files=limits.images, max_fields=limits.images) as form:
            parts = [part for _, part in form.multi_items()]
            if any(isinstance(part, str) for part in parts):
                raise Refused(400, "form", "Expected files alone in the form: each part needs a filename.")
            return [Received(_name(part.filename, number), await part.read()) for number, part in enumerate(parts, 1)]
    except HTTPException as error:
        if str(error.detail).startswith("Too many files"):  # at which Starlette stops, and tells it in words alone
            raise _too_many(limits) from error
        raise
    except UnicodeError as error:  # of a charset such as "undefined", which Python knows and cannot read
        raise Refused(400, "form", "The form's charset cannot be read. Expected UTF-8.") from error


def _of_json(body, limits):
    if body.count(b",") > COMMAS * limits.images:  # each element would be made before the list is known to be too long
        raise _too_many(limits)
    try:
        images = Images.model_validate_json(body).images
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"] if part not in ("str", "Named"))
        raise Refused(
            400,
            "form",
            'Expected {"images": ["BASE64", ...]} or {"images": [{"name": "x.png", "data": "BASE64"}, ...]}. '
            f"Received: {where + ': ' if where else ''}{first['msg']}"[: 3 * NAME],
        ) from error
    if len(images) > limits.images:
        raise _too_many(limits)
    named = [Named(data=one) if isinstance(one, str) else one for one in images]
    return [Received(_name(one.name, number), one.data) for number, one in enumerate(named, 1)]


def _too_many(limits):
    return Refused(413, "images", f"A request may hold {limits.images} images. Send more in several requests.")


def _name(name, number):
    # The sender chooses the charset of a form, and in some a name is no text that an answer could hold.
    return name[:NAME].encode("utf-8", "replace").decode() if name else f"image {number}"


def pixels_of(one, image_shape, resize, most_pixels):
    """Return the pixels of a `Received` image, uint8 of `image_shape`, and its own (height, width).

    Raises:
        ImageError: With the reason alone: it is no image, damaged, or of too many pixels.
    """
    data = _unwrapped(one.data) if isinstance(one.data, str) else one.data
    height, width, _ = peek(data, most_pixels)
    with _one_large if height * width > LARGE else contextlib.nullcontext():
        # A copy: what Pillow gives may not be written to, and PyTorch says so of any such array.
        return np.array(read_pixels(data, image_shape, resize)), (height, width)


def _unwrapped(text):
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageError("its base64 is damaged") from error
