"""The data modules load without torch, and every recipe of the registry stays known."""

import subprocess
import sys

from conftest import ROOT

from cinn_nb.dataset import RECIPES, registry


def test_images_phantoms_and_dataset_load_without_torch():
    code = (
        "import sys, cinn_nb.images, cinn_nb.phantoms, cinn_nb.dataset;"
        "print({'torch', 'pandas', 'matplotlib', 'nibabel'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_every_recipe_of_the_registry_is_known_and_has_its_arguments():
    for row in registry(ROOT / "data" / "registry.csv"):
        name, *arguments = row.recipe.split()
        assert len(RECIPES[name].usage.split()) == 1 + len(arguments), row.path
