"""A model behind HTTP: what it takes from strangers, how it answers many at once, and its page."""
