"""The command line as a whole: help, version, exit codes."""

import pytest

from xsubpix.cli import main


def test_help_and_version(capsys):
    """Else nobody finds the commands."""
    for arguments in (["--help"], ["--version"], ["correlate", "--help"]):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 0
    assert "correlate" in capsys.readouterr().out
