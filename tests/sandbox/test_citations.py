"""Code that cites docs/fullstory-api.md cites a heading that exists."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "fullstory-api.md"
CITATION = re.compile(r"fullstory-api\.md((?:(?:,| and|, and)? ?#[a-z0-9-]+)+)")
HEADING = re.compile(r"^#{1,4} (.+)$", re.MULTILINE)
LINK = re.compile(r"\]\(#([a-z0-9-]+)\)")
REFERENCE = re.compile(r"\[([^\]`\n]+)\](?![(:\w])")
DEFINITION = re.compile(r"^\[([^\]]+)\]: https://", re.MULTILINE)


def anchors() -> set[str]:
    """Return the anchors of the document's headings, as GitHub forms them."""
    titles = HEADING.findall(DOCUMENT.read_text(encoding="utf-8"))
    return {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}


def citations() -> Iterator[tuple[str, str]]:
    """Walk (file, anchor) through the code, the tests and the other documents."""
    for folder, pattern in (("processor", "*.py"), ("tests", "*.py"), ("bench", "*.py"), ("docs", "*.md")):
        for path in sorted((ROOT / folder).rglob(pattern)):
            for cited in CITATION.findall(path.read_text(encoding="utf-8")):
                for anchor in re.findall(r"#([a-z0-9-]+)", cited):
                    yield str(path.relative_to(ROOT)), anchor


def test_every_cited_heading_exists() -> None:
    """A citation of a heading that was renamed or never written fails, by file."""
    cited = list(citations())
    known = anchors()
    assert len(cited) > 20
    assert [(path, anchor) for path, anchor in cited if anchor not in known] == []


def test_links_inside_the_document_lead_somewhere() -> None:
    """Links to headings and references to sources both resolve, and no source is listed in vain."""
    text = DOCUMENT.read_text(encoding="utf-8")
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    sources = set(DEFINITION.findall(text))
    assert set(LINK.findall(text)) <= anchors()
    assert set(REFERENCE.findall(prose)) == sources
