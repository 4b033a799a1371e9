"""Everything that continuous integration runs, group by group, with one line at the end that says how it went.

``make test`` calls this. It installs Debian's chromium where that is missing and may be installed, says what it
skipped and why, and exits with 1 if anything failed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
INSTALL_SECONDS = 300
NO_TESTS_COLLECTED = 5

# Tiny models are slowed down by a second thread, so each core runs tests. Those of a file share what they set up.
ON_EVERY_CORE = ("-n", "logical", "--dist", "loadfile")
# Name, marks, the threads that torch may use, and further arguments.
GROUPS: tuple[tuple[str, str, int | None, tuple[str, ...]], ...] = (
    ("Fast suite: a tiny random model and a hash embedder", "not e2e and not browser and not faults", 1, ON_EVERY_CORE),
    ("Faults: kills, full disks, hostile files", "faults and not e2e and not browser", 1, ON_EVERY_CORE),
    ("End to end: the sample bot on the bundled models", "e2e and not browser", None, ()),
    ("Browser: the page in a headless Chromium", "browser", None, ()),
)


@dataclass(frozen=True)
class Outcome:
    """How a group ended.

    Attributes:
        name: Name of the group.
        passed: Tests that passed.
        failed: Tests that failed or could not be run.
        skipped: Tests that were left out.
        seconds: Time taken, in seconds.
    """

    name: str
    passed: int
    failed: int
    skipped: int
    seconds: float


def main() -> int:
    """Run all groups and return the exit code."""
    outcomes = [check("Style", ["ruff", "check", "."]), check("Types", ["mypy"])]
    for name, marks, threads, more in GROUPS:
        if marks.startswith("e2e"):
            outcomes.append(build_sample())
        if marks == "browser":
            provide_browser()
        outcomes.append(run_group(name, marks, threads, more))
    heading("Summary")
    for outcome in outcomes:
        print(
            f"{outcome.name}: {outcome.passed} passed, {outcome.failed} failed, {outcome.skipped} skipped "
            f"({outcome.seconds:.0f} s)"
        )
    passed, failed, skipped = (
        sum(getattr(outcome, kind) for outcome in outcomes) for kind in ("passed", "failed", "skipped")
    )
    print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    return 1 if failed else 0


def heading(text: str) -> None:
    """Print a heading that is found again in a long log."""
    print(f"\n=== {text} ===", flush=True)


def check(name: str, command: list[str]) -> Outcome:
    """Run a tool of the environment that this script runs in; it counts as one test."""
    heading(name)
    started = time.perf_counter()
    code = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=False).returncode
    return Outcome(name, int(code == 0), int(code != 0), 0, time.perf_counter() - started)


def build_sample() -> Outcome:
    """Build the sample bot with its progress on the screen; an up-to-date one is kept."""
    return check("Building the sample bot", ["demo", "build", "data/bot.yaml"])


def run_group(name: str, marks: str, threads: int | None, more: Sequence[str]) -> Outcome:
    """Run the tests with some marks in a process of their own."""
    heading(name)
    environment = dict(os.environ)
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        asked = ["-q", "-ra", "-m", marks, f"--junitxml={report}", "--durations=5", *more]
        command = [sys.executable, "-m", "pytest", *asked]
        code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        passed, failed, skipped = counts(report)
    if code == NO_TESTS_COLLECTED:
        print("There are no tests in this group.")
    elif code and not failed:
        failed = 1  # pytest itself ended badly
    return Outcome(name, passed, failed, skipped, time.perf_counter() - started)


def counts(report: Path) -> tuple[int, int, int]:
    """Read how many tests passed, failed and were skipped from pytest's XML report; zeros where there is none."""
    if not report.is_file():
        return 0, 0, 0
    total = failed = skipped = 0
    for suite in ElementTree.parse(report).getroot().iter("testsuite"):
        total += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
    return max(0, total - failed - skipped), failed, skipped


def provide_browser() -> None:
    """Install Debian's chromium where it is missing and this may be done; otherwise say what is skipped."""
    if any(shutil.which(name) for name in BROWSERS):
        return
    heading("Installing chromium")
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        print("No chromium was found, and it can only be installed by root with apt-get: browser tests are skipped.")
        return
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", "chromium"]):
        try:
            done = subprocess.run(
                ["apt-get", *command],
                env=environment,
                capture_output=True,
                text=True,
                timeout=INSTALL_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            print(f"apt-get {command[0]} took over {INSTALL_SECONDS} s: browser tests are skipped.")
            return
        if done.returncode and command[0] == "install":
            print(f"chromium could not be installed, browser tests are skipped:\n{done.stderr.strip()[-500:]}")
            return
    print("Installed.")


if __name__ == "__main__":
    sys.exit(main())
