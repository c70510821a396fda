"""The matcher against its ceiling and against a stream processor's join: `python -m tests.benchmark matcher`."""
