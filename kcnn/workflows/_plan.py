"""What a folder of several seeds is to hold; read before Keras is imported, since it decides the backend."""

from kcnn import recipe as recipes
from kcnn.run import Run


def read_plan(seeds):
    """Return (recipe, seeds in their order, backend or None) of a `Seeds`. Raises `RunError`, `RecipeError`."""
    plan = Run(seeds.path).read_json(seeds.plan)
    return recipes.parse(plan["recipe"], str(seeds.plan)), plan["seeds"], plan.get("backend")
