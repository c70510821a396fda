"""The tokens that names are made of, numbered: what rows hold in place of strings.

One vocabulary serves all indexes of an engine, also where one of them is built in a thread while others are changed. It
only grows: by what is new in the spelling of names, which is little.
"""

from __future__ import annotations

from array import array
from threading import Lock
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["NO_TOKEN", "Vocabulary"]

NO_TOKEN: Final = 0
"""The number that says that there is no token."""


class Vocabulary:
    """tokens[number] is the token, numbers[token] the number; both are only read by others."""

    def __init__(self) -> None:
        self.tokens: list[str] = [""]
        self.numbers: dict[str, int] = {"": NO_TOKEN}
        self._adding = Lock()
        self._letters = array("B", [0])
        self._initials = np.zeros(1, np.uint8)

    def __len__(self) -> int:
        return len(self.tokens)

    def number(self, token: str) -> int:
        """The number of a token, a new one if need be."""
        number = self.numbers.get(token)
        return self._add(token) if number is None else number

    def _add(self, token: str) -> int:
        with self._adding:
            number = self.numbers.get(token)
            if number is None:
                number = len(self.tokens)
                self.tokens.append(token)
                self._letters.append(ord(token[0]) & 0xFF)
                self.numbers[token] = number  # last: who finds the number finds the token
        return number

    def known(self, token: str) -> int:
        """The number of a token, -1 if it has none."""
        return self.numbers.get(token, -1)

    def initials(self) -> NDArray[np.uint8]:
        """The first letter of each token, by its number."""
        if len(self._initials) != len(self._letters):
            with self._adding:
                self._initials = np.array(self._letters, np.uint8)
        return self._initials
