"""A fake Stripe on loopback: what the service relies on, as Stripe documents it.

- "API reference", sections on PaymentIntents, refunds, pagination and idempotent requests: objects, parameters (it
  refuses those that it does not know, as an API version does), lists by time and in pages, stored answers of keys.
- "Supported currencies": units, least and greatest amounts.
- "Error codes": `amount_too_small`, `charge_disputed` and the others.
- "How PaymentIntents work" and "Authenticate with 3D Secure": `requires_action`, its address, and what follows.
- "Refund and cancel payments": refunds that fail later. "How disputes work": how one opens and closes.
- "Types of events" and "Resolve webhook signature verification errors": events, and how they are signed.

It declines cards and fails on demand.
"""

import asyncio
import hmac
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct

KEY: Final = "sk_test_fake"
SECRET: Final = "whsec_fake"
PAYS: Final = "pm_card_visa"
DECLINED: Final = "pm_card_chargeDeclined"
ASKS: Final = "pm_card_authenticationRequired"
SLOW: Final = "pm_card_processing"

_CREATE: Final = frozenset(
    {
        *("amount", "currency", "payment_method", "confirm", "return_url", "metadata[reference]"),
        "allowed_payment_method_types[0]",
    }
)
_CANCEL: Final = frozenset({"cancellation_reason"})
_REFUND: Final = frozenset({"payment_intent", "amount", "metadata[reference]"})
_LIST: Final = frozenset({"limit", "starting_after", "created[gte]", "created[gt]", "created[lte]", "payment_intent"})

NO_DECIMALS: Final = frozenset(
    {
        *("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga"),
        *("pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"),
    }
)
THREE_DECIMALS: Final = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})
_STEPS: Final = {"isk": 100, "ugx": 100, **dict.fromkeys(THREE_DECIMALS, 10)}
_LEAST: Final = {"eur": 50, "usd": 50, "gbp": 30, "jpy": 50, "huf": 17_500, "dkk": 250, "thb": 1_000}
_LONGER: Final = frozenset({"idr", "cop", "huf", "inr", "jpy", "lbp"})
_UNKNOWN: Final = frozenset({"irr", "kpw", "syp", "cup", "iqd", "lyd"})


def decimals(currency: str) -> int:
    """How many decimals an amount has at Stripe."""
    return 0 if currency in NO_DECIMALS else 3 if currency in THREE_DECIMALS else 2


class Fault(StrEnum):
    """What goes wrong with a request."""

    HANGS = "hangs"
    """It is done, and never answered."""
    LOST = "lost"
    """It is done, and the connection breaks before the answer."""
    BROKEN = "broken"
    """It is done, and the answer is no JSON."""
    NEVER_CAME = "never came"
    """The connection breaks before anything was done."""
    FAILS = "fails"
    """500, and nothing is done."""
    TOO_MANY = "too many"
    """429, and nothing is done."""
    AT_ONCE = "at once"
    """409: another request with the same idempotency key is being done."""


class Asked(Struct, frozen=True, kw_only=True):
    """A request."""

    method: str
    path: str
    key: str | None
    values: dict[str, str]


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, kind: str, code: str, param: str | None = None) -> None:
        super().__init__(code)
        self.status = status
        self.body = {"error": {"type": kind, "code": code, "param": param, "message": f"No: {code}"}}


