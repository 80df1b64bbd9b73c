"""The home: private, one writer, and a token that only its user can read."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from p2pboard.errors import UserError
from p2pboard.home import Home, HomeBusy, Token, default_path

TOKEN = Token(40123, bytes(range(32)))
posix = pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX's")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_the_variable_names_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("P2PBOARD_HOME", str(tmp_path))
    assert default_path() == tmp_path


def test_without_the_variable_it_is_the_platforms_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("P2PBOARD_HOME", raising=False)
    assert default_path().name == "p2pboard"


@posix
def test_the_folder_the_token_and_the_lock_are_private(home: Home) -> None:
    home.write_token(TOKEN)
    with home.locked():
        pass
    assert mode_of(home.path) == 0o700
    assert mode_of(home.token_file) == mode_of(home.lock_file) == 0o600


def test_a_file_can_not_be_a_home(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="not a folder"):
        Home(tmp_path / "file")


def test_below_a_file_there_is_no_home(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="--home"):
        Home(tmp_path / "file" / "home")


def test_only_one_can_hold_the_lock(home: Home) -> None:
    with home.locked(), pytest.raises(HomeBusy, match="--home"), home.locked():
        pass
    with home.locked():
        pass


def test_a_killed_holder_leaves_no_lock(home: Home) -> None:
    hold = (
        "import sys, time; from pathlib import Path; from p2pboard.home import Home\n"
        "with Home(Path(sys.argv[1])).locked(): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(home.path)], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == b"held"
        with pytest.raises(HomeBusy), home.locked():
            pass
        holder.kill()
    with home.locked():
        pass


def test_a_token_is_read_as_it_was_written(home: Home) -> None:
    home.write_token(TOKEN)
    assert home.read_token() == TOKEN
    assert sorted(path.name for path in home.path.iterdir()) == ["local.json"]


def test_a_token_that_can_not_be_written_is_one_line_and_leaves_nothing(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(UserError, match="no space left"):
        home.write_token(TOKEN)
    assert list(home.path.iterdir()) == []


def test_only_its_own_token_is_removed(home: Home) -> None:
    home.write_token(TOKEN)
    home.remove_token(Token(1, bytes(32)))
    assert home.read_token() == TOKEN
    home.remove_token(TOKEN)
    assert home.read_token() is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"port": 1}',
        b'{"port": "1", "token": "%s"}' % (b"00" * 32),
        b'{"port": true, "token": "%s"}' % (b"00" * 32),
        b'{"port": 0, "token": "%s"}' % (b"00" * 32),
        b'{"port": 65536, "token": "%s"}' % (b"00" * 32),
        b'{"port": 1, "token": "00"}',
        b'{"port": 1, "token": "zz"}',
        b"\xff" * 2000,
    ],
)
def test_a_broken_token_file_is_like_none(home: Home, content: bytes) -> None:
    home.token_file.write_bytes(content)
    assert home.read_token() is None
