"""Judge a face-recognition challenge submission: every rule a pytest test, every verdict with its evidence.

Importing this package imports nothing heavy (no numpy, onnx, onnxruntime or rich): pytest loads the plugin in
every run of every project it is installed in, and such a run must not pay for it.
"""

__version__ = "0.1.0"
