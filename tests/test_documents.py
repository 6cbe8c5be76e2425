"""The documents tell the truth: what they name exists."""

import re
import tomllib
from pathlib import Path

import click
import pytest

from docs import generate
from processor.adapters.telemetry.catalogue import CATALOGUE
from processor.commands.main import COMMANDS, main
from processor.engine.partition import answers, owner
from processor.settings.variables import variables
from tests.test_house import targets

ROOT = Path(__file__).parents[1]
PAGES = sorted(file for each in ("*.md", "docs/**/*.md", "schemas/*.md", "tests/*.md") for file in ROOT.glob(each))
SOURCES = sorted([*ROOT.glob("processor/**/*.py"), *ROOT.glob("tests/**/*.py"), *ROOT.glob("bench/**/*.py")])

LINK = re.compile(r"\[[^\]]*\]\((?!https?://|mailto:)([^)\s]+)\)")
CITATION = re.compile(r"docs/[\w/-]+\.md(?:#[\w-]+)?")
FOLDER = re.compile(r"`((?:processor|tests|docs|schemas|deploy|bench)/[\w./-]*)`")
COMMAND = re.compile(r"(?m)(?:`|^)make ([a-z]+)")
SUBCOMMAND = re.compile(r"segment-fullstory ([a-z][a-z-]*)")
VARIABLE = re.compile(r"PROCESSOR_[A-Z]+__[A-Z_]+[A-Z]")
ONE_PAGE = 100
METRIC = re.compile(r"segment_fullstory_([a-z_]+[a-z])")


def text(file: Path) -> str:
    """Return what the file says."""
    return file.read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """Return the anchors that a page's headings have on GitHub and in most renderers."""
    headings = re.findall(r"(?m)^#+ +(.+?) *$", re.sub(r"(?ms)^```.*?^```", "", text(page)))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def is_there(target: Path, anchor: str) -> bool:
    """Say whether a link to a file, and a heading in it, leads anywhere."""
    return target.exists() and (not anchor or anchor in anchors(target))


def named(pattern: re.Pattern[str], files: list[Path]) -> set[str]:
    """Return whatever the pattern finds in the files."""
    return {found for file in files for found in pattern.findall(text(file))}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    """A link inside the project names a file that exists, and a heading that is in it."""
    links = [link.partition("#") for link in LINK.findall(text(page))]
    broken = [
        f"{name}#{anchor}" for name, _, anchor in links if not is_there(page.parent / name if name else page, anchor)
    ]

    assert broken == []


def test_every_citation_of_a_page_leads_somewhere() -> None:
    """Code that cites a page of docs/, and a heading of it, is right."""
    cited = named(CITATION, SOURCES)
    broken = sorted(each for each in cited if not is_there(ROOT / each.partition("#")[0], each.partition("#")[2]))

    assert cited
    assert broken == []


def test_every_named_file_and_folder_exists() -> None:
    """A path in back-quotes is one of the project's."""
    assert sorted(path for path in named(FOLDER, PAGES) if not (ROOT / path).exists()) == []


def test_the_readme_leads_to_every_page() -> None:
    """No page of docs/ is hidden from who begins at the README; decisions are found by their own list."""
    linked = set(LINK.findall(text(ROOT / "README.md")))
    decisions = set(LINK.findall(text(ROOT / "docs/adr/README.md")))

    assert sorted(f"docs/{page.name}" for page in ROOT.glob("docs/*.md") if f"docs/{page.name}" not in linked) == []
    assert sorted(page.name for page in ROOT.glob("docs/adr/0*.md")) == sorted(decisions)


def test_the_architecture_shows_the_layers_as_they_are() -> None:
    """The folders that the architecture lists are those of the contracts' layers, in their order, and the sandbox."""
    contracts = tomllib.loads(text(ROOT / "pyproject.toml"))["tool"]["importlinter"]["contracts"]
    layers = next(each["layers"] for each in contracts if "processor.model" in each.get("layers", []))
    shown = re.findall(r"(?m)^  (\w+)/ +\S", text(ROOT / "docs/architecture.md"))
    ordered = [room for layer in layers for room in layer.split(" | ")]

    assert [f"processor.{room}" for room in shown] == [*ordered, "processor.sandbox"]


def test_every_word_is_one_thing_in_the_code() -> None:
    """The glossary defines a word once, and the file that it names has the name that stands beside it."""
    words = text(ROOT / "docs/architecture.md").partition("\n## Words\n")[2]
    rows = re.findall(r"(?m)^\| ([\w ]+) \| .+? \| `([\w/.]+)` `([\w.]+)` \|$", words)
    absent = [
        f"{file}: {name}"
        for _, file, name in rows
        if not all(
            re.search(rf"(?m)^\s*(?:(?:async )?def |class )?(?:self\.)?{each}\b\s*(?:[(:=]|$)", text(ROOT / file))
            for each in name.split(".")
        )
    ]

    assert len(rows) == words.count("\n| ") - 1, "each row but the head has a word, its meaning and a place"
    assert len({word for word, *_ in rows}) == len(rows) >= 40
    assert absent == []


def test_pages_that_use_the_words_lead_to_them() -> None:
    """Whoever meets a term of the project finds in one step what it means."""
    terms = re.compile(r"\b(?:batch|dead letter|halt|journal|redelivered|released|settle)")
    pages = [each for each in ROOT.glob("docs/*.md") if len({*terms.findall(text(each))}) >= 3]

    assert len(pages) > 5
    leads = {each.name: re.search(r"\]\((?:architecture\.md)?#words\)", text(each)) for each in pages}
    assert sorted(name for name, found in leads.items() if not found) == []


