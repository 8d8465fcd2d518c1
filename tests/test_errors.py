"""Errors that cross a process keep their text, their class and what they hold."""

from __future__ import annotations

import pickle

import pytest

from spillover import errors
from spillover.errors import ConfigurationError, SpilloverError

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, SpilloverError) and kind is not ConfigurationError
]


@pytest.mark.parametrize("kind", KINDS)
def test_errors_come_back_whole_from_other_processes(kind: type[SpilloverError]) -> None:
    error = kind("it is wrong", got="3", expected="4", causes=("one", "two"), fix="try 4")
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is kind
    assert str(back) == str(error)
    assert back.what == "it is wrong"


def test_the_problems_of_a_configuration_come_back_too() -> None:
    error = ConfigurationError("two mistakes", problems=["n = 0", "t = 0"])
    back = pickle.loads(pickle.dumps(error))
    assert back.problems == ("n = 0", "t = 0")
    assert str(back) == str(error)
