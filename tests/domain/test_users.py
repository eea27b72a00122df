"""Users: who may organize, and how long a session is good."""

from datetime import timedelta

from msgspec.structs import replace

from boxoffice.domain.user import Session
from tests.domain.domain_driver import ANA, EVENT_ID, MICROSECOND, NOW


def test_a_session_is_good_until_it_expires_to_the_microsecond_or_ends() -> None:
    expires = NOW + timedelta(minutes=15)
    session = Session(id=EVENT_ID, user_id=ANA.user_id, created_at=NOW, expires_at=expires)
    assert session.is_live(expires - MICROSECOND)
    assert not session.is_live(expires)
    assert not replace(session, ended_at=NOW).is_live(NOW)
