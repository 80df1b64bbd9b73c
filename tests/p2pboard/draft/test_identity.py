"""Who uses this machine: read from what is there, with nobody asked."""

from __future__ import annotations

import os
import socket
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from p2pboard.draft import identity
from p2pboard.draft.identity import read_identity

posix = pytest.mark.skipif(sys.platform == "win32", reason="accounts and scripts are POSIX's")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder with nothing in it, and variables that say nothing."""
    for name in os.environ:
        if name not in ("SYSTEMROOT", "TMPDIR", "TEMP"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    return tmp_path


def test_this_machine_can_be_read_without_a_word_to_the_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("a look-up")

    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getfqdn"):
        monkeypatch.setattr(socket, name, forbidden)
    monkeypatch.setattr(socket.socket, "connect", forbidden)
    monkeypatch.setattr(socket.socket, "sendto", forbidden)
    found = read_identity()
    assert socket.gethostname() in found.hosts
    assert not any(address.is_loopback for address in found.addresses)
    assert all(len(mac) == 12 and int(mac, 16) for mac in found.macs)


def test_variables_name_the_user(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "amuster")
    monkeypatch.setenv("SUDO_USER", "anna")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Anna Muster")
    monkeypatch.setenv("EMAIL", "anna@example.org")
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    monkeypatch.setenv("LC_TELEPHONE", "de_AT.UTF-8")
    found = read_identity()
    assert {"anna", "amuster"} <= set(found.users)
    assert "Anna Muster" in found.full_names
    assert found.emails == ("anna@example.org",)
    assert found.region == "AT"
    assert found.homes == (str(home),)


@posix
def test_the_account_has_a_full_name(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    fields = ("amuster", "x", 1, 1, "Anna &,room 3.14,,", str(home), "/bin/sh")
    monkeypatch.setattr(pwd, "getpwuid", lambda _: pwd.struct_passwd(fields))
    found = read_identity()
    assert (found.users, found.full_names) == (("amuster",), ("Anna amuster",))


@posix
def test_an_account_without_a_name_has_none(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    def nobody(_: int) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert read_identity().users == ()


def test_git_knows_a_name_for_each_occasion(home: Path) -> None:
    (home / ".gitconfig").write_text(
        '# mine\n[core]\n\tname = editor\n[User]\n\tname = "Anna Muster"  ; me\n'
        "\temail=anna@example.org\n"
        '[includeIf "gitdir:~/work/"]\n\tpath = ~/.gitconfig-work\n'
        "[include]\n\tpath = .gitconfig\n\tpath = missing\n"
    )
    (home / ".gitconfig-work").write_text("[user]\nemail = amuster@corp.example\n")
    (home / ".config" / "git").mkdir(parents=True)
    (home / ".config" / "git" / "config").write_text("[user]\n  name = Änna\n", "utf-8")
    found = read_identity()
    assert set(found.emails) == {"anna@example.org", "amuster@corp.example"}
    assert {"Anna Muster", "Änna"} <= set(found.full_names)
    assert "editor" not in found.full_names


def test_settings_that_include_each_other_end(home: Path) -> None:
    for number in range(40):
        (home / f"c{number}").write_text(f"[include]\npath = c{number + 1}\npath = .gitconfig\n")
    (home / ".gitconfig").write_text("[include]\npath = c0\n[user]\nemail = anna@example.org\n")
    assert read_identity().emails == ("anna@example.org",)


def test_settings_that_are_no_text_say_nothing(home: Path) -> None:
    (home / ".gitconfig").write_bytes(b"\xff\xfe[user\n name\x00=\n[[]]" + bytes(1000))
    assert read_identity().emails == ()


def test_files_name_hosts_and_domains(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = {
        "/etc/hosts": ["127.0.1.1 pc0142.acme.example pc0142 # me", "10.0.0.1 server", "", "#"],
        "/etc/resolv.conf": ["nameserver 10.0.0.1", "search berlin.acme.example acme.example."],
    }
    monkeypatch.setattr(identity, "_lines", lambda path: lines.get(path.as_posix(), []))
    monkeypatch.setattr(socket, "gethostname", lambda: "anna-laptop.local")
    found = read_identity()
    assert set(found.hosts) == {
        *("pc0142.acme.example", "pc0142", "anna-laptop.local", "anna-laptop"),
    }
    assert set(found.domains) == {"acme.example", "berlin.acme.example", "local"}


def an_nmcli(home: Path, script: str) -> None:
    program = home / "bin" / "nmcli"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@posix
@pytest.mark.parametrize(
    ("script", "networks"),
    [
        ("printf 'ACME-Staff 5G\\nlo\\nvpn: b\\n'", ["ACME-Staff 5G", "lo", "vpn: b"]),
        ("echo 'NetworkManager is not running' >&2; exit 8", []),
        ("echo nonsense; exit 1", []),
    ],
)
def test_network_manager_names_the_networks(
    home: Path, script: str, networks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    an_nmcli(home, script)
    monkeypatch.setattr(identity, "_unusual_interfaces", list)
    assert list(read_identity().networks) == networks


@posix
def test_a_network_manager_that_can_not_be_started_names_none(home: Path) -> None:
    (home / "bin" / "nmcli").write_text("#!/nonexistent/interpreter\n")
    (home / "bin" / "nmcli").chmod(0o755)
    assert identity._connections() == []


class Adapter:
    def __init__(self, name: str, *ips: Any) -> None:
        self.name = name
        self.ips = [type("IP", (), {"ip": ip}) for ip in ips]


def test_interfaces_have_addresses_and_sometimes_telling_names(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapters = [
        Adapter("lo", "127.0.0.1", ("::1", 0, 0)),
        Adapter("wlp3s0", "192.168.7.20", ("fe80::1", 0, 3), ("fe80::2%eth0", 0, 3)),
        *(Adapter(name) for name in ("eth0", "enx00e04c680001", "docker0", "br-0a1b2c3d", "tun0")),
        Adapter("wg-acme"),
    ]
    monkeypatch.setattr(identity.ifaddr, "get_adapters", lambda: adapters)
    found = read_identity()
    assert found.addresses == tuple(map(ip_address, ("192.168.7.20", "fe80::1", "fe80::2")))
    assert found.networks == ("wg-acme",)
