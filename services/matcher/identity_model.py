"""Where the identity model comes from: the file shipped, or the operator's own."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from services.matcher.domain.identity.model import Model, decode
from services.platform.errors import ConfigurationError

__all__ = ["SHIPPED", "IdentityModelUnreadable", "load_model"]

SHIPPED: Final = Path(__file__).parent / "domain" / "identity" / "default_model.json"


class IdentityModelUnreadable(ConfigurationError):
    """The file of the identity model is not there, or is no model."""

    code = "identity_model_unreadable"


def load_model(path: Path | None = None) -> Model:
    """The model of a file, or the one shipped. Raises IdentityModelUnreadable."""
    file = path or SHIPPED
    try:
        return decode(file.read_bytes())
    except OSError as error:
        raise IdentityModelUnreadable(f"{file}: {error.strerror}") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise IdentityModelUnreadable(f"{file}: {error}") from None
