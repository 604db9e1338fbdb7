"""The documents say what is true of the program: commands, options, files and settings that they name exist."""

import re
from pathlib import Path

import click
import pytest
import yaml

from bridge.cli import main
from bridge.ops.declarations import METRICS
from bridge.ops.declarations.label_values import REASONS

ROOT = Path(__file__).parent.parent
OPERATING = ("deploy/operating.md", "deploy/troubleshooting.md", "deploy/admin-api.md", "deploy/README.md")
MANUALS = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "deploy/prometheus/README.md", *OPERATING)
DOCUMENTS = (*MANUALS, "bridge/README.md", "CHANGELOG.md", "config/trunkline.example.yaml")
COMMAND = re.compile(
    rf"(?:^|[\s/`])trunkline ((?:{'|'.join(main.commands)})\b[^`\n#]*)",
    re.MULTILINE,
)


def text_of(document: str) -> str:
    return (ROOT / document).read_text()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_and_options_exist(document: str) -> None:
    for line in COMMAND.findall(text_of(document)):
        name, *words = line.split()
        command = main.commands[name]
        if isinstance(command, click.Group) and words:
            command = command.commands[words[0].strip("`")]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word.rstrip(",.;)") for word in words if word.startswith("--")} <= known, line


def test_the_way_to_the_first_call_uses_complete_commands() -> None:
    """What a person copies from the README runs: no required option is missing."""
    blocks = re.findall(r"```sh\n(.*?)```", text_of("README.md"), re.DOTALL)
    commands = COMMAND.findall("\n".join(blocks))
    assert [line.split()[0] for line in commands] == ["generate-registration", "check-config", "run", "doctor"]
    for line in commands:
        name, *words = line.rstrip(" &").split()
        with click.Context(main.commands[name]) as context:
            main.commands[name].parse_args(context, words)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    for path, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]+))?\)", text_of(document)):
        target = (ROOT / document).parent / path if path else ROOT / document
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), anchor


def anchors(page: Path) -> set[str]:
    """What its headings are called in links."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", [*MANUALS, "CHANGELOG.md", "config/trunkline.example.yaml"])
def test_files_of_the_code_that_are_named_exist(document: str) -> None:
    for path in re.findall(r"`((?:bridge|config|tests|deploy)/[\w./-]+)`", text_of(document)):
        assert (ROOT / path).exists(), path


def test_modules_that_the_map_of_the_code_names_exist() -> None:
    """It names them from `bridge/` on, mostly without their ending."""
    packages = "|".join(path.name for path in (ROOT / "bridge").iterdir() if path.is_dir())
    named = re.findall(rf"`((?:{packages})/[\w/]+)(?:\.py)?`", text_of("bridge/README.md"))
    assert named
    for name in named:
        place = ROOT / "bridge" / name
        assert place.is_dir() or place.with_suffix(".py").exists(), name


@pytest.mark.parametrize("document", ["deploy/operating.md", "deploy/prometheus/README.md"])
def test_metrics_that_the_documents_name_exist(document: str) -> None:
    names = {metric.name for metric in METRICS}
    mentioned = set(re.findall(r"`((?:[a-z]+_)+(?:total|seconds|active))[`{]", text_of(document)))
    assert mentioned
    assert mentioned <= names
    assert "busy" in REASONS


def test_settings_that_the_documents_name_exist() -> None:
    example = text_of("config/trunkline.example.yaml")
    sections = re.findall(r"^([a-z]+):", example, re.MULTILINE)
    pattern = re.compile(rf"`({'|'.join(sections)})\.(?:\*\.)?(?!yaml`)([a-z_]+)`")
    for document in MANUALS:
        for _, setting in pattern.findall(text_of(document)):
            assert re.search(rf"^\s*#?(?:- )?{setting}:", example, re.MULTILINE), setting


def test_each_commit_is_checked_as_make_lint_checks() -> None:
    hooks = [hook for repo in yaml.safe_load(text_of(".pre-commit-config.yaml"))["repos"] for hook in repo["hooks"]]
    entries = {hook["entry"].removeprefix(".venv/bin/").replace(" --force-exclude", "") for hook in hooks}
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", text_of("Makefile"), re.MULTILINE)
    assert recipe is not None
    commands = re.findall(r"@\$\(BIN\)/(.*?)(?: \.)?$", recipe[1], re.MULTILINE)
    assert entries == set(commands)
