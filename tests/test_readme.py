"""What the README says can be done can be done."""

import re
import shlex
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import typer
from typer.testing import CliRunner

from gadgets.recipe import problems
from protocols.scan_protocol import parse

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
APPS = {"scanside": "gadgets.cli", "scanside-sim": "hw_sim.cli", "scanside-build": "trt_build.cli"}


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands():
    lines = [line.partition("#")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    return [line for line in lines if line]


def understood(app, words):
    """Read a command line as the program would, without doing what it says."""
    group = typer.main.get_command(app)
    context = group.make_context("app", list(words), resilient_parsing=False)
    name, command, rest = group.resolve_command(context, [*context._protected_args, *context.args])
    command.make_context(name, rest, parent=context)


def test_there_are_commands_to_try():
    assert len(commands()) >= 8


@pytest.mark.parametrize("line", commands())
def test_every_command_exists(line):
    program, *words = shlex.split(line)
    if program == "make":
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in words)
    else:
        understood(import_module(APPS[program]).app, words)


@pytest.mark.parametrize("program", APPS)
def test_every_program_and_command_has_help_that_shows_how(program):
    app = import_module(APPS[program]).app
    asked = CliRunner().invoke(app, ["--help"])
    assert asked.exit_code == 0
    assert f"{program} " in asked.output
    for name in typer.main.get_command(app).commands:
        assert CliRunner().invoke(app, [name, "--help"]).exit_code == 0


@pytest.mark.parametrize("text", blocks("toml"))
def test_the_scan_protocol_in_the_readme_is_right(text):
    assert problems(parse(text, "README.md")) == []


@pytest.mark.parametrize("text", blocks("xml"))
def test_what_gadgetron_is_told_leads_to_what_exists(text):
    execute = ET.fromstring(text).find("execute")
    assert callable(getattr(import_module(execute.get("name")), execute.get("target")))


@pytest.mark.parametrize("folder", re.findall(r"\]\(([a-z_/]+)\)", README))
def test_folders_on_the_map_exist(folder):
    assert (ROOT / folder).is_dir()


@pytest.mark.parametrize("package", ["protocols", "engines", "gadgets", "trt_build", "hw_sim"])
def test_every_package_says_in_forty_lines_what_lives_there(package):
    assert len((ROOT / package / "README.md").read_text(encoding="utf-8").splitlines()) <= 40
