"""The synthetic world of the demo and the tests: people who do not exist, what happens to them, and what must be told.

Nothing here calls the services' own code: the truth comes from the script of each life.
"""
