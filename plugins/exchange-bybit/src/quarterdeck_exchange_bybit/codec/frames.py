"""Owns the frames of Bybit's WebSockets and the envelopes of its REST answers: bytes in, something with a name out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quarterdeck_exchange_bybit.codec.row import Malformed, Row

#: Longer than any message Bybit sends; what is longer is not read at all.
LONGEST_FRAME = 8 * 1024 * 1024

_JSON = json.JSONDecoder(parse_float=str, parse_constant=str)


@dataclass(frozen=True, slots=True)
class Topic:
    """A message of a subscription. `name` is what was subscribed to, such as `kline.1.BTCUSDT`."""

    name: str
    message: Row

    @property
    def kind(self) -> str:
        """The part of the name that says what it carries."""
        return self.name.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to an operation on the socket: auth, subscribe, ping, or an order on the trade socket."""

    operation: str
    succeeded: bool
    request_id: str
    code: int
    text: str
    message: Row


Frame = Topic | Reply


def read_json(body: bytes | str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        Malformed: it is too long, not JSON, or no object.
    """
    if len(body) > LONGEST_FRAME:
        raise Malformed("frame", f"{len(body)} bytes", f"at most {LONGEST_FRAME} bytes")
    try:
        parsed = _JSON.decode(body if isinstance(body, str) else body.decode())
    except (ValueError, RecursionError) as error:
        raise Malformed("frame", body[:80], "JSON") from error
    if not isinstance(parsed, dict):
        raise Malformed("frame", parsed, "an object")
    return parsed


def read_frame(body: bytes | str) -> Frame:
    """One frame of any of the three sockets.

    Raises:
        Malformed: it is neither a message of a topic nor an answer to an operation.
    """
    fields = read_json(body)
    topic = fields.get("topic")
    if isinstance(topic, str) and topic:
        return Topic(topic, Row(fields, topic))
    operation = fields.get("op")
    if isinstance(operation, str) and operation:
        return _reply(operation, fields)
    raise Malformed("frame", sorted(fields)[:10], "a message with a topic or an op")


def _reply(operation: str, fields: Mapping[str, Any]) -> Reply:
    row = Row(fields, operation)
    code = row.integer("retCode") if "retCode" in row else 0
    success = fields.get("success")
    text = fields.get("retMsg") or fields.get("ret_msg") or ""
    request = fields.get("reqId") or fields.get("req_id") or ""
    return Reply(operation, code == 0 and success is not False, str(request), code, str(text), row)


@dataclass(frozen=True, slots=True)
class Answer:
    """A REST answer: Bybit's code for it, its text, its result and the server's time in nanoseconds (0: not told)."""

    code: int
    text: str
    result: Row
    time: int


def read_answer(body: bytes | str) -> Answer:
    """The envelope around every REST result.

    Raises:
        Malformed: it is none; what came may be a page of something that stands between us and Bybit.
    """
    row = Row(read_json(body), "answer")
    code = row.integer("retCode")
    result = row.raw("result")
    return Answer(
        code,
        row.text_or("retMsg"),
        Row(result if isinstance(result, Mapping) else {}, "result"),
        row.time("time") if "time" in row else 0,
    )
