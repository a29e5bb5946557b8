"""docs/recipes.md: what docs/recipes.py makes of the schema."""

import recipes


def test_the_page_is_what_the_script_makes():
    assert recipes.PAGE.read_text() == recipes.page(), "python docs/recipes.py writes it anew"
