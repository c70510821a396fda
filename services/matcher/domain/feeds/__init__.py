"""Feeds of facilities: how much each releases at once (rule 19), and whether it is still heard of."""
