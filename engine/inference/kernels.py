"""Whether another device's numbers are ours, known without loading the model.

A run time picks its kernels by the processor. Where that shows in a model's numbers (`OnnxGraph`,
and `PagedGraph` in quick arithmetic), its class names them by a probe of the loaded graph, and a
device tells its class before it loads anything. Guards: what is told and what is run have one
class; a home that moves to another processor, or gets another version of the run time, is probed
anew.
"""

import hashlib
import platform
from dataclasses import replace
from pathlib import Path
from typing import Final

from pockethive.core.errors import ModelError, RefusedModel
from pockethive.core.ports import ModelClass
from pockethive.core.spec import ARITHMETICS, EXACT, NO_CHOICE, NO_CHOICE_CURE, QUICK
from pockethive.inference.bundle import Bundle
from pockethive.inference.bundle_files import read_stamp, write_stamp
from pockethive.inference.footprint import check_memory, free_memory, loaded_parts

STAMP: Final = ".kernels"
_CPU: Final = Path("/proc/cpuinfo")
_TELLING: Final = ("model name", "flags", "Features", "CPU implementer", "CPU part")


def told_class(bundle: Bundle, arithmetic: str = EXACT) -> ModelClass:
    """The class of a bundle as this device runs it.

    One whose kernels tell and that was never run here is loaded once: half a second with ONNX
    Runtime, two in quick arithmetic. Raises ModelError where it cannot be (RefusedModel: nothing
    was loaded, for want of memory).
    """
    check_arithmetic(bundle, arithmetic)
    if not bundle.for_onnx and arithmetic == EXACT:
        return bundle.model_class
    kernels = _read(bundle)
    if kernels is None:
        kernels = _shown(bundle)
        note_kernels(bundle, kernels)
    return with_kernels(bundle, kernels)


def with_kernels(bundle: Bundle, kernels: str) -> ModelClass:
    """The class of a bundle whose numbers are those of these kernels; empty: of any."""
    told = bundle.class_in(QUICK if kernels else EXACT)
    return replace(told, runtime=f"{told.runtime} {kernels}".rstrip())


def check_arithmetic(bundle: Bundle, arithmetic: str) -> None:
    """Raises ModelError where a bundle is not run so."""
    if arithmetic not in ARITHMETICS:
        raise ModelError(
            f"no arithmetic is called {arithmetic!r}", cure=f"use {' or '.join(ARITHMETICS)}"
        )
    if bundle.for_onnx and arithmetic == QUICK:
        raise RefusedModel(NO_CHOICE, where=str(bundle.folder), cure=NO_CHOICE_CURE)


def _shown(bundle: Bundle) -> str:
    """What the loaded graph shows. Raises RefusedModel where memory would not suffice."""
    check_memory(loaded_parts(bundle), free_memory(), str(bundle.folder))
    if bundle.for_onnx:
        from pockethive.inference.onnx_graph import OnnxGraph

        return OnnxGraph(bundle.folder, 1, bundle.card.context).kernels
    from pockethive.inference.paged import FAST, PagedGraph

    return PagedGraph(bundle.folder, 1, FAST).kernels


def note_kernels(bundle: Bundle, kernels: str) -> None:
    """Remember what the loaded graph showed; on a read-only disk it is probed again each time."""
    if not kernels or _read(bundle) == kernels:
        return
    write_stamp(bundle.folder, STAMP, {"where": _where(bundle), "kernels": kernels})


def _read(bundle: Bundle) -> str | None:
    stamp = read_stamp(bundle.folder, STAMP)
    if not isinstance(stamp, dict) or stamp.get("where") != _where(bundle):
        return None
    kernels = stamp.get("kernels")
    return kernels if isinstance(kernels, str) else None


def _where(bundle: Bundle) -> str:
    """Card, run time and processor."""
    told = bundle.class_in(QUICK)  # in exact arithmetic nothing is remembered
    lines = _CPU.read_text(encoding="utf-8", errors="replace").splitlines() if _CPU.exists() else []
    cores = sorted({line for line in lines if line.startswith(_TELLING)})
    parts = (told.id, platform.machine(), platform.processor(), *cores)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
