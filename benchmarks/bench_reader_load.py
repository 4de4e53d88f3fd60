"""Many readers at once: ratings per second, waiting times, and what kills of the server cost.

100 simulated readers rate without a pause for five minutes while the server is killed (SIGKILL) ten times; SQLite, and
PostgreSQL where Debian's package is installed. Prints JSON.
``python benchmarks/bench_reader_load.py [--readers 100] [--seconds 300] [--kills 10] [--only sqlite]``
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "reader"))

from private_postgres import private_postgres, programs
from reader_load import simulate
from reader_served import begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--readers", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--only", choices=("sqlite", "postgresql"))
    given = parser.parse_args()
    asked = {"readers": given.readers, "seconds": given.seconds, "kills": given.kills}
    for name in (given.only,) if given.only else ("sqlite", "postgresql"):
        with tempfile.TemporaryDirectory() as folder:
            root = begin(Path(folder), each=200, size=8, readers=given.readers)
            if name == "sqlite":
                found = simulate(root, **asked)
            elif programs() is None:
                print("postgresql: not installed; apt-get install postgresql", file=sys.stderr)
                continue
            else:
                with private_postgres() as url:
                    found = simulate(root, database=url, **asked)
        print(json.dumps({"database": name, **found, "load_average": os.getloadavg()[0]}), flush=True)


if __name__ == "__main__":
    main()
