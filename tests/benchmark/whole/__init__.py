"""Event to webhook through the whole system: `python -m tests.benchmark whole`."""
