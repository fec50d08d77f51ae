"""What the tests of local models share."""

from pathlib import Path

import pytest

from pockethive.inference.bundle import MODEL_FILES, Bundle, Card, write_bundle


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
    made = tmp_path / "made"
    made.mkdir()
    for name in MODEL_FILES:
        (made / name).write_text(f"content of {name}", encoding="utf-8")
    return write_bundle(made, card, tmp_path / "models" / "tiny-int8")
