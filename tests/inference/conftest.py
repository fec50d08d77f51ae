"""What the tests of local models share."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pockethive.core.spec import EXACT, QUICK
from pockethive.inference import DEFAULT_MODEL, find_bundle
from pockethive.inference.bundle import MODEL_FILES, Bundle, Card, open_bundle, write_bundle
from pockethive.inference.catalogue import ONNX
from tests.inference.made import made_of

if TYPE_CHECKING:
    from pockethive.inference.session import Session


@pytest.fixture(scope="session", params=["int8", QUICK, ONNX])
def model(request: pytest.FixtureRequest, model_home: Path, model_folder: Path) -> "Session":
    """The default model with each run time and arithmetic. ONNX Runtime's variant is not made for
    tests alone: `pockethive models get --quantization int8onnx` brings it; `test_onnx_graph.py`
    always runs."""
    from pockethive.inference.session import Session

    folder = model_folder if request.param in ("int8", QUICK) else None
    folder = folder or find_bundle(DEFAULT_MODEL, request.param, model_home)
    if folder is None:
        pytest.skip(f"no {request.param} bundle in {model_home}")
    arithmetic = QUICK if request.param == QUICK else EXACT
    return Session(open_bundle(folder), threads=2, arithmetic=arithmetic)


@pytest.fixture
def card() -> Card:
    """A card that names no file yet."""
    return Card(
        name="tiny",
        quantization="int8",
        source="hf:owner/tiny",
        revision="main",
        licence="Apache-2.0",
        parameters=1000,
        context=64,
        stop_ids=(2,),
        chat="<s>{system}</s><u>{user}</u>",
        chat_bare="<u>{user}</u>",
        files={},
    )


@pytest.fixture
def small_bundle(tmp_path: Path, card: Card) -> Bundle:
    """A bundle with a sound card around files that no run time could load."""
    made = made_of(tmp_path / "made", MODEL_FILES)
    return write_bundle(made, card, tmp_path / "models" / "tiny-int8")
