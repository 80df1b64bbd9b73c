"""Scenario files: TOML into frozen records, with every mistake told in one line.

A section of the file is a dataclass: its fields are the keys, their annotations say what is
allowed, their defaults are the defaults, and their ``:ivar`` lines say what they mean. The records
of other modules (faults, churn, workload, trouble, the options of adversaries) are sections as they
are, so a new field there is a new key here.

What an annotation can be stands in :mod:`simnet.scenario.reading`.
"""

from simnet.scenario.errors import ScenarioError
from simnet.scenario.explaining import Setting, explain
from simnet.scenario.loading import GALLERY, gallery, load, of_settings, with_strategy
from simnet.scenario.sections import STRATEGY_DEFAULT
from simnet.scenario.settings import change_setting, to_settings
from simnet.scenario.whole import OBSERVER, Adversary, Scenario, adversary_kinds
from simnet.scenario.wording import describe

__all__ = [
    "GALLERY",
    "OBSERVER",
    "STRATEGY_DEFAULT",
    "Adversary",
    "Scenario",
    "ScenarioError",
    "Setting",
    "adversary_kinds",
    "change_setting",
    "describe",
    "explain",
    "gallery",
    "load",
    "of_settings",
    "to_settings",
    "with_strategy",
]
