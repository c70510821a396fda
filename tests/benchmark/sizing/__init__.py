"""What each unit of load costs, and what so many facilities need: `python -m tests.benchmark sizing`."""
