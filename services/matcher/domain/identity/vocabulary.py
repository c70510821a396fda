"""The tokens that names are made of, numbered: what columns hold in place of strings.

One vocabulary serves all indexes of an engine. It only grows: by what is new in the spelling of names, which is little.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.matcher.domain.identity.keys import Feature, features

__all__ = ["NO_TOKEN", "Vocabulary"]

NO_TOKEN: Final = 0
"""The number that says that there is no token."""


class Vocabulary:
    """tokens[number] is the token; `hashes()[number]` are its features (keys.Feature), for keys made in columns."""

    def __init__(self) -> None:
        self.tokens: list[str] = [""]
        self._numbers: dict[str, int] = {"": NO_TOKEN}
        self._hashes = np.zeros((1024, len(Feature)), np.uint64)
        self._hashed = 1

    def __len__(self) -> int:
        return len(self.tokens)

    def number(self, token: str) -> int:
        """The number of a token, a new one if need be."""
        number = self._numbers.get(token)
        if number is None:
            number = self._numbers[token] = len(self.tokens)
            self.tokens.append(token)
        return number

    def known(self, token: str) -> int:
        """The number of a token, -1 if it has none."""
        return self._numbers.get(token, -1)

    def hashes(self) -> NDArray[np.uint64]:
        """Features by token number; a column each."""
        if self._hashed < len(self.tokens):
            if len(self.tokens) > len(self._hashes):
                grown = np.zeros((2 * len(self.tokens), len(Feature)), np.uint64)
                grown[: self._hashed] = self._hashes[: self._hashed]
                self._hashes = grown
            for number in range(self._hashed, len(self.tokens)):
                self._hashes[number] = features(self.tokens[number])
            self._hashed = len(self.tokens)
        return self._hashes
