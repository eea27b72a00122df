"""A process of its own that uses the sandbox and prints each answer of the provider at once.

payment_fakes.py URL charge REFERENCE TIMES   charges one reference that many times at once, half with a good card
payment_fakes.py URL refund REFERENCE TIMES   gives one charge back that many times at once
payment_fakes.py URL spend                    charges a new reference again and again, until it is killed
"""

import asyncio
import sys
from uuid import UUID, uuid4

from boxoffice.adapters.payments import SandboxGateway
from boxoffice.adapters.payments.ledger import SqlLedger
from boxoffice.domain.payment import refund_of
from boxoffice.domain.values.money import Money

PRICE = Money(2500, "EUR")


async def main(url: str, order: str, *rest: str) -> None:
    gateway = SandboxGateway(SqlLedger(url))
    if order == "spend":
        while True:
            reference = uuid4()
            await gateway.charge(reference, PRICE, "tok_ok")
            sys.stdout.write(f"{reference}\n")
            sys.stdout.flush()
    reference, times = UUID(rest[0]), int(rest[1])
    if order == "charge":
        tokens = ["tok_ok", "tok_decline"] * (times // 2)
        replies = await asyncio.gather(*(gateway.charge(reference, PRICE, token) for token in tokens))
        said = [reply.answer for reply in replies]
    else:
        said = await asyncio.gather(*(gateway.refund(refund_of(reference), reference, PRICE) for _ in range(times)))
    sys.stdout.write(" ".join(map(str, said)))
    await gateway.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
