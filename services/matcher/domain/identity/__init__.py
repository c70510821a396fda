"""Who is this? `engine.py` is the interface that the fold judges by; one module implements it (`exact.py`)."""
