"""`python -m benchmarks [NAME …]`: all benchmarks, or those named."""

import sys

from benchmarks.harness import list_names, run_all

names = sys.argv[1:] or list_names()
if unknown := set(names) - set(list_names()):
    sys.exit(f"No such benchmark: {', '.join(sorted(unknown))}. There are: {', '.join(list_names())}.")
sys.exit(1 if run_all(names) else 0)
