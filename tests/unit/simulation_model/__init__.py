"""Tests of what the simulation measures the system by: the naive truth, and the histories."""
