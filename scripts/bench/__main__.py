"""Runs one section of scripts/bench.sh."""

import importlib
import sys

section = sys.argv[1]
getattr(importlib.import_module(section), section)()
