"""The key that webhook secrets are under is rotated while webhooks leave: every one of them keeps verifying."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from standardwebhooks.webhooks import Webhook

from contracts.types.registry import Agency, AgencyCategory, Source
from deploy.demo.processes import NotReady, ProcessGroup
from deploy.devstack.stack import StackInfo
from services.notifier.adapters.postgres import subscriptions
from services.notifier.adapters.postgres.kept import kept_after, replace_kept
from services.notifier.adapters.rotation import Rotation, count
from services.notifier.adapters.secrets import SecretBox, fingerprint
from services.notifier.domain.signature import encode_secret
from services.platform.errors import ConfigurationError
from services.platform.operator.registry import publish
from services.platform.registry import hash_key, new_key
from tests.integration.notifier.support import Ledger, Receiver, dispatching
from tests.support.plain import plain
from tests.support.waiting import eventually
from tests.unit.notifier.conflicts import AGENCY, conflict

OLD, NEW, OTHER = (Fernet.generate_key().decode() for _ in range(3))


def rotation(ledger: Ledger, box: SecretBox, keys: Sequence[str] = ()) -> Rotation:
    return Rotation(lambda: ledger.pool, box, lambda: keys or box.keys)


async def secrets_of(ledger: Ledger, box: SecretBox) -> dict[str, str]:
    """Subscription -> the secret as its owner was shown it."""
    return {name: encode_secret(box.signing_key(kept)) for name, kept in await kept_after(ledger.pool, "", 10_000)}


async def test_every_webhook_verifies_while_two_instances_renew_and_then_the_old_key_is_not_needed(
    ledger: Ledger, receiver: Receiver
) -> None:
    one, two = SecretBox([OLD]), SecretBox([OLD])
    names = [await ledger.subscribe(f"{receiver.url}/{n}", box=one) for n in range(250)]
    before = await secrets_of(ledger, one)
    async with dispatching(ledger, box=one, webhook_deadline_s=60.0):
        for version in range(1, 4):
            await ledger.tell(conflict(version=version))
            if version == 1:
                for box in (one, two):
                    box.use([OLD, NEW])  # all have to be able to read it before anybody writes with it
                one.use([NEW, OLD])
                two.use([NEW, OLD])
                await asyncio.gather(rotation(ledger, one).renew(), rotation(ledger, two).renew())
        await eventually(ledger.settled)  # what was claimed before the renewal is still under the old key
        one.use([NEW])
        await ledger.tell(conflict(version=4))
        await eventually(ledger.settled)
    assert await secrets_of(ledger, SecretBox([NEW])) == before
    counts = await count(ledger.pool, two)
    assert (counts.by_key, counts.unknown) == ([250, 0], 0)
    assert all(outcome == "delivered" for _, outcome, _, _ in await ledger.attempts())
    by_path = {f"/{n}": Webhook(before[name]) for n, name in enumerate(names)}
    assert len(receiver.got) > 250, "some versions are overtaken by the next; those that are sent are many"
    for (path, _), headers, body in zip(receiver.got, receiver.headers, receiver.bodies, strict=True):
        by_path[path].verify(body, {name.lower(): value for name, value in headers.items()})


async def test_who_changed_a_row_meanwhile_is_not_overwritten(ledger: Ledger, receiver: Receiver) -> None:
    box = SecretBox([OLD])
    names = [await ledger.subscribe(f"{receiver.url}/{n}", box=box) for n in range(3)]
    read = await kept_after(ledger.pool, "", 10)
    box.use([NEW, OLD])
    rotated = box.new()[1]
    change = "update subscriptions set secret_encrypted = $2 where subscription_id = $1"
    await ledger.pool.execute(change, names[0], rotated)
    assert await subscriptions.delete(ledger.pool, AGENCY, names[1], datetime.now(UTC))
    done = await replace_kept(ledger.pool, [(name, kept, box.renewed(kept)) for name, kept in read])
    assert done == 1
    left = dict(await kept_after(ledger.pool, "", 10))
    assert left[names[0]] == rotated and names[1] not in left, "a deleted subscription's secret does not come back"
    assert box.key_of(left[names[2]]) == 0


async def test_keys_of_no_use_are_not_taken_and_a_lost_one_is_counted(ledger: Ledger, receiver: Receiver) -> None:
    box = SecretBox([OLD])
    await ledger.subscribe(receiver.url, box=box)
    for useless in ([], ["no key"]):
        assert Rotation(lambda: ledger.pool, box, lambda useless=useless: useless).reread() is False  # type: ignore[misc]
        assert box.keys == (OLD,)

    def unreadable() -> Sequence[str]:
        raise ConfigurationError("the file is gone for a moment")

    assert Rotation(lambda: ledger.pool, box, unreadable).reread() is False and box.keys == (OLD,)
    assert rotation(ledger, box, [NEW]).reread() is True
    assert (await rotation(ledger, box).renew()).unknown == 1
    assert rotation(ledger, box, [NEW, OLD]).reread() is True
    counts = await rotation(ledger, box).renew()
    assert (counts.by_key, counts.unknown) == ([1, 0], 0), "with the key back, nothing was lost"


@pytest.mark.timeout(400)
async def test_a_process_takes_a_replaced_file_without_a_restart(
    topics: StackInfo, ledger: Ledger, ledger_url: str, tmp_path: Path, suffix: str
) -> None:
    file = tmp_path / "secrets_keys"
    file.write_text(OLD + "\n")
    settings = {
        **topics.environ(), "DATABASE_URL": ledger_url, "SALLYPORT_GROUP_ID": f"rotation-{suffix}",
        "SALLYPORT_SECRETS_KEYS_FILE": str(file),
    }  # fmt: skip
    await ledger.subscribe("http://127.0.0.1:9/hook", box=SecretBox([OLD]))
    key = new_key()
    agency = Agency(id=AGENCY, name="Test agency", category=AgencyCategory.SHERIFF)
    await publish(plain(topics.kafka_bootstrap_servers), [agency, Source(id="s", key_sha256=[hash_key(key)])])
    with ProcessGroup(tmp_path / "run") as group:
        notifier = group.service("notifier", settings)
        notifier.start()
        await asyncio.to_thread(notifier.wait_ready)
        file.write_text(f"{NEW}\n{OLD}\n")

        async def renewed() -> bool:
            counts = await count(ledger.pool, SecretBox([NEW, OLD]))
            return counts.by_key == [1, 0]

        await eventually(renewed, 120)
        assert notifier.is_running
        shown = await asyncio.to_thread(group.run, ["secrets", "status"], settings)
        assert fingerprint(NEW) in shown and NEW not in shown
        file.write_text(f"{OTHER}\n")
        with pytest.raises(NotReady, match=r"status 1.*not configured"):
            await asyncio.to_thread(group.run, ["secrets", "status"], settings)
        log = notifier.log_text()
        assert "secrets_renewed" in log and NEW not in log and OLD not in log
