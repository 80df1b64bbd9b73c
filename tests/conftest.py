"""What all tests share: the rule for tests that need more than Python."""

from __future__ import annotations

import os
import shutil
import sys

import pytest
from hypothesis import settings

# Fixed examples in the default run: a failure is the change's and not the day's. The long runs
# (make soak, make fuzz) draw anew.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("long", max_examples=20_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


def why_no_lan() -> str | None:
    """What is missing for tests between network namespaces."""
    if sys.platform != "linux":
        return "network namespaces need Linux"
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "the ip command is missing (Debian: apt install iproute2)"
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = why_no_lan()
    if missing is None:
        return
    must_run = "lan" in os.environ.get("P2PBOARD_TESTS_MUST_RUN", "").split(",")
    for item in items:
        if item.get_closest_marker("lan"):
            if must_run:
                # Not a skip: where they must run, what keeps them from it fails them.
                item.add_marker(pytest.mark.usefixtures("lan_is_missing"))
            else:
                item.add_marker(pytest.mark.skip(reason=missing))


@pytest.fixture
def lan_is_missing() -> None:
    pytest.fail(f"must run here, but {why_no_lan()}")
