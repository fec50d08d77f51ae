"""The package's face: short, frozen and light."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pockethive
from pockethive import Swarm, SwarmOptions
from pockethive.core.errors import BadInput
from pockethive.planners.context import PlanContext

HEAVY = (
    "asyncio",
    "kademlia",
    "pykka",
    "openvino",
    "numpy",
    "pydantic",
    "torch",
    "transformers",
    "rich",
)


def loaded_after(code: str) -> set[str]:
    """Modules in a fresh interpreter after `code`."""
    probe = f"import sys\n{code}\nprint(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_public_names_are_these() -> None:
    assert pockethive.__all__ == [
        "Citation",
        "Happening",
        "PocketHiveError",
        "Result",
        "Swarm",
        "SwarmOptions",
    ]
    for name in pockethive.__all__:
        assert getattr(pockethive, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Swram'"):
        _ = pockethive.Swram


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_after("import pockethive") & set(HEAVY) == set()


def test_the_help_loads_nothing_heavy() -> None:
    code = "from pockethive.cli.command_line import parser; parser().format_help()"
    assert loaded_after(code) & set(HEAVY) == set()


def test_the_dht_loads_neither_actors_nor_models() -> None:
    assert loaded_after("import pockethive.dht.node") & {"pykka", "openvino", "pydantic"} == set()


def test_a_device_without_work_for_a_model_loads_no_runtime() -> None:
    assert loaded_after("import pockethive.device") & {"openvino", "torch", "transformers"} == set()


def test_one_path_is_a_list_of_one_not_of_its_letters() -> None:
    swarm = Swarm.from_yaml("research", documents="letters", home="somewhere")
    assert swarm.options.documents == (Path("letters"),)
    assert swarm.options.home.is_absolute()


@pytest.mark.parametrize("odd", [{"threads": -4}, {"hive": ""}, {"devices": -1}])
def test_a_swarm_that_cannot_be_is_refused_before_it_starts(tmp_path: Path, odd: Any) -> None:
    with pytest.raises(BadInput):
        Swarm(Swarm.from_yaml("research").team, SwarmOptions(home=tmp_path, **odd))


@pytest.mark.parametrize("goal", [5, None])
def test_a_goal_that_is_no_text_is_bad_input(goal: Any) -> None:
    with pytest.raises(BadInput, match="a goal is text, not"):
        PlanContext(goal=goal)
