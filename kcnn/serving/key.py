"""Who may ask: whoever has the key, where there is one."""

import hmac
import os

from fastapi import Security
from fastapi.security import APIKeyHeader, HTTPBearer

from kcnn.serving.refused import Refused

_bearer = HTTPBearer(auto_error=False, description="The key.")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="The key.")


def keeper(key):
    """Return a dependency of FastAPI that refuses requests without the key; None lets everyone in."""

    async def check(bearer=Security(_bearer), header=Security(_header)):  # noqa: B008
        given = header or (bearer and bearer.credentials) or ""
        # Headers are bytes that Starlette reads as Latin-1; a key may hold anything.
        if key is not None and not hmac.compare_digest(given.encode("latin-1"), os.fsencode(key)):
            raise Refused(
                401,
                "key",
                "The key is missing or wrong: send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`.",
                {"WWW-Authenticate": "Bearer"},
            )

    return check
