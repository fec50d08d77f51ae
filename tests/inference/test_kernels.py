"""The class that a device tells before it loads a model is the one that it runs."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pockethive.core.errors import ModelError, RefusedModel
from pockethive.core.spec import QUICK
from pockethive.inference import footprint, kernels
from pockethive.inference.bundle import ONNX_FILES, Bundle, Card, write_bundle
from pockethive.inference.catalogue import ONNX
from pockethive.inference.kernels import STAMP, note_kernels, told_class, with_kernels
from pockethive.inference.onnx_graph import OnnxGraph
from pockethive.inference.session import Session

TINY = Path(__file__).parents[1] / "data" / "tiny_onnx"


@pytest.fixture
def tiny(tmp_path: Path, card: Card) -> Bundle:
    """A bundle that ONNX Runtime can load."""
    made = tmp_path / "made"
    made.mkdir()
    for name in ONNX_FILES:
        source = TINY / name
        shutil.copyfile(source, made / name) if source.exists() else (made / name).write_text("{}")
    return write_bundle(made, replace(card, quantization=ONNX), tmp_path / "models" / "tiny-onnx")


def test_what_is_told_of_a_model_that_was_never_run_is_what_it_runs_with(tiny: Bundle) -> None:
    told = told_class(tiny)
    graph = OnnxGraph(tiny.folder, 2, tiny.card.context)
    assert told == with_kernels(tiny, graph.kernels)
    assert told.runtime.endswith(graph.kernels)
    assert told.id != tiny.model_class.id


def test_it_is_remembered_until_the_processor_is_another(
    tiny: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note_kernels(tiny, "0badcafe")
    assert told_class(tiny).runtime.endswith(" 0badcafe"), "no graph was loaded"
    other = tmp_path / "cpuinfo"
    other.write_text("flags : of another processor\n")
    monkeypatch.setattr(kernels, "_CPU", other)
    assert not told_class(tiny).runtime.endswith(" 0badcafe")


@pytest.mark.parametrize("stamp", ["", "{", "[]", '{"where": 1, "kernels": 2}'])
def test_a_stamp_that_says_nothing_is_made_anew(tiny: Bundle, stamp: str) -> None:
    (tiny.folder / STAMP).write_text(stamp)
    right = told_class(tiny)
    assert told_class(tiny) == right
    assert (tiny.folder / STAMP).read_text() != stamp


def test_a_bundle_for_onnx_runtime_has_one_arithmetic(tiny: Bundle) -> None:
    with pytest.raises(RefusedModel, match="ONNX Runtime has one arithmetic"):
        told_class(tiny, QUICK)
    with pytest.raises(RefusedModel, match="ONNX Runtime has one arithmetic"):
        Session(tiny, arithmetic=QUICK)


def test_no_other_arithmetic_is_known(small_bundle: Bundle) -> None:
    with pytest.raises(ModelError, match="use exact or quick"):
        told_class(small_bundle, "rough")


def test_quick_arithmetic_is_another_class_and_its_kernels_are_remembered(
    small_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note_kernels(small_bundle, "0badcafe")
    told = told_class(small_bundle, QUICK)
    assert told.runtime.endswith(" quick 0badcafe"), "no graph was loaded"
    assert told_class(small_bundle) == small_bundle.model_class != told
    monkeypatch.setattr(kernels, "_CPU", tmp_path / "none")
    with pytest.raises(ModelError, match="OpenVINO cannot load the model"):
        told_class(small_bundle, QUICK)


def test_a_bundle_for_openvino_is_asked_nothing(small_bundle: Bundle) -> None:
    assert told_class(small_bundle) == small_bundle.model_class
    assert not (small_bundle.folder / STAMP).exists()


def test_a_model_too_large_for_this_process_is_not_loaded_to_tell_its_class(
    tiny: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(footprint, "_ceiling", [1 << 20])
    with pytest.raises(RefusedModel, match="too little memory"):
        told_class(tiny)
    assert not (tiny.folder / STAMP).exists()
    note_kernels(tiny, "0badcafe")
    assert told_class(tiny).runtime.endswith(" 0badcafe"), "it takes no memory to remember"
