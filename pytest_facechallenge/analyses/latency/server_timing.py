"""Time a model in the interpreter that has the evaluation server's onnxruntime; print what was found as JSON.

A script, not a module of the package: it runs under Python 3.6 to 3.8 with nothing but numpy and onnxruntime. The
request is a JSON file: model, images (.npy, float32 [N, 3, 112, 112], which take turns), device, threads, rounds,
warmup.
"""

import ctypes
import gc
import json
import os
import platform
import re
import subprocess
import sys
import time
from typing import Any, Dict, List, Tuple

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
QUERY = "name,driver_version,clocks.sm,clocks.max.sm"


def nvidia() -> Dict[str, Any]:
    """Return name, driver, clock and clock_max (MHz) of the first NVIDIA GPU; "" and 0 without one."""
    try:
        output = subprocess.check_output(
            ["nvidia-smi", "--query-gpu=" + QUERY, "--format=csv,noheader,nounits"],
            stderr=subprocess.DEVNULL,
            timeout=20,
            universal_newlines=True,
        )
    except (OSError, subprocess.SubprocessError):
        output = ""
    return parse_nvidia(output)


def parse_nvidia(output: str) -> Dict[str, Any]:
    """Read the first line that nvidia-smi printed for `QUERY`."""
    fields = [field.strip() for field in output.strip().split("\n")[0].split(",")]
    if len(fields) != 4:
        return {"gpu": "", "driver": "", "clock": 0, "clock_max": 0}
    clocks = [int(text) if text.isdigit() else 0 for text in fields[2:]]
    return {"gpu": fields[0], "driver": fields[1], "clock": clocks[0], "clock_max": clocks[1]}


def libraries() -> Dict[str, str]:
    """Return the versions of CUDA's runtime and cuDNN that this process has loaded; "" for those that it has not."""
    return {"cuda": _cuda(_mapped("libcudart")), "cudnn": _cudnn(_mapped("libcudnn"))}


def _mapped(name: str) -> str:
    """Return the path of a loaded shared library: libNAME.so.*, of libcudnn only the main one."""
    try:
        with open("/proc/self/maps") as maps:
            for line in maps:
                path = line.rstrip("\n").partition("/")[2]
                if re.match(name + r"\.so", os.path.basename(path)):
                    return "/" + path
    except OSError:
        pass
    return ""


