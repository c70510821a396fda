"""Posts as a sender does: the same again while the answer is 503."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deploy.demo.access import ApiError, call
from tests.support.waiting import wait_for

__all__ = ["post_until_taken"]


def post_until_taken(
    url: str, key: str, body: Any, content_type: str = "application/json", headers: Mapping[str, str] | None = None
) -> Any:
    """The answer, 2xx. Raises ApiError for any other than 503."""
    answers: list[Any] = []

    def taken() -> bool:
        try:
            answers.append(call("POST", url, key, body, timeout_s=60, content_type=content_type, headers=headers))
        except ApiError as error:
            if error.status != 503:
                raise
        return bool(answers)

    wait_for(taken, f"{url} takes what is posted")
    return answers[0]
