"""The one place that opens a session of onnxruntime, and the images made in code that it is fed."""
