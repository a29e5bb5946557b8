"""What an exported file says about itself: labels, images, and the way from an encoded image to its pixels."""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from kcnn.errors import RunError

KEY = "kcnn"  # the name of the metadata where a format has room for one text
INPUT = "pixels"
OUTPUTS = ("logits", "probabilities")

PIXELS = {
    "dtype": "uint8",
    "range": [0, 255],
    "layout": "NHWC",
    1: "grey: luma after ITU-R 601",
    3: "RGB",
}
RESIZES = {
    "crop": "scale the shorter side to fit and cut the centre, which may begin within a pixel",
    "pad": "scale the longer side to fit and centre on black",
    "stretch": "scale each side by itself",
}


@dataclass(frozen=True)
class Metadata:
    """What goes into the metadata of a file.

    Attributes:
        class_names: K labels, in the order of the outputs.
        image_shape: (height, width, channels).
        resize: "crop", "pad" or "stretch".
        temperature: What the logits are divided by before the softmax; 1 leaves them.
        quantize: "int8", "float16" or None.
        run: Name of the run.
        model_sha256: Of the model.keras that it was made from.
        version: Of kcnn.
    """

    class_names: list[str]
    image_shape: tuple[int, int, int]
    resize: str
    temperature: float
    quantize: str | None
    run: str
    model_sha256: str
    version: str

    @property
    def decoding(self) -> dict[str, Any]:
        """The way from an encoded image to pixels, in words."""
        height, width, channels = self.image_shape
        return {
            "dtype": PIXELS["dtype"],
            "range": PIXELS["range"],
            "layout": PIXELS["layout"],
            "channels": PIXELS[channels],
            "jpeg": "at 1/8, 1/4 or 1/2 of its size, as libjpeg scales: the smallest whose shorter side has at least "
            f"{2 * max(height, width)} pixels; else at its full size",
            "greys": "16 bits divided by 256; floats times 255 where none exceeds 1; cut off at 0 and 255",
            "orientation": "as EXIF says",
            "transparency": "laid on white",
            "size": [height, width],
            "resize": RESIZES[self.resize],
            "filter": "bilinear with antialiasing, as Pillow's Image.resize(size, Resampling.BILINEAR, box=...); an "
            "image of that size already is left as it is",
            "normalisation": "none: it is in the graph",
        }

    def as_texts(self) -> dict[str, str]:
        """Return each field, and `decoding`, as a text: those that are texts as they are, others as JSON."""
        values = {**asdict(self), "decoding": self.decoding, "outputs": OUTPUTS}
        return {
            key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for key, value in values.items()
        }

    def as_json(self) -> str:
        """Return all of it as one text."""
        return json.dumps({**asdict(self), "decoding": self.decoding, "outputs": OUTPUTS}, ensure_ascii=False, indent=2)

    @classmethod
    def from_texts(cls, texts, path) -> "Metadata":
        """Return what `as_texts` wrote. Raises `RunError` where that is not there."""
        plain = ["resize", "run", "model_sha256", "version"]
        if texts.get("quantize") != "null":
            plain.append("quantize")
        return cls._checked({key: text if key in plain else _parsed(text) for key, text in texts.items()}, path)

    @classmethod
    def from_json(cls, text, path) -> "Metadata":
        """Return what `as_json` wrote. Raises `RunError` where that is not there."""
        return cls._checked(_parsed(text), path)

    @classmethod
    def _checked(cls, values, path):
        names = [field.name for field in fields(cls)]
        try:
            found = cls(**{name: values[name] for name in names})
            shape = tuple(int(side) for side in found.image_shape)
            temperature = float(found.temperature)
            known = found.resize in RESIZES and len(shape) == 3 and shape[2] in PIXELS and temperature > 0
            labels = isinstance(found.class_names, list) and len(found.class_names) > 1
        except (KeyError, TypeError, ValueError):
            known = labels = False
        if not (known and labels):
            raise RunError(
                f"{path} does not say which labels and images it knows, as files of `kcnn export` do. "
                "Answer with a file that was made by it."
            )
        return cls(**{**vars(found), "image_shape": shape, "temperature": temperature})


def _parsed(text):
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return None
