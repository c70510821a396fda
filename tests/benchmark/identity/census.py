"""Made-up people of pseudopeople's sample population: a census against the Social Security file.

Run by the peers' Python: `python tests/benchmark/identity/census.py SEED NOISE OUT` writes OUT_census.csv and
OUT_ssa.csv. NOISE multiplies the probability of every error in a cell (1 is pseudopeople's default).
The seed changes the errors, not the people: the sample population, which the package brings along, is one.
"""

from __future__ import annotations

import logging
import sys
import warnings
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
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    import pseudopeople

    config = None if factor == 1 else _noise(pseudopeople.get_config(), factor)
    census = pseudopeople.generate_decennial_census(year=2020, seed=seed, config=config)
    security = pseudopeople.generate_social_security(year=2020, seed=seed, config=config)
    # The Social Security file also tells of deaths: a second record of a person. What is linked is who is in it at all.
    security[security.event_type == "creation"].to_csv(f"{out}_ssa.csv", index=False)
    census.to_csv(f"{out}_census.csv", index=False)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3])
