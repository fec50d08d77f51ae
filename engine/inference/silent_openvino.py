"""OpenVINO without its telemetry.

`import openvino` reports itself to an analytics service whenever the package `openvino_telemetry`
is installed, which OpenVINO's own requirements do. Rule guarded here: no telemetry. The package is
hidden while OpenVINO is imported, which then takes its built-in stub. A host program that imported
OpenVINO before has made its own choice, and it is left alone.
"""

import importlib
import sys

_HIDDEN = "openvino_telemetry"

if _HIDDEN in sys.modules or "openvino" in sys.modules:
    import openvino
else:
    sys.modules[_HIDDEN] = None  # type: ignore[assignment]  # makes an import fail, by language rule
    try:
        import openvino
    finally:
        del sys.modules[_HIDDEN]

opset = importlib.import_module("openvino.opset13")
transformations = importlib.import_module("openvino._offline_transformations")

__all__ = ["openvino", "opset", "transformations"]
