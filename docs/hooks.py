"""What MkDocs asks to make a site of pages that are written for GitHub: mkdocs.yml names this file.

The README is the first page, and the table of its section "Documentation" is the navigation: there is no second list of
pages that could say otherwise. Files outside docs/ that the table names become pages, too.
"""

# ruff: noqa: INP001 - a script, not a package

import re
from pathlib import Path
from posixpath import normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
HOME = "README.md"
DECISIONS = "docs/adr"

ROW = re.compile(r"^\| (?:\*\*(?P<part>.+?)\*\*|\[(?P<title>.+?)\]\((?P<path>.+?)\)) \|", re.MULTILINE)
LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<path>(?!\w+:|#)[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")
INFO = re.compile(r"^(```\w+) .*$", re.MULTILINE)

Entries = list[dict[str, "str | list[str] | Entries"]]


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Make the navigation of the README's table: a bold row begins a part, a link is a page."""
    nav: Entries = [{"Home": _uri(HOME)}]
    pages = nav
    for row in ROW.finditer(_documentation()):
        if part := row["part"]:
            pages = []
            nav.append({part: pages})
        elif row["path"] == f"{DECISIONS}/README.md":
            pages.append({row["title"]: _decisions()})
        else:
            pages.append({row["title"]: _uri(row["path"])})
    config.nav = nav
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that stand outside docs/."""
    for path in _outside():
        files.append(File.generated(config, _uri(path), content=(ROOT / path).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - MkDocs' own names
    """Let links lead where the site has their targets, and drop what stands behind the language of a block of code."""
    uri = page.file.src_uri
    source = next((path for path in _outside() if _uri(path) == uri), f"docs/{uri}")

    def on_the_site(link: re.Match[str]) -> str:
        target = normpath(f"{Path(source).parent.as_posix()}/{link['path']}")
        if (found := files.get_file_from_path(_uri(target))) is None:
            # A file of the project that is no page; one that is nowhere is left for MkDocs to complain of.
            return link["text"] if (ROOT / target).exists() else link[0]
        return f"[{link['text']}]({relpath(found.src_uri, Path(uri).parent.as_posix())}{link['anchor'] or ''})"

    return LINK.sub(on_the_site, INFO.sub(r"\1", markdown))


def _documentation() -> str:
    """Return the section of the README that lists the pages."""
    return (ROOT / HOME).read_text(encoding="utf-8").partition("\n## Documentation\n")[2].partition("\n## ")[0]


def _outside() -> list[str]:
    """Return the files outside docs/ that are pages."""
    return [
        HOME,
        *(row["path"] for row in ROW.finditer(_documentation()) if not (row["path"] or "docs/").startswith("docs/")),
    ]


def _decisions() -> list[str]:
    """Return the list of decisions and each of them, under the titles they have themselves."""
    return [
        _uri(f"{DECISIONS}/{file.name}")
        for file in sorted((ROOT / DECISIONS).glob("*.md"), key=lambda each: (each.name != HOME, each.name))
    ]


def _uri(path: str) -> str:
    """Return where a file of the project is on the site: docs/ is its root, the README its first page."""
    if path == HOME:
        return "index.md"
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return path.replace("/README.md", ".md").lower() if path.endswith(".md") else path
