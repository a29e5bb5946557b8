"""Templates of pages that open from disk, and how they write numbers."""

import shlex

import jinja2

from kcnn.amount import percent


def template(name):
    """Return a template of this folder; what is filled in is escaped, and what is missing is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("kcnn", "workflows"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(share=share, number=number, quoted=quoted)
    return environment.get_template(name)


def share(value, digits=2):
    """Return a share of 1 as a percentage."""
    return "n/a" if value is None else percent(value, digits)


def number(value, digits=4):
    """Return a number with so many digits behind the point."""
    return "n/a" if value is None else f"{value:.{digits}f}"


def quoted(path):
    """Return a path as a shell takes it."""
    return shlex.quote(str(path))
