"""What the pages name exists: links, commands and their flags, make targets, files, modules."""

import argparse
import importlib
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
import yaml

from rejoinder.commands import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    if (ROOT / name).exists()
)
# These commands pass options that they do not know to Apache Beam.
BEAM_COMMANDS = {"preprocess", "pairs", "embed", "doctor"}
FOLDERS = (
    *("benchmarks", "configs", "corpus", "deploy", "docs", "evaluation", "examples", "models"),
    *("pipelines", "quickstart", "rejoinder", "requirements", "retrieval", "serving", "tests"),
    "trainer",
)

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def code_blocks(text: str) -> str:
    """Returns fenced and indented code with one command a line."""
    fenced = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    indented = re.findall(r"^    +\S.*$", text, re.MULTILINE)
    return re.sub(r"\\\n\s*", " ", "\n".join([*fenced, *indented]))


def code_spans(text: str) -> list[str]:
    without_blocks = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", without_blocks)]


def code_lines(page: Path) -> list[str]:
    """Returns every line of code on a page, without shell comments."""
    text = page.read_text(encoding="utf-8")
    lines = [*code_blocks(text).splitlines(), *code_spans(text)]
    return [re.sub(r"(^|\s)#.*", "", line) for line in lines]


def anchors(page: Path) -> set[str]:
    """Returns the anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@cache
def beam_flags() -> set[str]:
    from apache_beam.options.pipeline_options import PipelineOptions

    parser = argparse.ArgumentParser(add_help=False, conflict_handler="resolve")
    for options in PipelineOptions.__subclasses__():
        if "_add_argparse_args" in vars(options):
            options._add_argparse_args(parser)
    return set(parser._option_string_actions)


def help_of(command: str, capsys) -> str:
    with pytest.raises(SystemExit):
        importlib.import_module(COMMANDS[command].module).main(["--help"])
    return capsys.readouterr().out


@each_page
def test_links_lead_to_files_and_headings(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@each_page
def test_commands_and_their_flags_exist(page, capsys):
    unknown = []
    for line in code_lines(page):
        for command, rest in re.findall(r"(?:^|[\s/])(?<!from )rejoinder ([a-z]+)\b([^|;]*)", line):
            if command not in COMMANDS:
                unknown.append(f"rejoinder {command}")
                continue
            known = set(re.findall(r"--[a-z][\w-]*", help_of(command, capsys))) | {"--help"}
            flags = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", rest)) - known
            if command in BEAM_COMMANDS and flags:
                flags -= beam_flags()
            unknown += [f"rejoinder {command} {flag}" for flag in sorted(flags)]
    assert unknown == []


@each_page
def test_make_targets_and_their_variables_exist(page):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    variables = set(re.findall(r"\$\(([A-Z_]+)\)", makefile)) | {"QUERY", "PYTHON", "BENCH"}
    unknown = []
    for line in code_lines(page):
        if match := re.match(r"\s*make ([a-z][a-z-]*)\b(.*)", line):
            unknown += [match[1]] * (match[1] not in targets)
            unknown += sorted(set(re.findall(r"\b([A-Z][A-Z_]+)=", match[2])) - variables)
    assert unknown == []


@each_page
def test_files_named_on_a_page_exist(page):
    missing = []
    for span in code_spans(page.read_text(encoding="utf-8")):
        if re.fullmatch(rf"(?:{'|'.join(FOLDERS)})/[\w./-]+\.(?:py|md|yaml|txt|sh|json)", span):
            missing += [span] * (not (ROOT / span).exists())
    assert missing == []


@each_page
def test_modules_named_on_a_page_exist(page):
    missing = []
    for name in re.findall(r"\brejoinder(?:\.\w+)+\b(?!\.)", "\n".join(code_lines(page))):
        if name.endswith(".json"):
            continue
        path = ROOT / name.replace(".", "/")
        if not (path.is_dir() or path.with_suffix(".py").exists()):
            parent = path.parent
            source = parent / "__init__.py" if parent.is_dir() else parent.with_suffix(".py")
            if not source.exists() or path.name not in source.read_text(encoding="utf-8"):
                missing.append(name)
    assert missing == []


@each_page
def test_pages_use_the_one_command_and_the_one_import_name(page):
    # `benchmarks/` is not installed: its files run from the root of a checkout.
    packages = "|".join({*FOLDERS} - {"benchmarks", "rejoinder"})
    modules = re.compile(rf"python3? -m (rejoinder|{packages})\.|\bfrom ({packages})[. ]")
    assert [line for line in code_lines(page) if modules.search(line)] == []


def test_the_index_names_every_page_of_the_docs():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {page.name for page in PAGES if page.parent == ROOT / "docs"} - {"README.md"}
    assert {name for name in pages if f"({name})" not in index} == set()


def test_the_citation_file_follows_the_format():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= citation.keys()
    assert citation["type"] in ("software", "dataset")
    for entry in (citation, *citation["references"]):
        assert entry["authors"]
        for author in entry["authors"]:
            assert "name" in author or {"family-names", "given-names"} <= author.keys()
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{citation["version"]}"' in pyproject
    assert f'license = "{citation["license"]}"' in pyproject
    assert citation["repository-code"] in pyproject