def test_the_tables_of_states_are_current() -> None:
    """docs/architecture.md is as `python -m docs.generate` draws it, from the code."""
    assert text(generate.DOCS / "architecture.md") == generate.architecture()


def test_the_tables_and_pictures_of_results_are_current() -> None:
    """docs/performance.md and its pictures are as `python -m docs.generate` draws them, from the results."""
    drawn = {file: content for file, content in generate.pages() if file.suffix == ".svg" or "performance" in file.name}

    assert len(drawn) > 1
    assert [str(file) for file, content in drawn.items() if text(file) != content] == []


def test_the_owner_has_every_event_of_its_table() -> None:
    """What the head of the owner's file promises of an event is promised of a method that there is."""
    rows = re.findall(r"(?m)^\| (`.+?) +\|", owner.__doc__ or "")
    events = re.findall(r"`((?:answers\.)?\w+)`", "".join(rows))

    assert {"fetched", "answers.answered", "look"} <= set(events)
    of_answers = {each for each in events if each.startswith("answers.")}
    assert [each for each in of_answers if not hasattr(answers, each.removeprefix("answers."))] == []
    assert [each for each in events if each not in of_answers and not hasattr(owner.Partition, each)] == []


def test_every_cited_law_is_in_the_architecture() -> None:
    """The number of a law in a comment leads to its words."""
    laws = re.findall(r"(?m)^(\d+)\. \*\*", text(ROOT / "docs/architecture.md").partition("\n## Laws\n")[2])

    assert laws == [str(number) for number in range(1, len(laws) + 1)]
    assert named(re.compile(r"\(law (\d+)\)"), SOURCES) <= set(laws)


def test_every_law_has_tests_and_a_metric_that_exist() -> None:
    """The table of docs/reliability.md has all laws in their order; what it names is a test, a mutation or a metric."""
    laws = re.findall(r"(?m)^(\d+\. )\*\*(.+?)\.\*\*", text(ROOT / "docs/architecture.md").partition("\n## Laws\n")[2])
    table = text(ROOT / "docs/reliability.md").partition("\n## Laws and their tests\n")[2]
    rows = [line.strip("| ").split(" | ") for line in re.findall(r"(?m)^\| \d+\. .*$", table)]
    definitions = named(
        re.compile(r"(?m)^(?:async )?(?:def |(?=Test\w+ = ))(\w+)"),
        [ROOT / "tests/mutations.py", *ROOT.glob("tests/**/test_*.py")],
    )
    tests = set(re.findall(r"`((?!segment_)\w+)`", table))

    assert [law for law, *_ in rows] == [number + name for number, name in laws]
    assert [law for law, *cells in rows if len(cells) != 5 or not all(re.match("none|`", each) for each in cells)] == []
    assert sorted(tests - definitions) == []
    assert [law for law, *_, metric in rows if not re.match("none: .|`segment_fullstory_", metric)] == []


def test_every_named_make_target_exists() -> None:
    """A reader can type what the documents say after `make`."""
    assert {"run", "test"} <= named(COMMAND, PAGES) <= targets()


def test_every_named_command_exists() -> None:
    """A reader can type what the documents say after `segment-fullstory`."""
    assert {"run"} <= named(SUBCOMMAND, PAGES) <= set(COMMANDS)


@pytest.mark.parametrize("path", [("run",), ("settings",), ("settings", "init")], ids=" ".join)
def test_every_option_of_a_settings_command_is_documented(path: tuple[str, ...]) -> None:
    """docs/configuration.md names each option of the commands that it describes."""
    command: click.Command | None = main
    for name in path:
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), name)
    assert command is not None
    options = {option for each in command.params if isinstance(each, click.Option) for option in each.opts}
    page = text(ROOT / "docs/configuration.md")

    assert options
    assert sorted(option for option in options if option not in page) == []


def test_what_contributing_names_exists() -> None:
    """CONTRIBUTING.md names tests and parts of the code that exist; it and the table of suites are one page each."""
    page = text(ROOT / "CONTRIBUTING.md")
    code = "\n".join(text(file) for file in SOURCES)
    definitions = set(re.findall(r"\b(test_\w+)`", page)) | {"DeadLetterReason", "HaltReason", "MappingRules"}

    assert sorted(each for each in definitions if not re.search(rf"(?:def|class) {each}\b", code)) == []
    assert {"DeadLetterReason", "HaltReason", "MappingRules"} <= set(re.findall(r"`(?:\w+\()?(\w+)", page))
    assert sorted(re.findall(r"`(\.ci/\w+)`", page)) == [".ci/run"]
    assert (ROOT / ".ci/run").exists()
    assert max(len(text(ROOT / each).splitlines()) for each in ("CONTRIBUTING.md", "tests/README.md")) <= ONE_PAGE


def test_every_named_setting_exists() -> None:
    """Documents, and messages of the program that advise a setting, name one that there is."""
    program = [file for file in SOURCES if file.is_relative_to(ROOT / "processor")]

    assert sorted(named(VARIABLE, PAGES + program) - {each.name for each in variables()}) == []


def test_every_named_metric_exists() -> None:
    """A reader can query what the documents name."""
    names = {each.name for each in CATALOGUE}
    series = {f"{name}{suffix}" for name in names for suffix in ("", "_bucket", "_sum", "_count")}

    assert sorted(named(METRIC, PAGES) - series) == []
