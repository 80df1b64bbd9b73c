"""Addresses of the own machine, and folders of users."""

from __future__ import annotations

import pytest

from tests.p2pboard.draft.people import found_in


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from 192.168.7.20:4000", [("ip-address", "192.168.7.20")]),
        ("192.168.7.20.", [("ip-address", "192.168.7.20")]),
        ("[FE80::1234:5678]:80", [("ip-address", "FE80::1234:5678")]),
        ("fe80:0:0:0:0:0:1234:5678", [("ip-address", "fe80:0:0:0:0:0:1234:5678")]),
        ("192.168.7.2 and 192.168.7.200", []),
        ("1192.168.7.20", []),
        ("version 192.168.7.20.1", []),
        ("the router is 192.168.7.1", []),
        ("std::vector, 12:30:45, ::", []),
        ("a1:b2:c3:d4:e5:f6", [("mac-address", "a1:b2:c3:d4:e5:f6")]),
        ("A1-B2-C3-D4-E5-F6", [("mac-address", "A1-B2-C3-D4-E5-F6")]),
        ("a1b2.c3d4.e5f6", [("mac-address", "a1b2.c3d4.e5f6")]),
        ("enxa1b2c3d4e5f6", []),
        ("a1b2c3d4e5f6", [("mac-address", "a1b2c3d4e5f6")]),
        ("a1:b2:c3:d4:e5:f7", []),
    ],
)
def test_addresses_of_this_machine_are_found(text: str, found: list[tuple[str, str]]) -> None:
    assert found_in(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("/home/bob/notes.txt", ["/home/bob"]),
        ('see "/Users/bob/x"', ["/Users/bob"]),
        (r"C:\Users\bob\x", [r"C:\Users\bob"]),
        (r"C:\Documents and Settings\bob", [r"C:\Documents and Settings\bob"]),
        (r"\\server\home\bob", [r"\\server\home\bob"]),
        ("/mnt/c/Users/bob", ["/mnt/c/Users/bob"]),
        ("file:///home/bob/a", ["file:///home/bob"]),
        ("PATH=/usr/bin:/home/bob/bin", ["/home/bob"]),
        ("~bob/public", ["~bob"]),
        ("/data/people/amuster/x", ["/data/people/amuster"]),
        ("／home／bob", ["／home／bob"]),
        ("/home/user/x, /home/pi, /Users/Shared", []),
        ("https://x.example/users/bob", []),
        ("https://x.example/home/news", []),
        ("~/notes and ~5 people", []),
        ("at home/office", []),
        ("https://home/bob and https://users/bob", []),
        ("/home/x", []),
    ],
)
def test_paths_with_a_user_in_them_are_found(text: str, found: list[str]) -> None:
    assert found_in(text) == [("home-path", words) for words in found]
