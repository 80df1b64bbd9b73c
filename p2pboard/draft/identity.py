"""Who uses this machine, and what it is called: all that can be had without asking anybody.

Read anew for each check, from the operating system and a few files of the user's; nothing is looked
up in the network (so not by ``socket.getfqdn``, which asks a name server), no privilege is needed,
and a source that isn't there is none. The full name comes from POSIX' account database and from
git's settings; on Windows only from the latter.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import ifaddr

#: Variables that name the account; the first two also where somebody else started the program.
_USER_VARIABLES = ("SUDO_USER", "DOAS_USER", "LOGNAME", "USER", "USERNAME")
_NAME_VARIABLES = ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "DEBFULLNAME")
_EMAIL_VARIABLES = ("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL", "EMAIL", "DEBEMAIL")
_HOST_VARIABLES = ("HOSTNAME", "COMPUTERNAME")
_DOMAIN_VARIABLES = ("USERDNSDOMAIN",)
#: The most telling first: where somebody set how phone numbers look, that says where they live.
_REGION_VARIABLES = ("LC_ALL", "LC_TELEPHONE", "LC_ADDRESS", "LC_MONETARY", "LANG")
#: Interfaces that each machine has; others are named by their owner, or after a company.
_USUAL_INTERFACE = re.compile(
    r"(lo|eth|en|wl|ww|wlan|wifi|tun|tap|utun|ppp|docker|br|bridge|veth|virbr|vnet|vmnet|vboxnet"
    r"|wg|tailscale|zt|awdl|llw|anpi|ap|gif|stf|sit|dummy|bond|team|ib|cni|flannel|cali|lxc|lxd)"
    r"(?:[-.]?[0-9a-f]*\d[0-9a-f]*|[psofxd]\w*\d\w*)?(?:@\w+)?",
    re.IGNORECASE,
)
#: Longer than any settings file that a person keeps.
_FILE_BYTES_MAX = 256 * 1024
#: More than anybody includes; guess.
_GIT_FILES_MAX = 16
#: NetworkManager answers in some 20 ms; one that hangs is not waited for. Guess.
_NETWORKS_S_MAX = 1.0

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Identity:
    """What must not be in a draft. Each may be empty.

    :ivar users: names of the account.
    :ivar full_names: as their owner writes them ("Anna Maria Schmidt").
    :ivar emails: the user's own.
    :ivar hosts: what the machine is called, with and without its domain.
    :ivar domains: in which names are completed here.
    :ivar networks: what the networks and interfaces that the machine is on are called.
    :ivar addresses: of the interfaces, those of the loopback left out.
    :ivar macs: twelve hex digits each.
    :ivar homes: the user's folder.
    :ivar region: ISO 3166 code of the country in which phone numbers are likely; None if unknown.
    """

    users: tuple[str, ...] = ()
    full_names: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    addresses: tuple[Address, ...] = ()
    macs: tuple[str, ...] = ()
    homes: tuple[str, ...] = ()
    region: str | None = None


def read_identity() -> Identity:
    """Whose machine this is. Takes some milliseconds, more where NetworkManager is asked."""
    users, gecos = _accounts()
    git_names, git_emails = _git_settings(Path.home())
    hosts = _hosts()
    domains = [*_domains_of(hosts), *_search_domains(), *_variables(_DOMAIN_VARIABLES)]
    return Identity(
        users=_distinct(users),
        full_names=_distinct([*gecos, *git_names, *_variables(_NAME_VARIABLES)]),
        emails=_distinct([*git_emails, *_variables(_EMAIL_VARIABLES)]),
        hosts=_distinct(hosts),
        domains=_distinct(domains),
        networks=_distinct([*_connections(), *_unusual_interfaces()]),
        addresses=tuple(_addresses()),
        macs=_distinct(_macs()),
        homes=_distinct([str(Path.home())]),
        region=_region(),
    )


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in names if name.strip()))


def _variables(names: Iterable[str]) -> list[str]:
    return [os.environ.get(name, "") for name in names]


def _lines(path: Path) -> list[str]:
    """The lines of a file; none where it can't be read, which others' files may well be."""
    try:
        with path.open("rb") as file:
            return file.read(_FILE_BYTES_MAX).decode("utf-8", "replace").splitlines()
    except OSError:
        return []


# --- The account ----------------------------------------------------------------------------------


def _accounts() -> tuple[list[str], list[str]]:
    """Names of the account, and full names."""
    users = _variables(_USER_VARIABLES)
    if sys.platform == "win32":
        return users, []
    import pwd

    full_names = []
    try:
        entry = pwd.getpwuid(os.getuid())
    except KeyError:  # a container's number without a name
        return users, []
    full_names.append(entry.pw_gecos.split(",")[0].replace("&", entry.pw_name))
    return [*users, entry.pw_name], full_names


def _git_settings(home: Path) -> tuple[list[str], list[str]]:
    """Names and addresses that the user signs commits with.

    Read from the files, not by asking git: where it isn't installed, some systems answer with a
    window that offers to. Conditional includes are followed, whatever their condition.
    """
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    names: list[str] = []
    emails: list[str] = []
    files = [home / ".gitconfig", config / "git" / "config"]
    for path in files:  # which grows while it is gone through
        for section, key, value in _git_lines(path):
            if (section, key) == ("user", "name"):
                names.append(value)
            elif (section, key) == ("user", "email"):
                emails.append(value)
            elif section in ("include", "includeif") and key == "path":
                included = path.parent / Path(value.replace("~", str(home), 1))
                if included not in files and len(files) < _GIT_FILES_MAX:
                    files.append(included)
    return names, emails


def _git_lines(path: Path) -> Iterator[tuple[str, str, str]]:
    """Section, key and value of each setting; what is more than git's usual form is left out."""
    section = ""
    for line in _lines(path):
        if header := re.match(r'\s*\[\s*([\w.-]+)(?:\s+".*")?\s*\]', line):
            section = header[1].lower()
        elif setting := re.match(r"\s*([\w-]+)\s*=\s*(.*?)\s*$", line):
            value = re.sub(r"\s+[#;][^\"]*$", "", setting[2])
            yield section, setting[1].lower(), value.replace('"', "")


