"""Owns how a journal is written into files for other programs: JSON lines and CSV."""

from __future__ import annotations

import csv
import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, TextIO

from google.protobuf.json_format import MessageToDict

from quarterdeck.daemon.journal.archive import Chained
from quarterdeck.daemon.journal.verification import Finding
from quarterdeck.v1.event_pb2 import Envelope

Put = Callable[[Chained], object]


class Exported(NamedTuple):
    """What was written, and what ended it early."""

    entries: int
    first: int
    last: int
    damage: Finding | None


def write(path: Path, begin: Callable[[TextIO], Put], entries: Iterable[Chained | Finding]) -> Exported:
    """Write entries into a new file, up to the first that is not what was recorded.

    Raises:
        OSError: the file exists, or can't be written.
    """
    count = first = last = 0
    with path.open("x", encoding="utf-8", newline="") as file:
        put = begin(file)
        for entry in entries:
            if isinstance(entry, Finding):
                return Exported(count, first, last, entry)
            put(entry)
            count, first, last = count + 1, first or entry.sequence, entry.sequence
    return Exported(count, first, last, None)


def _jsonl(file: TextIO) -> Put:
    """Each entry as an object: the columns, the event as the contract's JSON, and its bytes in base64."""

    def put(entry: Chained) -> None:
        told = {
            "sequence": entry.sequence,
            "time": entry.time,
            "account": entry.account,
            "type": entry.type,
            "event": MessageToDict(Envelope.FromString(entry.body), preserving_proto_field_name=True),
            "body": b64encode(entry.body).decode(),
            "hash": entry.hash.hex(),
        }
        file.write(json.dumps(told) + "\n")

    return put


def _csv(file: TextIO) -> Put:
    """The columns as they are stored; bytes in base64, the hash in hexadecimal."""
    rows = csv.writer(file)
    rows.writerow(Chained._fields)
    return lambda entry: rows.writerow((*entry[:4], b64encode(entry.body).decode(), entry.hash.hex()))


FORMATS: Mapping[str, Callable[[TextIO], Put]] = {"jsonl": _jsonl, "csv": _csv}
"""By name: what begins a file and returns what puts an entry into it."""
