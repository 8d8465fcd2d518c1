"""How long it takes to import spillover and to show the help.

    python benchmarks/start_up.py

Best of seven fresh interpreters each, beside an empty interpreter.
"""

from __future__ import annotations

import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import spillover": ["-c", "import spillover"],
    "spillover --help": ["-c", "from spillover.cli import main; main(['--help'])"],
}


def best_of(arguments: list[str], rounds: int = 7) -> float:
    """Seconds of the fastest of several fresh interpreters."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=False, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Measure and print."""
    for name, arguments in COMMANDS.items():
        print(f"{name:20} {best_of(arguments):6.2f} s")


if __name__ == "__main__":
    main()
