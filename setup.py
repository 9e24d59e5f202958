"""Everything that can be set stands in settings.ini; this file only hands it to setuptools."""

import re
from configparser import ConfigParser
from pathlib import Path

from setuptools import setup

here = Path(__file__).resolve().parent
ini = ConfigParser(delimiters=["="])
ini.read(here / "settings.ini", encoding="utf-8")
cfg = ini["DEFAULT"]

readme = here / "README.md"  # generated, so it may not be there yet


def for_pypi(text: str) -> str:
    "The front page with its links to files as full addresses, for a page that has no files beside it."
    text = re.sub(r"!\[([^\]]*)\]\((?!\w+:)", rf"![\1]({cfg['git_url']}/raw/{cfg['branch']}/", text)
    return re.sub(r"(?<!!)\[([^\]]*)\]\((?!\w+:|#)", rf"[\1]({cfg['git_url']}/blob/{cfg['branch']}/", text)


extras = {
    key.removesuffix("_requirements"): value.split()
    for key, value in cfg.items()
    if key.endswith("_requirements")
}
extras["all"] = sorted({*extras["study"], *extras["dev"], *extras["keys"]})

setup(
    name=cfg["lib_name"],
    version=cfg["version"],
    description=cfg["description"],
    long_description=for_pypi(readme.read_text(encoding="utf-8")) if readme.is_file() else cfg["description"],
    long_description_content_type="text/markdown",
    author=cfg["author"],
    author_email=cfg["author_email"],
    project_urls={
        "Source": cfg["git_url"],
        "Documentation": cfg["doc_host"] + cfg["doc_baseurl"],
        "Changelog": f"{cfg['git_url']}/blob/{cfg['branch']}/CHANGELOG.md",
    },
    keywords=cfg["keywords"].split(),
    license_expression=cfg["license_expression"],
    license_files=["LICENSE"],
    classifiers=[line for line in cfg["classifiers"].splitlines() if line],
    python_requires=f">={cfg['min_python']}",
    packages=[cfg["lib_path"]],
    package_data={cfg["lib_path"]: cfg["package_data"].split()},
    include_package_data=False,
    install_requires=cfg["requirements"].split(),
    extras_require=extras,
    entry_points={"console_scripts": cfg["console_scripts"].split()},
    zip_safe=False,
)
