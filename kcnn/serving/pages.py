"""The pages: one to try the model, one that describes the interface. Neither loads anything from elsewhere."""

import base64
import hashlib
import re
from pathlib import Path

import jinja2
from starlette.responses import HTMLResponse

HERE = Path(__file__).parent
CLOSED = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
OPENED = f"{CLOSED}; img-src 'self' blob: data:; connect-src 'self'"


def add(app):
    """Add the routes of the pages to an application whose other routes are there already."""
    page = (HERE / "page.html").read_text(encoding="utf-8")

    @app.get("/", include_in_schema=False)
    async def index():
        return _response(page, OPENED)

    described = _template().render(document=app.openapi())

    @app.get("/docs", include_in_schema=False)
    async def docs():
        return _response(described, f"{CLOSED}; img-src data:")


def _response(page, policy):
    headers = {"Content-Security-Policy": f"{policy}; {_own(page)}", "Cache-Control": "no-cache"}
    return HTMLResponse(page, headers=headers)


def _own(page):
    """Return the part of a policy that admits the style and the script that stand in a page, and no others."""
    hashes = {"style": [], "script": []}
    for kind, text in re.findall(r"<(style|script)>(.*?)</\1>", page, re.DOTALL):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        hashes[kind].append(f"'sha256-{digest}'")
    return "; ".join(f"{kind}-src {' '.join(found)}" for kind, found in hashes.items() if found)


def _template():
    loader = jinja2.FileSystemLoader(HERE)
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True)
    environment.filters["kind"] = _kind
    return environment.get_template("docs.html")


def _kind(schema):
    """Return what a parameter may be, in words."""
    options = schema.get("anyOf", [schema])
    words = []
    for option in options:
        if "enum" in option:
            words.append(" | ".join(option["enum"]))
        elif option.get("type") != "null":
            low, high = option.get("minimum"), option.get("maximum")
            words.append(option.get("type", "") + (f", {low} to {high}" if low is not None else ""))
    return " or ".join(words)
