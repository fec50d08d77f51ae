"""A bundle is used only if its files are those that its card names."""

import os
from dataclasses import asdict, replace
from pathlib import Path

import orjson
import pytest

from pockethive.core.errors import BadInput, ModelError
from pockethive.inference.bundle import (
    CARD,
    MODEL_FILES,
    ONNX_FILES,
    Bundle,
    Card,
    bundle_folder,
    find_bundles,
    open_bundle,
    parse_card,
    read_card,
    remove_bundle,
    slug,
    write_bundle,
)
from pockethive.inference.catalogue import FOR_ONNX
from tests.inference.made import made_of


def test_a_written_bundle_opens_and_names_its_files(small_bundle: Bundle) -> None:
    again = open_bundle(small_bundle.folder)
    assert again.card == small_bundle.card
    assert set(again.card.files) == set(MODEL_FILES)
    assert again.model_class.sha256 == again.card.sha256


def test_what_its_weights_are_called_says_which_run_time_reads_it(
    small_bundle: Bundle, card: Card, tmp_path: Path
) -> None:
    for quantization in FOR_ONNX:
        made = made_of(tmp_path / f"for-{quantization}", ONNX_FILES)
        named = replace(card, quantization=quantization)
        other = write_bundle(made, named, tmp_path / "models" / f"tiny-{quantization}")
        assert set(other.card.files) == set(ONNX_FILES)
    assert other.weights.read_text(encoding="utf-8") == "content of model.onnx.data"
    assert other.model_class.runtime.startswith("onnxruntime ")
    assert small_bundle.model_class.runtime.startswith("openvino ")
    with pytest.raises(ModelError, match=r"must name openvino_model\.bin"):
        parse_card(orjson.dumps(asdict(replace(other.card, quantization="int8").sealed())), "here")


def test_the_same_files_and_card_give_the_same_hash(
    small_bundle: Bundle, card: Card, tmp_path: Path
) -> None:
    made = made_of(tmp_path / "again", MODEL_FILES)
    other = write_bundle(made, card, tmp_path / "elsewhere" / "tiny")
    assert other.card.sha256 == small_bundle.card.sha256


def test_a_changed_file_is_found_even_when_its_size_is_the_same(small_bundle: Bundle) -> None:
    weights = small_bundle.folder / "openvino_model.bin"
    weights.write_bytes(b"X" * weights.stat().st_size)
    with pytest.raises(ModelError, match="is not the file that the card names"):
        open_bundle(small_bundle.folder)


def test_the_fast_check_trusts_size_and_time_and_the_full_one_does_not(
    small_bundle: Bundle,
) -> None:
    weights = small_bundle.folder / "openvino_model.bin"
    before = weights.stat()
    weights.write_bytes(b"X" * before.st_size)
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert open_bundle(small_bundle.folder).card == small_bundle.card
    with pytest.raises(ModelError):
        open_bundle(small_bundle.folder, full=True)


def test_a_missing_file_is_named(small_bundle: Bundle) -> None:
    (small_bundle.folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"tokenizer\.json is missing"):
        open_bundle(small_bundle.folder)


def test_an_edited_card_is_refused(small_bundle: Bundle) -> None:
    path = small_bundle.folder / CARD
    raw = orjson.loads(path.read_bytes())
    raw["licence"] = "public domain"
    path.write_bytes(orjson.dumps(raw))
    with pytest.raises(ModelError, match="the card was changed"):
        read_card(small_bundle.folder)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"files": 3}', b"\xff", b"[" * 100_000])
def test_a_card_that_is_no_card_is_a_clear_error(small_bundle: Bundle, body: bytes) -> None:
    (small_bundle.folder / CARD).write_bytes(body)
    with pytest.raises(ModelError, match="the card cannot be read"):
        read_card(small_bundle.folder)


def test_a_card_that_names_a_file_outside_is_refused(small_bundle: Bundle) -> None:
    path = small_bundle.folder / CARD
    raw = orjson.loads(path.read_bytes())
    raw["files"]["../../secret"] = raw["files"].pop("tokenizer.json")
    path.write_bytes(orjson.dumps(raw))
    with pytest.raises(ModelError, match="it must name"):
        open_bundle(small_bundle.folder)


def test_a_failed_write_leaves_nothing_behind(card: Card, tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    target = tmp_path / "models" / "tiny-int8"
    with pytest.raises(FileNotFoundError):
        write_bundle(made, card, target)
    assert find_bundles(tmp_path) == []


def test_a_removed_bundle_is_gone_and_its_bytes_are_counted(
    small_bundle: Bundle, tmp_path: Path
) -> None:
    assert find_bundles(tmp_path) == [small_bundle.folder]
    assert remove_bundle(small_bundle.folder) > small_bundle.size
    assert find_bundles(tmp_path) == []
    assert list((tmp_path / "models").iterdir()) == []


def test_chat_forms_fill_places_once_and_fall_back_without_a_system_text(card: Card) -> None:
    told = card.chat_prompt({"system": "{user}", "user": "hello"})
    assert told == "<s>{user}</s><u>hello</u>"
    assert card.chat_prompt({"system": "", "user": "hello"}) == "<u>hello</u>"
    with pytest.raises(BadInput, match="asks for user"):
        card.chat_prompt({"system": ""})


def test_names_make_folders_that_stay_inside_the_home(tmp_path: Path) -> None:
    assert slug("Owner/Model-1.5B") == "owner-model-1.5b"
    assert slug("../..") == "model"
    assert bundle_folder(tmp_path, "../../etc", "int8").parent == tmp_path / "models"
