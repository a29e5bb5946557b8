"""What answers look like, for the OpenAPI document."""

from pydantic import BaseModel, Field

from kcnn.serving.explainer import QUICK
from kcnn.serving.received import Images

SHARE = Field(ge=0, le=1)


class Ranked(BaseModel):
    """A class and how probable it is."""

    label: str
    probability: float = SHARE


class Prediction(BaseModel):
    """What one image shows, or why it could not be read: then there is `error` alone beside `image`."""

    image: str
    label: str | None = None
    probability: float | None = None
    top: list[Ranked] | None = None
    error: str | None = None


class Predictions(BaseModel):
    """One entry for each image, in the order in which they were sent."""

    predictions: list[Prediction]


class Region(BaseModel):
    """Where the network's pixels lie on the upright image, in shares of its width and height."""

    left: float
    top: float
    width: float
    height: float


class Explanation(BaseModel):
    """What in an image speaks for a class."""

    image: str
    method: str
    label: str = Field(description="The class that is explained.")
    probability: float = SHARE
    predicted: str = Field(description="The class that the model finds most probable.")
    heatmap: str = Field(description="A PNG as a data URL, transparent where nothing speaks for the class.")
    region: Region


class ImageShape(BaseModel):
    """What an image is brought to."""

    height: int
    width: int
    channels: int
    resize: str = Field(description='"crop", "pad" or "stretch".')


class Bounds(BaseModel):
    """What a request may have."""

    body: int = Field(description="Bytes of a request.")
    images: int = Field(description="Images in a request.")
    pixels: int = Field(description="Pixels of an image.")
    waiting: int = Field(description="Images that wait, of all requests together.")
    seconds: float = Field(description="For a request to arrive, and again for it to be answered.")


class Model(BaseModel):
    """What answers."""

    name: str
    runtime: str
    kcnn: str = Field(description="Version of kcnn.")
    classes: list[str]
    input: ImageShape
    calibrated: bool
    explains: list[str] = Field(description=f"Methods of /v1/explain, of {', '.join(QUICK)}; none where it cannot.")
    no_explanation: str | None = Field(description="Why there are none.")
    limits: Bounds


class Problem(BaseModel):
    """Why a request was not answered, in a sentence."""

    error: str


WHY = {
    400: "The request is not of the form that is expected.",
    401: "The key is missing or wrong.",
    408: "The request took too long to arrive.",
    413: "The request is too large, or holds too many images.",
    415: "The type of the body is none of those that are understood.",
    422: "No image could be read, or a parameter is out of bounds.",
    501: "Nothing here can explain.",
    503: "The server is busy; Retry-After says for how long.",
}


def problems(*statuses):
    """Return the responses of a route that may fail in these ways."""
    return {status: {"model": Problem, "description": WHY[status]} for status in statuses}


def body(*, many):
    """Return the description of a request with images."""
    file = {"type": "string", "format": "binary"}
    form = {"type": "object", "properties": {"image": {"type": "array", "items": file} if many else file}}
    schema = Images.model_json_schema()
    (named,) = schema.pop("$defs").values()  # there is no place for definitions in the middle of the document
    schema["properties"]["images"]["items"] = {"anyOf": [{"type": "string"}, named]}
    content = {
        "multipart/form-data": {"schema": form},
        "application/json": {"schema": schema, "example": {"images": ["iVBORw0KGgo..."]}},
        "image/*": {"schema": file},
        "application/octet-stream": {"schema": file},
    }
    return {"requestBody": {"required": True, "content": content}}
