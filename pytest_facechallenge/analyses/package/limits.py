"""How much of a submission is looked at. Going over any of these is a finding of its own, never a silent cut."""

from __future__ import annotations

#: Bytes that are copied or unpacked. Four times the largest size that any rule allows; it only bounds the damage.
MAX_BYTES = 4 << 30
#: Files that are listed and counted one by one.
MAX_ENTRIES = 1_000
#: Names of a folder that are read at all.
MAX_NAMES = 1_000_000
#: Folders inside each other, and bytes of a path inside the submission.
MAX_DEPTH = 32
MAX_PATH_BYTES = 1_024
#: Bytes of an archive's list of entries: 1,000 entries need about 100 kB.
MAX_DIRECTORY_BYTES = 16 << 20
#: Deflate reaches about 1,030 : 1; network weights hardly compress. Beyond this, and beyond 64 MiB, it is a bomb.
MAX_RATIO = 200
RATIO_FREE_BYTES = 64 << 20
#: System files (.DS_Store, Thumbs.db) are small.
MAX_JUNK_BYTES = 16 << 20
#: The same under the name of a model ("._model.onnx" of macOS has some hundred bytes): no face recognition network is
#: so small, and another program may take a larger one for the model.
MAX_MODEL_JUNK_BYTES = 32 << 10
#: Findings that are written out; the rest is counted.
MAX_PROBLEMS = 100

BLOCK = 1 << 20