class FakeStripe:
    """The server and its books."""

    def __init__(self) -> None:
        self.address = ""
        self.asked: list[Asked] = []
        self.faults: deque[Fault | None] = deque()
        """What goes wrong with the next requests, in order; None: nothing."""
        self.intents: list[dict[str, Any]] = []
        self.refunds: list[dict[str, Any]] = []
        self.refund_status = "succeeded"
        self.refund_error: str | None = None
        """The code of the error that every refund gets."""
        self.before_cancel: Callable[[], object] = lambda: None
        """What happens just before a PaymentIntent is canceled."""
        self.disputes: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.clock: int | None = None
        """Seconds since 1970 that new things are made at; None: now."""
        self._answers: dict[str, tuple[str, dict[str, str], int, dict[str, Any]]] = {}
        self._is_closing = asyncio.Event()

    @property
    def taken(self) -> int:
        """Minor units that were charged and not given back."""
        charged: int = sum(intent["amount"] for intent in self.intents if intent["status"] == "succeeded")
        given: int = sum(refund["amount"] for refund in self.refunds if refund["status"] in {"succeeded", "pending"})
        return charged - given

    def authenticate(self, reference: str, *, succeeds: bool = True) -> dict[str, Any]:
        """The customer comes to the address of a payment's next action. Returns the event."""
        (intent,) = [each for each in self.intents if each["metadata"].get("reference") == reference]
        assert intent["status"] == "requires_action"
        intent["status"] = "succeeded" if succeeds else "requires_payment_method"
        intent["next_action"] = None
        return self._happens("payment_intent.succeeded" if succeeds else "payment_intent.payment_failed", intent)

    def refund_becomes(self, index: int, status: str) -> dict[str, Any]:
        """A refund comes back from the bank, or arrives there. Returns the event."""
        refund = self.refunds[index]
        refund["status"] = status
        refund["failure_reason"] = "expired_or_canceled_card" if status == "failed" else None
        return self._happens("refund.failed" if status == "failed" else "refund.updated", refund)

    def dispute(self, index: int = 0, status: str = "needs_response") -> dict[str, Any]:
        """A customer disputes a charge at the bank. Returns the event."""
        intent = self.intents[index]
        dispute = {
            "id": f"dp_{len(self.disputes)}",
            "object": "dispute",
            "amount": intent["amount"],
            "charge": f"ch_{index}",
            "payment_intent": intent["id"],
            "metadata": {},
            "status": status,
        }
        self.disputes.append(dispute)
        return self._happens("charge.dispute.created", dispute)

    def close_dispute(self, status: str, index: int = 0) -> dict[str, Any]:
        """The bank decides a dispute. Returns the event."""
        self.disputes[index]["status"] = status
        return self._happens("charge.dispute.closed", self.disputes[index])

    def _happens(self, kind: str, thing: dict[str, Any]) -> dict[str, Any]:
        event = {
            "id": f"evt_{len(self.events)}",
            "object": "event",
            "api_version": "2026-10-28.endive",
            "created": self._now() + len(self.events),
            "type": kind,
            "data": {"object": dict(thing)},
        }
        self.events.append(event)
        return event

    def forget_keys(self) -> None:
        """A day has passed."""
        self._answers.clear()

    @classmethod
    @asynccontextmanager
    async def serving(cls) -> AsyncIterator["FakeStripe"]:
        fake = cls()
        connections: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task
            connections.add(task)
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await fake._serve(reader, writer)
            writer.close()
            connections.discard(task)

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        fake.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield fake
        finally:
            fake._is_closing.set()
            server.close()
            if connections:
                await asyncio.wait(connections)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request a connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = (await reader.readexactly(int(headers.get("content-length", "0")))).decode()
        method, target, _ = head[0].split(" ")
        url = urlsplit(target)
        asked = Asked(
            method=method,
            path=url.path,
            key=headers.get("idempotency-key"),
            values=dict(parse_qsl(body or url.query, keep_blank_values=True)),
        )
        self.asked.append(asked)
        fault = self.faults.popleft() if self.faults else None
        if fault is Fault.NEVER_CAME:
            return
        status, answer = self._answer(asked, headers.get("authorization"), fault)
        if fault is Fault.HANGS:
            await self._is_closing.wait()
        if fault in {Fault.HANGS, Fault.LOST}:
            return
        text = b"<html>" if fault is Fault.BROKEN else json.dumps(answer).encode()
        writer.write(
            f"HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n"
            "Request-Id: req_1\r\nConnection: close\r\n\r\n".encode()
            + text
        )
        await writer.drain()

    def _answer(self, asked: Asked, authorization: str | None, fault: Fault | None) -> tuple[int, dict[str, Any]]:
        try:
            _check_allowed(authorization, fault)
            if asked.method == "GET":
                return 200, self._read(asked)
            return self._cancel(asked) if asked.path.endswith("/cancel") else self._once(asked)
        except Refused as refused:
            return refused.status, refused.body

    def _once(self, asked: Asked) -> tuple[int, dict[str, Any]]:
        """What was begun with a key is answered the same way again; what was refused before that is not kept."""
        assert asked.key, "every request that changes something has a key"
        before = self._answers.get(asked.key)
        if before is not None:
            if before[:2] != (asked.path, asked.values):
                raise Refused(400, "idempotency_error", "idempotency_key_reused")
            return before[2:]
        status, answer = self._create(asked.values) if asked.path == "/v1/payment_intents" else self._refund(asked)
        self._answers[asked.key] = (asked.path, asked.values, status, answer)
        return status, answer

    def _create(self, values: dict[str, str]) -> tuple[int, dict[str, Any]]:
        _check_known(values, _CREATE)
        if values.get("confirm") != "true":
            raise Refused(400, "invalid_request_error", "parameter_missing", "confirm")
        _check_amount(int(values["amount"]), values["currency"])
        token = values["payment_method"]
        if token not in {PAYS, DECLINED, ASKS, SLOW}:
            raise Refused(400, "invalid_request_error", "resource_missing", "payment_method")
        statuses = {PAYS: "succeeded", SLOW: "processing", ASKS: "requires_action"}
        intent = {
            "id": f"pi_{len(self.intents)}",
            "object": "payment_intent",
            "amount": int(values["amount"]),
            "currency": values["currency"],
            "created": self._now(),
            "metadata": {"reference": values["metadata[reference]"]} if "metadata[reference]" in values else {},
            "status": statuses.get(token, "requires_payment_method"),
        }
        if token == ASKS:
            url = f"https://hooks.stripe.com/3d_secure_2/{intent['id']}"
            redirect = {"url": url, "return_url": values["return_url"]}
            intent["next_action"] = {"type": "redirect_to_url", "redirect_to_url": redirect}
        self.intents.append(intent)
        if token in statuses:
            return 200, dict(intent)
        error = {"type": "card_error", "code": "card_declined", "message": "No.", "payment_intent": dict(intent)}
        return 402, {"error": error}

    def _cancel(self, asked: Asked) -> tuple[int, dict[str, Any]]:
        _check_known(asked.values, _CANCEL)
        self.before_cancel()
        (intent,) = [each for each in self.intents if each["id"] == asked.path.split("/")[3]]
        if intent["status"] not in {"requires_action", "requires_payment_method", "processing"}:
            raise Refused(400, "invalid_request_error", "payment_intent_unexpected_state")
        intent["status"], intent["next_action"] = "canceled", None
        self._happens("payment_intent.canceled", intent)
        return 200, dict(intent)

    def _refund(self, asked: Asked) -> tuple[int, dict[str, Any]]:
        values = asked.values
        _check_known(values, _REFUND)
        (intent,) = [each for each in self.intents if each["id"] == values["payment_intent"]]
        if self.refund_error is not None:
            raise Refused(400, "invalid_request_error", self.refund_error)
        open_disputes = [each for each in self.disputes if each["status"] in {"needs_response", "under_review", "lost"}]
        if intent["id"] in {each["payment_intent"] for each in open_disputes}:
            raise Refused(400, "invalid_request_error", "charge_disputed")
        _check_step(int(values["amount"]), intent["currency"])
        given = sum(
            refund["amount"]
            for refund in self.refunds
            if refund["payment_intent"] == intent["id"] and refund["status"] not in {"failed", "canceled"}
        )
        if given == intent["amount"]:
            raise Refused(400, "invalid_request_error", "charge_already_refunded")
        if int(values["amount"]) > intent["amount"] - given:
            raise Refused(400, "invalid_request_error", "amount_too_large", "amount")
        refund = {
            "id": f"re_{len(self.refunds)}",
            "object": "refund",
            "amount": int(values["amount"]),
            "created": self._now(),
            "payment_intent": intent["id"],
            "metadata": {"reference": values["metadata[reference]"]} if "metadata[reference]" in values else {},
            "status": self.refund_status,
        }
        self.refunds.append(refund)
        return 200, dict(refund)

    def _read(self, asked: Asked) -> dict[str, Any]:
        if asked.path in {"/v1/payment_intents", "/v1/refunds"}:
            return self._list(asked)
        found = [each for each in self.intents if each["id"] == asked.path.split("/")[3]]
        if not found:
            raise Refused(404, "invalid_request_error", "resource_missing", "intent")
        return dict(found[0])

    def _list(self, asked: Asked) -> dict[str, Any]:
        values = asked.values
        _check_known(values, _LIST)
        found = list(reversed(self.intents if asked.path == "/v1/payment_intents" else self.refunds))
        if "payment_intent" in values:
            found = [each for each in found if each["payment_intent"] == values["payment_intent"]]
        found = [
            each
            for each in found
            if int(values.get("created[gte]", 0)) <= each["created"]
            and int(values.get("created[gt]", -1)) < each["created"]
            and each["created"] <= int(values.get("created[lte]", 2**60))
        ]
        if "starting_after" in values:
            found = found[[each["id"] for each in found].index(values["starting_after"]) + 1 :]
        limit = int(values.get("limit", 10))
        assert limit <= 100
        return {"object": "list", "url": asked.path, "data": found[:limit], "has_more": len(found) > limit}

    def _now(self) -> int:
        return int(time.time()) if self.clock is None else self.clock


