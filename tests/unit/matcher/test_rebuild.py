"""`sallyport state rebuild` writes nothing while a matcher may run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from services.matcher.adapters import rebuild as module
from services.matcher.adapters.rebuild import rebuild
from services.matcher.settings import MatcherSettings
from services.platform.errors import BrokerUnavailable, GroupInUse, SallyportError

SETTINGS = MatcherSettings(_env_file=None, allow_plaintext=True, kafka_bootstrap_servers="127.0.0.1:1")
MEMBER = ("matcher-1-uuid", "matcher-1", "/127.0.0.1", b"", b"")


@pytest.mark.parametrize(
    ("error_code", "members", "error", "said"),
    [(0, [MEMBER], GroupInUse, "has members"), (14, [], BrokerUnavailable, "GroupLoadInProgress")],
)
async def test_a_group_with_members_or_one_that_is_not_known_about_is_in_use(
    monkeypatch: pytest.MonkeyPatch, error_code: int, members: list[Any], error: type[SallyportError], said: str
) -> None:
    class Admin:
        def __init__(self, **_: object) -> None: ...

        async def start(self) -> None: ...

        async def close(self) -> None: ...

        async def describe_consumer_groups(self, groups: list[str]) -> list[Any]:
            return [SimpleNamespace(groups=[(error_code, groups[0], "", "consumer", "", members)])]

    monkeypatch.setattr(module, "AIOKafkaAdminClient", Admin)
    with pytest.raises(error, match=said):
        await rebuild(SETTINGS)
