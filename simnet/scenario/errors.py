"""What is wrong with a scenario."""

from __future__ import annotations


class ScenarioError(Exception):
    """One line: the file, the key, what is wrong and what is allowed."""
