"""Hooks of mkdocs.yml: links to files outside docs/, which the site does not have."""

import re
from typing import Any

_OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./)+([^)#]+)(#[^)]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:
    """Leads a link out of docs/ to the repository; without ``repo_url``, leaves its text and the path."""

    def replaced(link: re.Match[str]) -> str:
        if page.file.src_uri.count("/") >= link[0].count("../"):
            return link[0]  # within docs/
        if config.repo_url:
            return f"[{link[1]}]({config.repo_url.rstrip('/')}/blob/HEAD/{link[2]}{link[3] or ''})"
        return f"{link[1]} (`{link[2]}`)"

    return _OUTSIDE.sub(replaced, markdown)
