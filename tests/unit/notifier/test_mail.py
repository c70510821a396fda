"""An e-mail is a pointer: no personal data (G8), and a repeat is recognised by its Message-ID."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from contracts.types.conflict import Alert, Stage
from services.notifier.adapters.postgres.claims import Claimed
from services.notifier.adapters.smtp import compose
from services.notifier.domain.planning import plan
from tests.unit.notifier.conflicts import AGENCY, NOW, conflict


def _claimed(stage: Stage = Stage.RELEASED, attempt: int = 1, alerts: Sequence[Alert] = ()) -> Claimed:
    (planned,) = plan([conflict(number=771, stage=stage, alerts=alerts)]).tell
    return Claimed(
        delivery_id="dlv_" + "a" * 24,
        notice_id=planned.notice_id,
        conflict_id=planned.conflict.conflict_id,
        version=1,
        stage=str(stage),
        recipient=AGENCY,
        subscription_id="sub_1",
        channel="email",
        target="desk@agency.example",
        secret_encrypted=None,
        body=planned.body,
        attempt=attempt,
        failures=attempt - 1,
        accepted_at=NOW,
        failures_in_a_row=0,
    )


@pytest.mark.parametrize("alerts", [(), list(Alert)])
@pytest.mark.parametrize("stage", list(Stage))
def test_it_points_and_says_nothing_of_anybody(stage: Stage, alerts: Sequence[Alert]) -> None:
    claimed = _claimed(stage, alerts=alerts)
    message = compose(claimed, sender="notices@sallyport.example", public_url="https://sallyport.example/", now=NOW)
    text = message.as_string()
    assert f"https://sallyport.example/v1/notices/{claimed.notice_id}" in text
    for private in ("REF-771", "BOOK-771", "TSTJAIL01", claimed.conflict_id):
        assert private not in text
    assert message["To"] == "desk@agency.example"
    assert message["Auto-Submitted"] == "auto-generated"


def test_its_subject_says_what_time_has_brought_about() -> None:
    claimed = _claimed(Stage.IN_CUSTODY, alerts=[Alert.OVER_DETENTION])
    message = compose(claimed, sender="notices@sallyport.example", public_url="https://s.example", now=NOW)
    assert message["Subject"] == "Sallyport notice: in custody, over detention"


def test_its_message_id_follows_from_the_delivery() -> None:
    first, again = (
        compose(_claimed(attempt=n), sender="notices@sallyport.example", public_url="https://s.example", now=NOW)
        for n in (1, 7)
    )
    assert first["Message-ID"] == again["Message-ID"]
    assert re.fullmatch(r"<dlv_a{24}@sallyport\.example>", first["Message-ID"])
