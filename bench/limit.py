"""What the database itself can do on one row: lock it, insert, update, COMMIT, in a procedure inside the server.

No client stands in the way, so no service that gives each booking its transaction can be faster.
"""

import asyncio
from time import perf_counter

import asyncmy
from sqlalchemy.engine import make_url

CONNECTIONS = 32

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS limit_events (id INT PRIMARY KEY, taken INT NOT NULL) ENGINE=InnoDB",
    """CREATE TABLE IF NOT EXISTS limit_bookings (id BIGINT AUTO_INCREMENT PRIMARY KEY, event_id INT NOT NULL,
        customer_id BIGINT NOT NULL, quantity INT NOT NULL) ENGINE=InnoDB""",
    "INSERT IGNORE INTO limit_events VALUES (1, 0)",
    """CREATE PROCEDURE IF NOT EXISTS book_for(seconds DOUBLE) BEGIN
        DECLARE until_then DOUBLE DEFAULT UNIX_TIMESTAMP(SYSDATE(6)) + seconds;
        DECLARE seen INT;
        WHILE UNIX_TIMESTAMP(SYSDATE(6)) < until_then DO
            START TRANSACTION;
            SELECT taken INTO seen FROM limit_events WHERE id = 1 FOR UPDATE;
            INSERT INTO limit_bookings (event_id, customer_id, quantity) VALUES (1, CONNECTION_ID(), 1);
            UPDATE limit_events SET taken = taken + 1 WHERE id = 1;
            COMMIT;
        END WHILE;
    END""",
)


async def per_second(url: str, seconds: float) -> float:
    """Bookings a second over 32 connections."""
    connections = [await _connect(url) for _ in range(CONNECTIONS)]
    try:
        for statement in _SCHEMA:
            await _do(connections[0], statement)
        before = await _taken(connections[0])
        begun = perf_counter()
        await asyncio.gather(*(_do(each, f"CALL book_for({seconds})") for each in connections))
        took = perf_counter() - begun
        booked = await _taken(connections[0]) - before
        rows = await _do(connections[0], "SELECT COUNT(*) FROM limit_bookings")
        assert rows[0][0] == before + booked, "as many bookings as were counted"
        return booked / took
    finally:
        for each in connections:
            each.close()


async def _connect(url: str) -> asyncmy.Connection:
    to = make_url(url)
    return await asyncmy.connect(
        host=to.host, port=to.port, user=to.username, password=to.password or "", database=to.database, autocommit=True
    )


async def _do(connection: asyncmy.Connection, statement: str) -> list[tuple[int, ...]]:
    async with connection.cursor() as cursor:
        await cursor.execute(statement)
        return list(await cursor.fetchall() or [])


async def _taken(connection: asyncmy.Connection) -> int:
    return (await _do(connection, "SELECT taken FROM limit_events WHERE id = 1"))[0][0]
