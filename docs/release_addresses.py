"""Writes the addresses of a release into a clone: ``python docs/release_addresses.py URL TAG FOLDER``.

The repository does not know where it is published. A package index shows README.md far from the files that
it links to, and project links come from pyproject.toml. This script makes the links of README.md absolute
and adds ``[project.urls]``. Run it on the clone that is built, and do not commit the result.
"""

import argparse
import re
import sys
from pathlib import Path

_TARGET = re.compile(r"\]\((?!https?://|#)([^)]+)\)")
_PICTURES = (".png", ".jpg", ".svg")
_TABLE = "[project.optional-dependencies]"


def absolute_links(text: str, url: str, tag: str) -> str:
    """``text`` with every relative link and picture led to ``url`` at ``tag``."""

    def replaced(link: re.Match[str]) -> str:
        kind = "raw" if link[1].endswith(_PICTURES) else "blob"
        return f"]({url}/{kind}/{tag}/{link[1]})"

    return _TARGET.sub(replaced, text)


def project_urls(url: str, tag: str) -> str:
    """The ``[project.urls]`` table."""
    lines = {
        "Source": url,
        "Documentation": f"{url}/blob/{tag}/README.md",
        "Changelog": f"{url}/blob/{tag}/CHANGELOG.md",
        "Issues": f"{url}/issues",
    }
    return "[project.urls]\n" + "".join(f'{name} = "{address}"\n' for name, address in lines.items())


def write(url: str, tag: str, folder: Path) -> None:
    """Changes ``README.md`` and ``pyproject.toml`` in ``folder``.

    Raises:
        ValueError: if the project already has addresses, or ``url`` is not an https address.
    """
    url = url.removesuffix("/")
    if not re.fullmatch(r"https://[\w./-]+", url):
        raise ValueError(f"{url}: give the https address of the repository")
    project, readme = folder / "pyproject.toml", folder / "README.md"
    settings = project.read_text(encoding="utf-8")
    if "[project.urls]" in settings:
        raise ValueError(f"{project}: has [project.urls] already")
    settings = settings.replace(_TABLE, f"{project_urls(url, tag)}\n{_TABLE}", 1)
    project.write_text(settings, encoding="utf-8")
    readme.write_text(absolute_links(readme.read_text(encoding="utf-8"), url, tag), encoding="utf-8")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Write the addresses of a release into a clone.")
    parser.add_argument("url", help="https address of the repository, without a path into it")
    parser.add_argument("tag", help="tag of the release, like v0.1.0")
    parser.add_argument("folder", type=Path, help="the clone to change")
    given = parser.parse_args()
    try:
        write(given.url, given.tag, given.folder)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
