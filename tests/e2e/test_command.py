"""The command line itself (config.md G.14: exit 0 done, 1 failed, 2 usage, 78 configuration)."""
import subprocess

import pytest

pytestmark = pytest.mark.quick


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_version_names_the_program_on_standard_output(weir_bin):
    done = run(weir_bin, "version")
    assert done.returncode == 0
    assert done.stdout.startswith("weir ")
    assert done.stderr == ""


def test_no_command_and_an_unknown_one_are_usage_errors(weir_bin):
    for arguments in [], ["fly"]:
        done = run(weir_bin, *arguments)
        assert done.returncode == 2
        assert "usage: weir" in done.stderr
        assert done.stdout == ""
