from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RUNNER = Path(__file__).parent / "Benchmarks" / "run.py"


@pytest.fixture
def bench(tmp_path):
    def run(body: str, *options: str):
        (tmp_path / "bench_it.py").write_text(f"import json, sys\n{body}\n")
        command = [sys.executable, str(RUNNER), "--folder", str(tmp_path), *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    return run


@pytest.mark.parametrize(
    ("body", "verdict", "status"),
    [
        ('print("working"); print(json.dumps({"name": "speed", "ratio": 3, "target": 2}))', "met", 0),
        ('print(json.dumps({"benchmark": "speed", "ratio": 1, "target": 2})); sys.exit(1)', "missed", 1),
        ('print(json.dumps([{"name": "memory", "ratio": 1, "target": 2, "better": "lower"}]))', "met", 0),
        ('print(json.dumps({"results": [{"ratio": 3, "target": 2, "better": "lower"}]}))', "missed", 1),
        ('print(json.dumps({"ratio": 3}))', "no target", 0),
        ('print(json.dumps({"ratio": 3, "target": 2})); sys.exit(4)', "failed with exit status 4", 1),
        ("raise ValueError", "failed with exit status 1", 1),
        ('print("done")', "its last line is not the JSON", 1),
    ],
)
def test_the_table_says_whether_a_target_was_met(bench, body, verdict, status):
    result = bench(body)
    assert verdict in result.stdout
    assert result.returncode == status


def test_lines_of_the_benchmark_are_shown_and_a_missed_target_can_be_let_pass(bench):
    result = bench('print("working"); print(json.dumps({"ratio": 1, "target": 2}))', "--no-fail")
    assert "  working" in result.stdout
    assert result.returncode == 0


def test_an_unknown_benchmark_is_refused(bench):
    assert "there is no benchmark nothing" in bench("pass", "nothing").stderr