# --- The machine ----------------------------------------------------------------------------------


def _hosts() -> list[str]:
    hosts = [socket.gethostname(), *_variables(_HOST_VARIABLES)]
    for line in _lines(Path("/etc/hosts")):
        address, *names = line.partition("#")[0].split() or [""]
        if address.startswith("127.") or address == "::1":
            hosts += names
    return [part for host in hosts for part in (host, host.partition(".")[0])]


def _domains_of(hosts: Iterable[str]) -> list[str]:
    return [host.partition(".")[2] for host in hosts]


def _search_domains() -> list[str]:
    rows = [line.split() for line in _lines(Path("/etc/resolv.conf"))]
    named = [row[1:] for row in rows if row and row[0] in ("search", "domain")]
    return [name.strip(".") for names in named for name in names]


def _addresses() -> Iterator[Address]:
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            text = ip.ip if isinstance(ip.ip, str) else ip.ip[0]
            address = ip_address(text.partition("%")[0])
            if not address.is_loopback:
                yield address


def _unusual_interfaces() -> list[str]:
    names = [str(adapter.name) for adapter in ifaddr.get_adapters()]
    return [name for name in names if not _USUAL_INTERFACE.fullmatch(name)]


def _macs() -> list[str]:
    if sys.platform == "linux":
        paths = sorted(Path("/sys/class/net").glob("*/address"))
        found = [line.replace(":", "") for path in paths for line in _lines(path)]
        return [mac for mac in found if len(mac) == 12 and mac.strip("0")]
    node = uuid.getnode()
    # With this bit it is one that Python drew by lot, finding none (RFC 4122, 4.5).
    return [] if node >> 40 & 1 else [f"{node:012x}"]


def _connections() -> list[str]:
    """Names of the connections that are up, as NetworkManager calls them: those of Wi-Fi networks,
    mostly. Other systems tell them to nobody without a privilege, or not in a stable form."""
    program = shutil.which("nmcli")
    if program is None:
        return []
    command = [program, "--terse", "--escape", "no", "--fields", "NAME", "connection", "show"]
    try:
        done = subprocess.run(
            [*command, "--active"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_NETWORKS_S_MAX,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.decode("utf-8", "replace").splitlines() if done.returncode == 0 else []


def _region() -> str | None:
    for value in _variables(_REGION_VARIABLES):
        if found := re.match(r"[a-z]{2,3}_([A-Z]{2})\b", value):
            return found[1]
    return None
