"""Names of models: known ones, Hugging Face ids, folders, and everything else."""

from pathlib import Path

import pytest

from pockethive.core.errors import ModelError, UnknownModel
from pockethive.inference import (
    DEFAULT_MODEL,
    find_bundle,
    get_model,
    list_missing,
    list_models,
    open_model,
    remove,
)
from pockethive.inference.bundle import Bundle
from pockethive.inference.catalogue import find_source
from pockethive.inference.workshop import Progress


def quiet(_: Progress) -> None:
    """Progress that nobody watches."""


def test_the_default_model_comes_from_a_pinned_and_hashed_wheel() -> None:
    source = find_source(DEFAULT_MODEL)
    assert source.wheel is not None
    assert "==" in source.wheel.requirement
    assert len(source.wheel.sha256) == len(source.wheel.member_sha256) == 64


def test_a_hub_id_may_carry_a_revision() -> None:
    source = find_source("owner/model@v1.2")
    assert (source.kind, source.place, source.revision) == ("hub", "owner/model", "v1.2")
    assert find_source("owner/model").revision == "main"


def test_a_folder_is_a_source_whose_path_stays_out_of_its_card(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    source = find_source(str(tmp_path))
    assert (source.kind, source.name) == ("folder", tmp_path.name)
    assert str(tmp_path) not in source.described


@pytest.mark.parametrize("name", ["./nothing-here", "/nothing/here", "~nobody/model"])
def test_a_path_without_a_model_says_so(name: str) -> None:
    with pytest.raises(UnknownModel, match="no such folder"):
        find_source(name)


def test_a_misspelt_name_gets_the_nearest_one() -> None:
    with pytest.raises(UnknownModel, match=f"did you mean {DEFAULT_MODEL}"):
        find_source("smolm2-135m-instruct")


def test_a_known_model_that_is_not_here_names_the_command_that_gets_it(tmp_path: Path) -> None:
    assert find_bundle(DEFAULT_MODEL, "int8", tmp_path) is None
    with pytest.raises(ModelError, match="pockethive models get"):
        open_model(DEFAULT_MODEL, tmp_path)


def test_a_bundle_is_found_by_name_and_by_path(small_bundle: Bundle, tmp_path: Path) -> None:
    assert find_bundle("tiny", "int8", tmp_path) == small_bundle.folder
    assert find_bundle(str(small_bundle.folder), "int8", tmp_path / "no") == small_bundle.folder


def test_the_list_shows_damaged_bundles_and_missing_known_models(
    small_bundle: Bundle, tmp_path: Path
) -> None:
    [sound] = list_models(tmp_path)
    assert (sound.name, sound.fault, sound.size) == ("tiny", "", small_bundle.size)
    (small_bundle.folder / "card.json").write_text("{}", encoding="utf-8")
    [damaged] = list_models(tmp_path)
    assert damaged.name == "tiny"
    assert "cannot be read" in damaged.title
    assert [each.name for each in list_missing(tmp_path)] == [DEFAULT_MODEL]


def test_removing_needs_a_name_that_is_here(small_bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match="did you mean tiny"):
        remove("tinny", tmp_path)
    with pytest.raises(UnknownModel):
        remove("tiny", tmp_path, "int4")
    assert remove("tiny", tmp_path, "int8") > small_bundle.size
    assert list_models(tmp_path) == []


def test_a_quantization_nobody_offers_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="no quantization is called 'int3'"):
        get_model(DEFAULT_MODEL, "int3", tmp_path, progress=quiet)
    assert list(tmp_path.iterdir()) == []
