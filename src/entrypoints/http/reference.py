"""The reference: OpenAPI 3.1 and a page made of it, from what stands with each handler."""

import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any, Final

import msgspec
from msgspec import Struct

from ...domain.webhooks import FACT_KINDS, HOST_AND_PATH, LONGEST_URL
from .kinds import KINDS
from .operation import (
    EMAIL,
    IDEMPOTENCY_KEY,
    NO_BLANK,
    NO_CONTROLS,
    NO_SPACE,
    PLAIN_LINES,
    PLAIN_TEXT,
    Operation,
    Parameter,
)
from .problem_pages import prose
from .problems import MEDIA_TYPE
from .routing import Call

REF: Final = "#/components/schemas/{name}"
_PATH_NAMES: Final = {
    "event_id": "id",
    "booking_id": "id",
    "ticket_type_id": "typeId",
    "webhook_id": "id",
    "delivery_id": "deliveryId",
    "code": "code",
}
_ALWAYS: Final = ("internal-error",)

_Limits = Mapping[str, Mapping[str, Any]]
_TEXT_200: Final = {"minLength": 1, "maxLength": 200, "pattern": NO_BLANK}
_EMAIL: Final = {"minLength": 3, "maxLength": 254, "pattern": EMAIL}
_TRIED_PASSWORD: Final = {"minLength": 1, "maxLength": 1_024, "pattern": NO_CONTROLS}
_NEW_PASSWORD: Final = {"minLength": 8, "maxLength": 128, "pattern": NO_CONTROLS}
_PRICE: Final = {"properties": {"amount": {"maximum": 100_000_000}}}
_TICKET_TYPE_LIMITS: Final[_Limits] = {
    "name": _TEXT_200,
    "totalTickets": {"minimum": 1, "maximum": 1_000_000},
    "price": _PRICE,
}
_EVENT_LIMITS: Final[_Limits] = {
    **_TICKET_TYPE_LIMITS,
    "description": {"maxLength": 1_000, "pattern": PLAIN_LINES},
    "venue": {"maxLength": 200, "pattern": PLAIN_TEXT},
    "maxTicketsPerCustomer": {"minimum": 1, "maximum": 1_000},
    "paymentWindowMinutes": {"minimum": 1, "maximum": 43_200},
    "cancellationDeadlineHours": {"minimum": 0, "maximum": 8_760},
}
LIMITS: Final[Mapping[str, _Limits]] = {
    "RegistrationBody": {
        "name": _TEXT_200,
        "email": _EMAIL,
        "password": _NEW_PASSWORD,
    },
    "CredentialsBody": {"email": _EMAIL, "password": _TRIED_PASSWORD},
    "RefreshBody": {"refreshToken": {"minLength": 1, "maxLength": 512, "pattern": NO_BLANK}},
    "ProfileBody": {
        "name": _TEXT_200,
        "currentPassword": _TRIED_PASSWORD,
        "newPassword": _NEW_PASSWORD,
    },
    "InitializeBody": {**_EVENT_LIMITS, "ticketTypes": {"minItems": 1, "maxItems": 50}},
    "EventChangesBody": _EVENT_LIMITS,
    "TicketTypeBody": _TICKET_TYPE_LIMITS,
    "TicketTypeChangesBody": _TICKET_TYPE_LIMITS,
    "PaymentBody": {"token": {"minLength": 1, "maxLength": 255, "pattern": NO_SPACE}},
    "BookBody": {"quantity": {"minimum": 1, "maximum": 1_000}},
    "WebhookBody": {
        "url": {"maxLength": LONGEST_URL, "pattern": f"^https://{HOST_AND_PATH}$"},
        "kinds": {"minItems": 1, "maxItems": len(FACT_KINDS), "items": {"type": "string", "enum": list(FACT_KINDS)}},
    },
    "Money": {"amount": {"minimum": 0}, "currency": {"pattern": "^[A-Z]{3}$"}},
}
"""What the domain's rules say, as far as JSON Schema can say it. A test holds the two together."""

