"""The whole pipeline in one process, one seed = one history: see docs/adr and `python -m tests.simulation --help`."""
