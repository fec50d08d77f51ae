"""Where a device's models come from: a class is known at once, weights when first needed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pockethive.actors.documents.nearness import Nearness
from pockethive.core.errors import ModelError
from pockethive.core.ports import Embeds, Model, ModelClass
from pockethive.core.spec import ModelNeed

SCRIPTED = "scripted"
"""The name of the shipped test double: teams and devices may ask for it like for a model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """A model on this device. `load` takes seconds and belongs on the model's thread."""

    model_class: ModelClass
    load: Callable[[], Model]


def model_source(need: ModelNeed, home: Path, threads: int) -> ModelSource:
    """Find a model that is here. `threads` 0 means one per core.

    Raises:
        ModelError: the bundle is missing or damaged. UnknownModel: nobody can name it.
    """
    if need.name == SCRIPTED:
        from pockethive.inference.testing import ScriptedModel

        return ModelSource(model_class=ScriptedModel().model_class, load=ScriptedModel)
    from pockethive.inference import find_bundle, open_model
    from pockethive.inference.bundle import open_bundle
    from pockethive.inference.kernels import told_class

    folder = find_bundle(need.name, need.quantization, home)
    if folder is None:
        raise ModelError(
            f"the model {need.name} {need.quantization} is not on this device yet",
            where=str(home / "models"),
            cure=f"get it: pockethive models get {need.name} --quantization {need.quantization}",
        )
    bundle = open_bundle(folder)
    return ModelSource(
        model_class=told_class(bundle, need.arithmetic),
        load=lambda: open_model(
            need.name,
            home,
            quantization=need.quantization,
            arithmetic=need.arithmetic,
            threads=threads or None,
        ),
    )


def nearness_of(home: Path, threads: int, kept: Path | None = None) -> Nearness | None:
    """By what a device tells what its documents mean; None without a model for it in `home`.

    `kept`: the file where that is kept from one start to the next. Nothing is fetched, and nothing
    loaded before it is needed or where it would take the room that the model needs.
    """
    from pockethive.inference.embedding_bundle import find_embeddings

    if not find_embeddings(home):
        return None

    def load() -> Embeds | None:
        from pockethive.inference import usable_cores
        from pockethive.inference.embedding import find_embedder
        from pockethive.inference.footprint import check_room_for_encoder, free_memory
        from pockethive.inference.pages import resident

        check_room_for_encoder(free_memory(), resident())
        return find_embedder(home, threads or usable_cores())

    return Nearness(load, kept)
