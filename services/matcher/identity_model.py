"""Where the identity model comes from: the file shipped, or the operator's own."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from services.matcher.domain.identity.model import Model, decode

__all__ = ["load_model"]

_SHIPPED: Final = Path(__file__).parent / "domain" / "identity" / "default_model.json"


def load_model(path: Path | None = None) -> Model:
    """The model of a file, or the one shipped. Raises OSError, msgspec.ValidationError or ValueError."""
    return decode((path or _SHIPPED).read_bytes())
