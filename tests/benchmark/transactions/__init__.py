"""Ways to publish outputs, state and progress together: `python -m tests.benchmark transactions` (ADR 12)."""
