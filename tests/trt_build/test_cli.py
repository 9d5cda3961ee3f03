"""The builder says what it has, and promises nothing."""

import re

from typer.testing import CliRunner

from engines.driver import driver
from trt_build import cli


def test_info_names_every_part_and_the_driver():
    done = CliRunner().invoke(cli.app, ["info"])
    assert done.exit_code == 0
    for part in (*cli.PARTS, "GPU driver"):
        assert re.search(rf"^{part}\s+\S", done.output, re.MULTILINE)


def test_every_command_that_help_lists_is_there():
    done = CliRunner().invoke(cli.app, ["--help"])
    assert done.exit_code == 0
    for command in re.findall(r"scanside-build (\w+)", done.output):
        assert CliRunner().invoke(cli.app, [command, "--help"]).exit_code == 0


def test_without_a_driver_the_answer_names_the_library():
    assert driver("libthat_is_not_there.so") == "none (libthat_is_not_there.so is not installed)"


def test_the_driver_here_answers_without_raising():
    assert driver().startswith(("none", "installed", "for CUDA"))
