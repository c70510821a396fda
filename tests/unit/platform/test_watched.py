"""Every topic that a service reads is watched: a reader that stands still shows in /livez, and as lag."""

from __future__ import annotations

import importlib

import pytest


@pytest.mark.parametrize("name", ["ingest", "matcher", "notifier"])
def test_no_reader_stands_still_unseen(name: str) -> None:
    service = importlib.import_module(f"services.{name}.app").describe()
    read = {topic.name for subscriber in service.broker.subscribers for topic in subscriber.topics}
    assert sorted(progress.topic for progress in service._progress) == sorted(read)
