"""What the site takes from beside the docs folder, and the links between them."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
#: Folders of the repository that are pages of the site under the same names.
BESIDE = {"notebooks": "*.ipynb", "specs": "*.md"}


# before mkdocs-jupyter, which makes pages of the notebooks it finds
@event_priority(100)
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Notebooks and specs as if they lay in the docs folder."""
    for folder, pattern in BESIDE.items():
        for path in sorted((ROOT / folder).glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            files.append(File(name, str(ROOT), config.site_dir, config.use_directory_urls))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links that are right in the repository are right on the site too."""
    return site_links(markdown, page.file.src_uri)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links of notebooks, which are HTML by now."""
    return notebook_links(html) if page.file.src_uri.endswith(".ipynb") else html


def site_links(markdown: str, src_uri: str) -> str:
    """Rewrite the links of a page between the docs folder and the folders beside it.

    Examples
    --------
    >>> site_links("[dictionary](../../specs/05-data-schemas.md)", "concepts/units.md")
    '[dictionary](../specs/05-data-schemas.md)'
    >>> site_links("[metrics](../docs/reference/metrics.md)", "specs/00-requirements.md")
    '[metrics](../reference/metrics.md)'
    """
    folder, *_ = src_uri.split("/")
    if folder in BESIDE:
        return markdown.replace("](../docs/", "](../")
    up = "../" * src_uri.count("/")
    return re.sub(rf"\]\({re.escape(up)}\.\./({'|'.join(BESIDE)})/", rf"]({up}\1/", markdown)


def notebook_links(html: str) -> str:
    """Rewrite the links of a notebook to other notebooks and to pages of the docs folder.

    Examples
    --------
    >>> notebook_links('<a href="10_research_case.ipynb">')
    '<a href="../10_research_case/">'
    >>> notebook_links('<a href="../docs/reference/metrics.md">')
    '<a href="../../reference/metrics/">'
    """
    html = re.sub(r'href="(\w+)\.ipynb"', r'href="../\1/"', html)
    return re.sub(r'href="\.\./docs/([\w/-]+)\.md', r'href="../../\1/', html)