_TOGETHER: Final[Mapping[str, Mapping[str, Any]]] = {
    "Money": {"additionalProperties": False},
    "CancelBody": {"oneOf": [{"required": ["bookingId"]}, {"required": ["eventId"]}]},
    "PaymentBody": {
        "oneOf": [
            {"required": ["token"], "properties": {"method": {"const": "card"}}},
            {"properties": {"method": {"const": "cash"}, "token": False}},
        ]
    },
    "InitializeBody": {
        "oneOf": [
            {"required": ["totalTickets"], "properties": {"ticketTypes": False}},
            {"required": ["ticketTypes"], "properties": {"totalTickets": False, "price": False}},
        ]
    },
    "ProfileBody": {"minProperties": 1, "dependentRequired": {"newPassword": ["currentPassword"]}},
}

_PROBLEM: Final = {
    "title": "Problem",
    "description": "An error (RFC 9457); more members may help, `bookingId` say.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "requestId"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "enum": list(KINDS)},
        "requestId": {"type": "string"},
        "bookingId": {"type": "string", "format": "uuid"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}
_HEADERS: Final = {
    "X-Request-Id": "The request's id, taken from the request or new.",
    "Location": "Where to find what was created.",
    "ETag": "The tag of this answer.",
    "WWW-Authenticate": "How to sign in.",
    "Retry-After": "Seconds to wait.",
    "Idempotency-Replayed": "`true` where the request came before: this is the first answer to it again.",
}


class Reference(Struct, frozen=True):
    """The reference as it is answered."""

    openapi: bytes
    page: str


def reference_of(calls: Iterable[Call], version: str) -> Reference:
    """The reference of all calls."""
    document = openapi_document(calls, version)
    return Reference(msgspec.json.encode(document), _page(document))


def openapi_document(calls: Iterable[Call], version: str) -> dict[str, Any]:
    """The OpenAPI document."""
    found = sorted(calls, key=lambda call: _ORDER.index(call.operation.tag))
    types = [kind for call in found for kind in (call.operation.body, call.operation.answer) if _is_described(kind)]
    _, schemas = msgspec.json.schema_components(types, ref_template=REF)
    schemas = {name: _limited(name, schema) for name, schema in schemas.items()}
    paths: dict[str, dict[str, Any]] = {}
    for call in found:
        path, method = _path(call.path), call.method.lower()
        item = paths.setdefault(path, {})
        item[method] = _described(path, call.operation)
        if method == "get":
            item["head"] = _head(item[method])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Boxoffice",
            "version": version,
            "description": "Event tickets that are never oversold, with a waiting list that nobody jumps.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in _ORDER],
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Problem": _PROBLEM},
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "From POST /login, and then from POST /refresh.",
                }
            },
            "headers": {
                name: {
                    "description": description,
                    # That an answer came before is said only where it did; the others are always there.
                    "required": name != "Idempotency-Replayed",
                    "schema": {"type": "string"},
                }
                for name, description in _HEADERS.items()
            },
        },
    }


_ORDER: Final = ("Accounts", "Events", "Bookings", "Webhooks", "Operations")


def _path(path: str) -> str:
    """The path with its parameters named as in the contract."""
    names = {**_PATH_NAMES, "event_id": "eventId"} if path.startswith("/status") else _PATH_NAMES
    return re.sub(r"\{(\w+)\}", lambda match: f"{{{names[match[1]]}}}", path)


def _is_described(kind: Any) -> bool:
    return kind not in (None, str, dict)


def _limited(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    limits = LIMITS.get(name, {})
    properties = {key: {**value, **limits.get(key, {})} for key, value in schema.get("properties", {}).items()}
    return {**schema, **({"properties": properties} if properties else {}), **_TOGETHER.get(name, {})}


def _described(path: str, operation: Operation) -> dict[str, Any]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": _path_schema(name)}
        for name in re.findall(r"\{(\w+)\}", path)
    ]
    described: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": in_path + [_parameter(parameter) for parameter in _parameters(operation)],
        "responses": _responses(operation),
        # An empty requirement: works without signing in, too.
        "security": [{"bearer": []}]
        if operation.signed_in
        else []
        if operation.ignores_token
        else [{}, {"bearer": []}],
    }
    if operation.body is not None:
        content = {"schema": _schema(operation.body), "example": operation.example}
        described["requestBody"] = {"required": True, "content": {"application/json": content}}
    return described


