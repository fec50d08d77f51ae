"""Where a device's model comes from: its class is known at once, its weights when first needed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pockethive.core.errors import ModelError
from pockethive.core.ports import Model, ModelClass
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

    folder = find_bundle(need.name, need.quantization, home)
    if folder is None:
        raise ModelError(
            f"the model {need.name} {need.quantization} is not on this device yet",
            where=str(home / "models"),
            cure=f"get it: pockethive models get {need.name} --quantization {need.quantization}",
        )
    bundle = open_bundle(folder)
    return ModelSource(
        model_class=bundle.model_class,
        load=lambda: open_model(
            need.name, home, quantization=need.quantization, threads=threads or None
        ),
    )
