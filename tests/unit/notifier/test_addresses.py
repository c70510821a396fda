"""Where a webhook may go: literals in every spelling, names, and a name server that hangs."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest

from services.notifier.adapters.addresses import (
    GuardedResolver,
    NotPublic,
    check_target,
    guarded_socket,
    is_public,
    literal_refused,
)
from services.platform.errors import ContractViolation

PRIVATE = [
    "127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "0.0.0.0", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "fec0::1", "ff02::1", "2001:db8::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::a9fe:a9fe",
    "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::8.8.8.8", "2002:7f00:1::", "2002:a9fe:a9fe::1",
    "not an address", "", "127.0.0.1.",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]


@pytest.mark.parametrize("address", PRIVATE)
def test_private(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    assert is_public(address)


NOT_PUBLIC = [
    "https://127.0.0.1/", "https://127.0.0.1:8443/x", "https://127.0.0.1./", "https://10.1.2.3/",
    "https://169.254.169.254/latest/meta-data/", "https://[::1]/", "https://[::ffff:127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/", "https://[fe80::1%25eth0]/",
    "https://2130706433/", "https://0x7f000001/", "https://0x7f.1/", "https://0177.0.0.1/", "https://127.1/",
    "https://\uff11\uff12\uff17.0.0.1/",
]  # fmt: skip
INVALID = [
    "https://user@receiver.example/", "https://user:secret@receiver.example/", "https://:secret@receiver.example/",
    "https://receiver.example@127.0.0.1/", "https://receiver.example\\@127.0.0.1/", "https://receiver.example/#part",
    "https://receiver.example:0/", "https://receiver.example:65536/", "https://receiver.example:x/", "https:///path",
    "https://a..b/", "https://" + "a" * 64 + ".example/", "https://re ceiver.example/", "https://receiver.example\x00/",
    "https://[::1/", "https://",
]  # fmt: skip


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        *[(url, "url_not_public") for url in NOT_PUBLIC],
        *[(url, "url_invalid") for url in INVALID],
        *[(url, "url_not_https") for url in ("http://receiver.example/", "ftp://receiver.example/", "receiver", "")],
    ],
)
def test_a_url_that_may_not_be_used_says_why(url: str, reason: str) -> None:
    with pytest.raises(ContractViolation) as caught:
        check_target(url, allow_private=False, allow_plain=False)
    assert (caught.value.reason, caught.value.field) == (reason, "url")


@pytest.mark.parametrize(
    "url",
    ["https://receiver.example/hook?x=1", "https://receiver.example:8443/", "HTTPS://Receiver.Example", "https://8.8.8.8/",
     "https://[2606:4700::1111]/"],
)  # fmt: skip
def test_a_url_that_may_be_used(url: str) -> None:
    check_target(url, allow_private=False, allow_plain=False)
    assert not literal_refused(url, allow_private=False)


@pytest.mark.parametrize("url", NOT_PUBLIC)
def test_a_private_literal_is_looked_at_again_before_each_attempt(url: str) -> None:
    assert literal_refused(url, allow_private=False)
    assert not literal_refused(url, allow_private=True)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1.", "2130706433", "169.254.169.254"])
def test_no_socket_is_made_for_an_address_that_came_past_the_other_checks(address: str) -> None:
    with pytest.raises(NotPublic):
        guarded_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", (address, 443)))


async def test_a_name_of_a_private_address_is_refused_and_one_of_both_keeps_the_public(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = {"inside.test": ["10.0.0.1"], "both.test": ["127.0.0.1", "8.8.8.8"]}

    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answers[host]]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    resolver = GuardedResolver(allow_private=False)
    with pytest.raises(NotPublic):
        await resolver.resolve("inside.test", 443)
    assert [found["host"] for found in await resolver.resolve("both.test", 443)] == ["8.8.8.8"]
    await resolver.close()


async def test_a_name_server_that_hangs_holds_one_thread_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        if host == "hangs.test":
            assert released.wait(30)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    resolver = GuardedResolver(allow_private=False)
    try:
        hung = [asyncio.create_task(resolver.resolve("hangs.test", 443)) for _ in range(300)]
        hung[0].cancel()
        assert await asyncio.wait_for(resolver.resolve("answers.test", 443), 5)
        released.set()
        assert all([(await task)[0]["host"] == "8.8.8.8" for task in hung[1:]])
        assert asked.count("hangs.test") == 1
    finally:
        released.set()
        await resolver.close()
