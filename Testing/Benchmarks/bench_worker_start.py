"""From starting the worker to its `ready`, against a Python that imports torch and monai; the two take turns.

A panel that waited for the imports could not show a case before they are done. The time until the worker has also named its device, which
takes importing torch, is shown beside. Run alone with `python Testing/Benchmarks/bench_worker_start.py`; prints a JSON line last.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "Support"))

from worker_process import Worker

from SuggestiveAnnotationLib.worker.protocol import Status

ROUNDS = 5
TARGET = 3.0


def worker_start() -> tuple[float, float]:
    """Seconds to ready and to the device."""
    with Worker() as worker:
        began = time.perf_counter()
        worker.send(Status())
        worker.until(lambda: worker.client.ready)
        ready = time.perf_counter() - began
        worker.until(lambda: worker.client.device)
        return ready, time.perf_counter() - began


def imports() -> float:
    """Seconds of a process that imports torch and monai."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch, monai"], check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> int:
    """Measure both in turns; the first round only warms the disk's cache."""
    ready, device, importing = [], [], []
    for place in range(ROUNDS + 1):
        both, baseline = worker_start(), imports()
        if place:
            ready.append(both[0])
            device.append(both[1])
            importing.append(baseline)
    ratio = median(importing) / median(ready)
    print(f"worker ready: median {median(ready):.2f} s, slowest {max(ready):.2f} s; its device known after {median(device):.2f} s")
    print(f"import torch and monai: median {median(importing):.2f} s")
    print(
        json.dumps(
            {
                "benchmark": "worker start to ready",
                "ours_s": round(median(ready), 3),
                "device_s": round(median(device), 3),
                "baseline": "importing torch and monai",
                "baseline_s": round(median(importing), 3),
                "ratio": round(ratio, 2),
                "target": TARGET,
            }
        )
    )
    return int(ratio < TARGET)


if __name__ == "__main__":
    sys.exit(main())
