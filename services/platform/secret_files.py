"""Settings out of files, as orchestrators mount secrets: a file a setting, or a directory of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import AliasChoices
from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

from services.platform.errors import ConfigurationError

__all__ = ["DIRECTORY", "FilesSource", "SettingFileUnreadable"]

PREFIX = "SALLYPORT_"
DIRECTORY = "SALLYPORT_SECRETS_DIR"


class SettingFileUnreadable(ConfigurationError):
    """A setting is said to be in a file, or a directory, that is not there or cannot be read."""

    code = "setting_file_unreadable"


class FilesSource(PydanticBaseSettingsSource):
    """A setting that nothing before has given: from the file that `SALLYPORT_<NAME>_FILE` names, else from the file of
    its name, in lower case, in `SALLYPORT_SECRETS_DIR`. The file's text is the value, without the line end at its end.

    Other files of the directory are left alone. Raises SettingFileUnreadable; no message shows what a file holds.
    """

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """(the value or None, under which name pydantic takes it, False: it is no JSON)."""
        names = _names(field, field_name)
        if any(name in self.current_state for name in (field_name, *names)):
            return None, names[0], False
        variable = f"{PREFIX}{field_name.upper()}_FILE"
        if named := os.environ.get(variable):
            return _read(Path(named), variable), names[0], False
        if directory := os.environ.get(DIRECTORY):
            return _in(Path(directory), field_name), names[0], False
        return None, names[0], False

    def __call__(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, field in self.settings_cls.model_fields.items():
            value, key, _ = self.get_field_value(field, name)
            if value is not None:
                found[key] = value
        return found


def _names(field: FieldInfo, field_name: str) -> list[str]:
    """The names under which the environment may have given the field; the first is the one that wins."""
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        return [choice for choice in alias.choices if isinstance(choice, str)]
    return [alias] if isinstance(alias, str) else [field_name]


def _in(directory: Path, field_name: str) -> str | None:
    """The value of the file of that name; None where there is none."""
    path = directory / field_name
    try:
        if not directory.is_dir():
            raise SettingFileUnreadable(f"{DIRECTORY}: {directory} is no directory")
        if not path.exists():
            return None
    except OSError as error:
        raise SettingFileUnreadable(f"{DIRECTORY}: {directory} cannot be read: {error.strerror}") from None
    return _read(path, DIRECTORY)


def _read(path: Path, setting: str) -> str:
    try:
        return path.read_text("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise SettingFileUnreadable(f"{setting}: {path} is no UTF-8 text") from None
    except OSError as error:
        raise SettingFileUnreadable(f"{setting}: {path} cannot be read: {error.strerror}") from None
