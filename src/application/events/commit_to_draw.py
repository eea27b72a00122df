"""Commit to the secret of a draw before the event takes entries."""

from collections.abc import Callable
from functools import partial
from hashlib import sha256

from msgspec.structs import replace

from ...domain.decisions.organize import Initialize
from ...domain.draws.draw import DrawSource
from ..ports.storage import UnitOfWork
from ..ports.ticket_codes import CodeKey, CodeSigner
from ..turnstile.pending_command import RecordAlso


class CommitToDraw:
    """Commit to secrets that follow from the keys of events, which are random, encrypted and never change.

    Only draws need `signer`, and with it the service's secret.
    """

    def __init__(self, signer: Callable[[], CodeSigner]) -> None:
        self._signer = signer

    def __call__(self, command: Initialize) -> tuple[Initialize, RecordAlso | None]:
        """Return the command with the commitment, and what stores the key with it. Other events need neither."""
        if command.details.draw_source is not DrawSource.OPERATOR:
            return command, None
        signer = self._signer()
        key = signer.new_key(command.event_id)
        commitment = sha256(signer.draw_secret(key)).hexdigest()
        return replace(command, draw_commitment=commitment), partial(_add, key)


async def _add(key: CodeKey, unit_of_work: UnitOfWork) -> None:
    await unit_of_work.code_keys.add(key)
