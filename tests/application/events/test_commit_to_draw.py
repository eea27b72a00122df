"""A draw by the operator begins with a commitment to a secret that is kept."""

from datetime import timedelta
from hashlib import sha256
from typing import Any

from boxoffice.domain.draws.draw import Admission, DrawSource
from tests.application.fake_app import FakeApp


async def test_the_secret_follows_from_the_key_that_is_stored(app: FakeApp) -> None:
    draw: dict[str, Any] = {"admission": Admission.DRAW, "draw_closes_at": app.clock.now() + timedelta(days=1)}
    event_id = await app.event(draw_source=DrawSource.OPERATOR, **draw)
    key = (await app.storage.code_key_queries.keys([event_id]))[event_id]
    secret = app.code_signer.draw_secret(key)
    assert len(secret) == 32
    assert (await app.state(event_id)).event.draw_commitment == sha256(secret).hexdigest()
    assert app.code_signer.draw_secret(app.code_signer.sealed_anew(key)) == secret, "whatever secret encrypts the key"

    others = await app.event(draw_source=DrawSource.DRAND, **draw)
    assert (await app.state(others)).event.draw_commitment is None
    assert await app.storage.code_key_queries.keys([others]) == {}


async def test_secrets_of_events_differ(app: FakeApp) -> None:
    keys = [app.code_signer.new_key(app.ids.new()) for _ in range(2)]
    assert len({app.code_signer.draw_secret(key) for key in keys}) == 2
