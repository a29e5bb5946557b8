"""What a server takes from strangers, and how much of it at one time."""

from dataclasses import dataclass

BODIES = 16  # full ones that are in memory at one time, at most


@dataclass(frozen=True)
class Limits:
    """Bounds on requests. What is beyond them is refused before it costs anything.

    Attributes:
        body: Bytes of a request.
        images: Images in a request.
        pixels: Of an image, told by its header, before it is decoded.
        waiting: Images that were accepted and are not answered yet, those of all requests together.
        seconds: Within which a request arrives, and within which it is answered then.
    """

    body: int = 16 * 2**20
    images: int = 32
    pixels: int = 50_000_000
    waiting: int = 256
    seconds: float = 30.0
