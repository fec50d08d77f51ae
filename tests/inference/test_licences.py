"""Licences: which are taken, which have to be accepted by name, and where they are read."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core.errors import RefusedModel
from pockethive.inference.licences import (
    CUSTOM,
    UNSTATED,
    check_licence,
    licence_of_folder,
    permissive,
    stated_in,
    tidy,
)


@pytest.mark.parametrize(
    ("said", "usual"),
    [
        ("apache-2.0", "Apache-2.0"),
        ("Apache License, Version 2.0", "Apache-2.0"),
        ("MIT", "MIT"),
        ("bsd-3-clause", "BSD-3-Clause"),
        ("mit, apache-2.0", "MIT, Apache-2.0"),
    ],
)
def test_a_permissive_licence_is_taken_by_its_usual_name(said: str, usual: str) -> None:
    assert check_licence(said, "", "m") == usual


@pytest.mark.parametrize("said", ["llama3.2", "gemma", "cc-by-nc-4.0", "mit, gemma", "gpl-3.0"])
def test_any_other_has_to_be_accepted_by_its_own_name(said: str) -> None:
    with pytest.raises(RefusedModel, match=f"stands under the licence '{said}'") as caught:
        check_licence(said, "", "m")
    assert "--accept-licence" in str(caught.value)
    assert said in str(caught.value)
    with pytest.raises(RefusedModel, match="not 'apache"):
        check_licence(said, "apache-2.0", "m")
    assert check_licence(said, said.upper(), "m") == said


def test_a_model_that_names_none_is_refused_until_that_is_accepted() -> None:
    with pytest.raises(RefusedModel, match=r"names no licence.*--accept-licence unstated"):
        check_licence("", "", "m")
    assert check_licence("", UNSTATED, "m") == UNSTATED


def test_a_readme_says_it_in_its_head_and_nowhere_else() -> None:
    assert stated_in("---\nlanguage: en\nlicense: apache-2.0\n---\n# Model") == "apache-2.0"
    assert stated_in('---\r\nlicense: "mit"\r\n---\r\n') == "mit"
    assert stated_in("---\nlicense:\n- mit\n- gemma\ntags:\n- x\n---\n") == "mit, gemma"
    assert stated_in("---\nlicense: other\nlicense_name: tiny-1.0\n---\n") == "tiny-1.0"
    assert stated_in("---\nlicense: other\n---\n") == "other"
    assert stated_in("license: mit\n") == ""
    assert stated_in("---\ntags: x\n---\nlicense: mit\n") == ""


def test_a_folder_says_it_in_its_readme_or_in_its_licence_text(tmp_path: Path) -> None:
    assert licence_of_folder(tmp_path) == ""
    (tmp_path / "LICENSE").write_text("Somebody's own terms: pay first.")
    assert licence_of_folder(tmp_path) == CUSTOM
    (tmp_path / "LICENSE").write_text("\n    Apache License\n  Version 2.0, January 2004\n")
    assert licence_of_folder(tmp_path) == "Apache-2.0"
    (tmp_path / "README.md").write_text("---\nlicense: gemma\n---\n")
    assert licence_of_folder(tmp_path) == "gemma"


def test_the_shipped_licence_is_known_by_its_text(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "LICENSE").read_text()
    (tmp_path / "LICENSE").write_text(text)
    assert permissive(licence_of_folder(tmp_path)) == "Apache-2.0"


@given(st.text(max_size=300))
def test_whatever_a_stranger_writes_is_one_short_line_that_can_be_accepted(text: str) -> None:
    name = tidy(text)
    assert name.isprintable()
    assert tidy(name) == name
    assert len(name) <= 80
    if not all(permissive(part) for part in (name or UNSTATED).split(",")):
        assert check_licence(text, name or UNSTATED, "m") == (name or UNSTATED)


@given(st.text(max_size=200))
def test_any_readme_says_something_or_nothing(text: str) -> None:
    for readme in (text, f"---\n{text}", f"---\nlicense: {text}\n---"):
        assert stated_in(readme).isprintable()
