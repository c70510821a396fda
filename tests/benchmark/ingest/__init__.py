"""Ingest against its ceilings: `python -m tests.benchmark ingest`."""