def _parameters(operation: Operation) -> tuple[Parameter, ...]:
    return (*operation.parameters, IDEMPOTENCY_KEY) if operation.takes_key else operation.parameters


def _path_schema(name: str) -> dict[str, Any]:
    return {"type": "string"} if name == "code" else {"type": "string", "format": "uuid"}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.description,
        "required": False,
        "schema": parameter.schema,
    }


def _schema(kind: Any) -> dict[str, Any]:
    if kind is str:
        return {"type": "string"}
    if kind is dict:
        return {"type": "object"}
    (schema,), _ = msgspec.json.schema_components([kind], ref_template=REF)
    return schema


def _responses(operation: Operation) -> dict[str, Any]:
    headers = ["X-Request-Id"]
    headers += ["Location"] if operation.has_location else []
    headers += ["ETag"] if operation.has_etag else []
    headers += ["Idempotency-Replayed"] if operation.takes_key else []
    content: dict[str, Any] = {}
    if operation.answer is not None:
        content[operation.media_type] = {"schema": _schema(operation.answer)}
    if operation.answer_example is not None:
        content[operation.media_type]["example"] = operation.answer_example
    if operation.answers_html:
        content["text/html"] = {"schema": {"type": "string"}}
    responses = {
        str(operation.status): {
            "description": "Created." if operation.status == 201 else "Done.",
            "headers": _headers(headers),
            **({"content": content} if content else {}),
        }
    }
    if any(parameter.name == "If-None-Match" for parameter in operation.parameters):
        responses["304"] = {"description": "The same as before.", "headers": _headers(["X-Request-Id", "ETag"])}
    by_status: dict[int, list[str]] = {}
    for code in _codes(operation):
        by_status.setdefault(KINDS[code].status, []).append(code)
    for status, codes in sorted(by_status.items()):
        responses[str(status)] = _problem(status, codes, is_replayed=operation.takes_key and status in (402, 409))
    return responses


def _codes(operation: Operation) -> list[str]:
    codes = list(operation.problems)
    if operation.signed_in:
        codes.append("not-signed-in")
    if not operation.ignores_token:
        codes += ["invalid-token", "invalid-request", "too-many-requests", "try-again"]
    if operation.body is not None:
        codes += ["invalid-request", "body-too-large", "unsupported-media-type"]
    if operation.takes_key:
        codes.append("idempotency-key-reused")
    return sorted({*codes, *_ALWAYS}, key=list(KINDS).index)


def _problem(status: int, codes: list[str], *, is_replayed: bool) -> dict[str, Any]:
    headers = ["X-Request-Id"]
    headers += ["WWW-Authenticate"] if status == 401 else []
    headers += ["Retry-After"] if status in (429, 503) else []
    headers += ["Idempotency-Replayed"] if is_replayed else []
    examples = {
        code: {
            "value": {
                "type": f"/problems/{code}",
                "title": KINDS[code].title,
                "status": status,
                "detail": KINDS[code].explanation,
                "code": code,
                "requestId": "019a0000-0000-7000-8000-00000000000a",
            }
        }
        for code in codes
    }
    return {
        "description": " or ".join(f"`{code}`" for code in codes),
        "headers": _headers(headers),
        "content": {MEDIA_TYPE: {"schema": {"$ref": REF.format(name="Problem")}, "examples": examples}},
    }


