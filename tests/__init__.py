"""The tests of the package.

Two processes share the tests and, mostly, two cores: threads of numerical libraries then cost more than they give, as
they wait by turning in circles. The libraries read these variables when they are loaded, and workers inherit them.
"""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
# Arrays of megabytes are made and dropped all the time: glibc keeps their memory, or the system clears it each time.
for _name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"):
    os.environ.setdefault(_name, str(256 << 20))