def _cuda(path: str) -> str:
    number = ctypes.c_int()
    if not path or ctypes.CDLL(path).cudaRuntimeGetVersion(ctypes.byref(number)):
        return ""
    return "{}.{}".format(number.value // 1000, number.value % 1000 // 10)


def _cudnn(path: str) -> str:
    if not path:
        return ""
    function = ctypes.CDLL(path).cudnnGetVersion
    function.restype = ctypes.c_size_t
    return dotted_cudnn(function())


def dotted_cudnn(number: int) -> str:
    """Return 8005 as "8.0.5" and, in the numbering from 9 on, 90100 as "9.1.0"."""
    thousand = 10000 if number >= 90000 else 1000
    return "{}.{}.{}".format(number // thousand, number % thousand // 100, number % 100)


def runtime_name(version: str) -> str:
    """Return the runtime's name with its version; the two packages differ in whether CUDA was built in."""
    import onnxruntime

    gpu = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    return "onnxruntime{} {}".format("-gpu" if gpu else "", version)


def timed(request: Dict[str, Any]) -> Dict[str, Any]:
    """Open the model, warm it up and time single runs, as the organisers' checker does.

    The input is a numpy array and the outputs come back as such: copies to and from the GPU are part of the time.
    """
    import numpy
    import onnxruntime

    found = {"python": platform.python_version(), "runtime": runtime_name(onnxruntime.__version__)}  # type: Dict[str, Any]
    found.update(nvidia())
    available = onnxruntime.get_available_providers()
    wanted = PROVIDERS.get(request["device"], request["device"])
    if request["device"] == "auto":
        wanted = PROVIDERS["cuda"] if PROVIDERS["cuda"] in available else PROVIDERS["cpu"]
    if wanted not in available:
        found["problem"] = "{} has no {}; it has {}".format(found["runtime"], wanted, ", ".join(available))
        return found
    start = time.perf_counter()
    session = _session(request, wanted)
    found["load"] = (time.perf_counter() - start) * 1000
    found["provider"] = session.get_providers()[0]
    if found["provider"] != wanted:
        found["problem"] = "{} was asked for, but the session fell back to {}".format(wanted, found["provider"])
        return found
    images = numpy.load(request["images"])
    samples, rows, warm = _series(session, images, request["warmup"], request["rounds"])
    found.update(libraries())
    found.update(nvidia())  # again: now the clock is that of the work
    found.update({"samples": samples, "first": warm[0], "warmup": sum(warm), "warmup_runs": len(warm)})
    found["row_difference"] = _difference(session, images, rows)
    found["on_cpu"] = _left_on_cpu(request, wanted, images[:1]) if wanted != PROVIDERS["cpu"] else []
    return found


def _session(request: Dict[str, Any], provider: str, profile: bool = False) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = request["threads"]
    if profile:
        options.enable_profiling = True
        options.profile_file_prefix = "server_timing"
    return onnxruntime.InferenceSession(request["model"], options, providers=[provider])


def _series(session: Any, images: Any, warmup: int, rounds: int) -> Tuple[List[float], List[Any], List[float]]:
    """Return the samples, the newest first output for each image, and the times of the warm-up."""
    name, outputs = session.get_inputs()[0].name, [output.name for output in session.get_outputs()]
    feeds = [{name: images[i : i + 1].copy()} for i in range(len(images))]
    rows = [None] * len(feeds)  # type: List[Any]
    samples = []
    gc.disable()
    for turn in range(warmup + rounds):
        place = turn % len(feeds)
        start = time.perf_counter()
        found = session.run(outputs, feeds[place])
        samples.append((time.perf_counter() - start) * 1000)
        rows[place] = found[0]
    gc.enable()
    return samples[warmup:], rows, samples[:warmup]


def _difference(session: Any, images: Any, rows: List[Any]) -> float:
    """Return how far timed rows are from those of one batch, as `input_cycling.row_difference` does; -1 if unknown."""
    import numpy

    try:
        batch = session.run([session.get_outputs()[0].name], {session.get_inputs()[0].name: images})[0]
        whole = numpy.asarray(batch, numpy.float64).reshape(len(rows), -1)
        single = numpy.stack([numpy.asarray(row, numpy.float64).reshape(-1) for row in rows])
        largest = numpy.maximum(numpy.abs(whole).max(axis=1), 1e-30)
        difference = float((numpy.abs(whole - single).max(axis=1) / largest).max())
    except Exception:  # the model does not run on a batch, or was not run on every image
        return -1.0
    return difference if numpy.isfinite(difference) else 1e9


def _left_on_cpu(request: Dict[str, Any], provider: str, image: Any) -> List[str]:
    """Return the nodes that ran on the CPU inside a session of another provider, from a profiled run."""
    session = _session(request, provider, profile=True)
    session.run(None, {session.get_inputs()[0].name: image})
    written = session.end_profiling()
    with open(written) as file:
        events = json.load(file)
    os.remove(written)
    return nodes_on_cpu(events)


def nodes_on_cpu(events: List[Dict[str, Any]]) -> List[str]:
    """Read the runtime's profile: "where (NonZero)" for every node whose kernel ran on the CPU."""
    found = []
    for event in events:
        name, arguments = event.get("name", ""), event.get("args", {})
        if name.endswith("_kernel_time") and arguments.get("provider") == PROVIDERS["cpu"]:
            found.append("{} ({})".format(name[: -len("_kernel_time")], arguments.get("op_name", "")))
    return sorted(set(found))


def main(request_file: str) -> None:
    """Time what the request asks for and print the findings as one line of JSON."""
    with open(request_file) as file:
        request = json.load(file)
    try:
        found = timed(request)
    except Exception as error:  # whatever this old runtime raises is a finding
        found = {"problem": "{}: {}".format(type(error).__name__, " ".join(str(error).split())[:600])}
    sys.stdout.write("\n" + json.dumps(found) + "\n")


def end_with_parent() -> None:
    """Ask Linux to end this process when the one that started it ends, so that it never runs on alone."""
    if not sys.platform.startswith("linux"):
        return
    try:
        ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG, SIGKILL
    except (OSError, AttributeError):
        pass


if __name__ == "__main__":
    end_with_parent()
    main(sys.argv[1])
