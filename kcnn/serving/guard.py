"""No request sends more, or more slowly, than the limits say, whatever it announces."""

import asyncio

from kcnn.serving.limits import BODIES
from kcnn.serving.refused import Refused, busy


class Guard:
    """ASGI middleware that bounds the bytes and the time in which a request arrives.

    Args:
        app: What it guards. It must turn a `Refused` that comes out of `receive` into a response.
        limits: The `Limits`.
    """

    def __init__(self, app, limits):
        self._app = app
        self._limits = limits
        self._held = 0  # bytes, of all requests that are not answered yet

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = int(dict(scope["headers"]).get(b"content-length", 0))
        deadline = asyncio.get_running_loop().time() + self._limits.seconds
        received, arriving = 0, True

        async def bounded():
            nonlocal received, arriving
            if not arriving:
                return await receive()
            if announced > self._limits.body:
                raise self._too_large()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError as error:
                words = f"The request did not arrive within {self._limits.seconds:g} s."
                raise Refused(408, "slow", words, {"Connection": "close"}) from error
            arriving = message.get("more_body", False)
            size = len(message.get("body", b""))
            received += size
            self._held += size
            if received > self._limits.body:
                raise self._too_large()
            if self._held > BODIES * self._limits.body:
                raise busy(1)
            return message

        try:
            await self._app(scope, bounded, send)
        finally:
            self._held -= received

    def _too_large(self):
        return Refused(413, "body", f"A request may have {self._limits.body:,} bytes. Send smaller images, or fewer.")
