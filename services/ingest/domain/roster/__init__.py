"""Roster files: what a facility says of everybody it holds, at one time. Absence is not a release (rule 10)."""
