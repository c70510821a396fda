"""`make smoke`, without a cluster: what it leaves behind."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from deploy.cluster import smoke as module
from deploy.cluster.control import OUTSIDE_ON_HOST
from deploy.demo.access import ApiError
from deploy.images.errors import ClusterNotReady


class _Group:
    """In the place of the process that the webhooks come to."""

    def __enter__(self) -> _Group:
        return self

    def __exit__(self, *_: object) -> None: ...

    def program(self, *_: Any, **__: Any) -> Any:
        return SimpleNamespace(start=lambda: None, wait_ready=lambda: None, url="http://127.0.0.1:1/outside", port=1)


class _Cluster:
    """ups: of every cluster, its overlays."""

    ups: ClassVar[list[list[str]]] = []
    fails_with_overlay = False

    def __init__(self, engine: object = None, root: object = None, overlays: list[str] | None = None) -> None:
        self.engine, self.root, self.overlays = engine, root, overlays or []

    def up(self) -> None:
        self.ups.append(self.overlays)
        if self.overlays and self.fails_with_overlay:
            raise ClusterNotReady("not ready within 240 s: notifier")

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:1/{service}"

    def sallyport(self, *_: str, **__: Any) -> str:
        return ""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Method and URL of each request; all are taken."""
    made: list[tuple[str, str]] = []

    def call(method: str, url: str, *_: Any, **__: Any) -> Any:
        made.append((method, url))
        return {"subscription_id": "sub_1", "secret": "whsec_1"} if url.endswith("/subscriptions") else None

    monkeypatch.setattr(_Cluster, "ups", [])
    monkeypatch.setattr(module, "Cluster", _Cluster)
    monkeypatch.setattr(module, "ProcessGroup", lambda _: _Group())
    monkeypatch.setattr(module, "run_directory", lambda _: tmp_path)
    monkeypatch.setattr(module, "call", call)
    return made


def test_the_overlay_is_taken_off_again_even_if_the_cluster_does_not_come_up_with_it(
    calls: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With it the notifier delivers in plain HTTP and to private addresses."""
    monkeypatch.setattr(_Cluster, "fails_with_overlay", True)
    with pytest.raises(ClusterNotReady):
        module.smoke(_Cluster(), None)  # type: ignore[arg-type]
    assert _Cluster.ups == [[OUTSIDE_ON_HOST], []]
    assert calls == []


def test_the_subscription_is_ended_even_if_the_case_breaks_off(
    calls: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(*_: Any) -> None:
        raise ApiError(500, "broken")

    monkeypatch.setattr(module, "_tell", break_off)
    with pytest.raises(ApiError):
        module.smoke(_Cluster(), None)  # type: ignore[arg-type]
    assert calls[-1] == ("DELETE", "http://127.0.0.1:1/notifier/v1/subscriptions/sub_1")
    assert _Cluster.ups[-1] == []