def signed(event: dict[str, Any], secret: str = SECRET, at: float | None = None) -> tuple[bytes, str]:
    """A webhook's body, and its Stripe-Signature of that time in seconds since 1970; None: now."""
    body = json.dumps(event, indent=2).encode()
    seconds = int(time.time() if at is None else at)
    signature = hmac.new(secret.encode(), f"{seconds}.".encode() + body, "sha256").hexdigest()
    return body, f"t={seconds},v1={signature},v0=unused"


def _check_amount(amount: int, currency: str) -> None:
    if currency != currency.lower() or currency in _UNKNOWN:
        raise Refused(400, "invalid_request_error", "parameter_invalid", "currency")
    _check_step(amount, currency)
    if amount < _LEAST.get(currency, 1):
        raise Refused(400, "invalid_request_error", "amount_too_small", "amount")
    if amount > 99_999_999 and currency not in _LONGER:
        raise Refused(400, "invalid_request_error", "amount_too_large", "amount")


def _check_step(amount: int, currency: str) -> None:
    if amount % _STEPS.get(currency, 1):
        raise Refused(400, "invalid_request_error", "parameter_invalid_integer", "amount")


def _check_allowed(authorization: str | None, fault: Fault | None) -> None:
    if authorization != f"Bearer {KEY}":
        raise Refused(401, "invalid_request_error", "api_key_invalid")
    if fault is Fault.FAILS:
        raise Refused(500, "api_error", "internal")
    if fault is Fault.TOO_MANY:
        raise Refused(429, "invalid_request_error", "rate_limit")
    if fault is Fault.AT_ONCE:
        raise Refused(409, "idempotency_error", "idempotency_key_in_use")


def _check_known(values: dict[str, str], known: frozenset[str]) -> None:
    for name in values:
        if name not in known:
            raise Refused(400, "invalid_request_error", "parameter_unknown", name)
