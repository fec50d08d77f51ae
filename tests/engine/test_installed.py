"""Skills that packages bring: found by their entry points, and left out when they do not fit."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.cheats import digits, install
from pockethive import installed
from pockethive.actors.skill import Tools, Work
from pockethive.actors.skills import CHECKERS, SKILLS
from pockethive.inference.testing import ScriptedModel
from pockethive.vocabulary import vocabulary


@pytest.fixture(autouse=True)
def anew() -> Iterator[None]:
    """What is installed is looked up once a process."""
    for found in (installed.skills, installed.checkers):
        found.cache_clear()
    yield
    for found in (installed.skills, installed.checkers):
        found.cache_clear()


def package(folder: Path, name: str, points: str, code: str) -> None:
    about = folder / f"{name}-1.0.dist-info"
    about.mkdir()
    (folder / f"{name}.py").write_text(code)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[pockethive.skills]\n{points}\n")


def test_a_skill_of_an_installed_package_is_one_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(install(tmp_path / "site"))
    found = installed.skills()
    assert set(found) == {*SKILLS, "sum"}
    assert not vocabulary().skills["sum"].needs_model
    work = Work(task="t", name="t", skill="sum", params={"number": 12}, inputs={}, device="d")
    tools = Tools(model=None, documents=None, sign=bytes, verify=lambda *_: True)
    assert found["sum"].run(work, tools).value == {"number": 12, "answer": digits(12)}


LETTER = """
from pockethive.actors.skills.writing import Asking, written
from pockethive.core.ports import Sampling


class Letter:
    name = "letter"
    needs_model = True

    def asks(self, work):
        return Asking(user=f"Write to {work.params['to']}.", sampling=Sampling(max_tokens=40))

    def run(self, work, tools):
        return written(self, work, tools)
"""


def test_what_a_package_s_skill_writes_can_be_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package(tmp_path, "ph_letters", "letter = ph_letters:Letter", LETTER)
    monkeypatch.syspath_prepend(tmp_path)
    assert set(installed.checkers()) == {*CHECKERS, "rescore.letter"}
    words = vocabulary()
    assert words.skills["letter"].asks
    model = ScriptedModel({"Write to Ada": "Dear Ada, the oven is repaired."})
    tools = Tools(model=model, documents=None, sign=bytes, verify=lambda *_: True)
    work = Work(task="t", name="t", skill="letter", params={"to": "Ada"}, inputs={}, device="d")
    value = installed.skills()["letter"].run(work, tools).value
    assert value["text"] == "Dear Ada, the oven is repaired."
    assert installed.checkers()["rescore.letter"].check(work, value, tools).accept
    to_bob = replace(work, params={"to": "Bob"})
    assert not installed.checkers()["rescore.letter"].check(to_bob, value, tools).accept


def test_what_does_not_fit_is_left_out_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    code = "class Other:\n    name = 'other'\n    needs_model = False\n"
    package(tmp_path, "ph_broken", "gone = ph_broken:Gone", "")
    package(tmp_path, "ph_taken", "search = ph_taken:Other", code)
    package(tmp_path, "ph_odd", "other = ph_odd:Other", code)
    monkeypatch.syspath_prepend(tmp_path)
    with caplog.at_level(logging.WARNING):
        found = installed.skills()
    assert dict(found) == dict(SKILLS)
    assert "ph_broken:Gone cannot be used" in caplog.text
    assert "ph_taken:Other is left out" in caplog.text
    assert "no attribute 'run'" in caplog.text