def _headers(names: list[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _head(get: dict[str, Any]) -> dict[str, Any]:
    responses = {
        status: {key: value for key, value in response.items() if key != "content"}
        for status, response in get["responses"].items()
    }
    return {**get, "operationId": f"{get['operationId']}Head", "responses": responses}


def _page(document: dict[str, Any]) -> str:
    """The reference as one page without a script, a picture or a link to anywhere else."""
    sections, links = [], []
    for path, item in document["paths"].items():
        for method, call in item.items():
            if method != "head":
                links.append(f'<li><a href="#{call["operationId"]}"><b>{method.upper()}</b> {escape(path)}</a>')
                sections.append(_section(path, method, call))
    schemas = "".join(
        f'<section id="schema-{escape(name)}"><h3>{escape(name)}</h3><p>{prose(schema.get("description", ""))}</p>'
        f"{_block(schema)}</section>"
        for name, schema in document["components"]["schemas"].items()
    )
    problems = "".join(
        f'<tr><td><a href="/problems/{code}">{code}</a><td>{kind.status}<td>{prose(kind.explanation)}'
        for code, kind in KINDS.items()
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        f"<title>Boxoffice {escape(document['info']['version'])}</title>"
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style><nav><ul>{''.join(links)}<li><a href='#schemas'>Schemas</a>"
        "<li><a href='#problems'>Problems</a><li><a href='/openapi.json'>openapi.json</a></ul></nav>"
        f"<main><h1>Boxoffice</h1><p>{escape(document['info']['description'])}</p>{''.join(sections)}"
        f"<h2 id=schemas>Schemas</h2>{schemas}"
        f"<h2 id=problems>Problems</h2><table><tr><th>code<th>status<th>meaning{problems}</table></main></html>"
    )


STYLE: Final = (
    "body{margin:0;display:flex;font:16px/1.5 system-ui,sans-serif;color:#222}"
    "nav{position:sticky;top:0;height:100vh;overflow:auto;flex:0 0 20rem;background:#f4f4f6}"
    "nav ul{list-style:none;padding:1rem;margin:0}"
    "nav a{color:#223;text-decoration:none;font-size:.9rem;overflow-wrap:anywhere}"
    "main{padding:1rem 2rem;max-width:60rem;min-width:0}"
    "section{border-top:1px solid #ddd;margin-top:2rem}"
    "pre{background:#f4f4f6;padding:1rem;overflow:auto;font-size:.85rem}"
    "table{border-collapse:collapse}"
    "code{overflow-wrap:anywhere}"
    "td,th{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0}"
    "@media(max-width:50rem){nav{display:none}}"
)


def _section(path: str, method: str, call: dict[str, Any]) -> str:
    parts = [
        f'<section id="{call["operationId"]}"><h2><b>{method.upper()}</b> {escape(path)}</h2>',
        f"<p>{escape(call['summary'])}. {_SIGN_IN[str(call['security'])]}</p>",
    ]
    if call["parameters"]:
        rows = "".join(
            f"<tr><td><code>{escape(each['name'])}</code><td>{each['in']}<td>{prose(each.get('description', ''))} "
            f"<code>{escape(_json(each['schema']))}</code>"
            for each in call["parameters"]
        )
        parts.append(f"<h3>Parameters</h3><table>{rows}</table>")
    if "requestBody" in call:
        content = call["requestBody"]["content"]["application/json"]
        parts.append(f"<h3>Body: {_link(content['schema'])}</h3>{_block(content['example'])}")
    parts.append("<h3>Answers</h3><table>")
    for status, response in call["responses"].items():
        parts.append(f"<tr><td><b>{status}</b><td>{prose(response['description'])}")
    parts.append("</table>")
    parts += [
        f"<p>{_link(content['schema'])}</p>{_block(content['example'])}"
        for response in call["responses"].values()
        for content in response.get("content", {}).values()
        if "example" in content
    ]
    return "".join((*parts, "</section>"))


_SIGN_IN: Final = {
    str([{"bearer": []}]): "Needs a bearer token.",
    str([{}, {"bearer": []}]): "Needs no bearer token.",
    str([]): "Looks at no bearer token.",
}


def _link(schema: dict[str, Any]) -> str:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    return f'<a href="#schema-{escape(name)}">{escape(name)}</a>' if name else ""


def _block(value: Any) -> str:
    return f"<pre>{escape(msgspec.json.format(_json(value), indent=2))}</pre>"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
