"""The notifier against bare POSTs and an afternoon's script: `python -m tests.benchmark notifier`."""
