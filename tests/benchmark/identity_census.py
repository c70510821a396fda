"""Made-up people of pseudopeople's sample population: a census against the Social Security file.

Run by a Python that has pseudopeople: `python -m tests.benchmark.identity_census SEED NOISE OUT` writes two CSV files.
NOISE multiplies the probability of every error in a cell (1 is pseudopeople's default).
The seed changes the errors, not the people: the sample population is one.
"""

from __future__ import annotations

import sys
from typing import Any


def _noise(config: dict[str, Any], factor: float) -> dict[str, Any]:
    """The configuration with every error of a cell `factor` times as likely, at most one cell in two."""
    return {
        dataset: {
            "column_noise": {
                column: {
                    kind: {"cell_probability": min(0.5, settings["cell_probability"] * factor)}
                    for kind, settings in kinds.items()
                    if isinstance(settings.get("cell_probability"), int | float)
                }
                for column, kinds in config[dataset]["column_noise"].items()
            }
        }
        for dataset in ("decennial_census", "social_security")
    }


def main(seed: int, factor: float, out: str) -> None:
    import pseudopeople

    config = None if factor == 1 else _noise(pseudopeople.get_config(), factor)
    census = pseudopeople.generate_decennial_census(year=2020, seed=seed, config=config)
    security = pseudopeople.generate_social_security(year=2020, seed=seed, config=config)
    census.to_csv(f"{out}_census.csv", index=False)
    security[security.event_type == "creation"].to_csv(f"{out}_ssa.csv", index=False)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3])
