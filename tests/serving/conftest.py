"""A server with small limits, which no test changes."""

import httpx
import pytest
from known import Known, edges, serving

from kcnn.serving.limits import Limits

SMALL = Limits(body=20_000, images=3, pixels=10_000, waiting=12, seconds=10.0)


@pytest.fixture(scope="package")
def client():
    with serving(Known(), limits=SMALL, explainer=edges) as (address, _), httpx.Client(base_url=address) as found:
        yield found
