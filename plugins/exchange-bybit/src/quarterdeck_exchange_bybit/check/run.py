"""Owns asking all questions, one after another, and leaving nothing behind."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from quarterdeck_exchange_bybit.budget import Banned
from quarterdeck_exchange_bybit.check import fills, rules, streams
from quarterdeck_exchange_bybit.check.desk import Desk
from quarterdeck_exchange_bybit.check.report import Line, Question, unknown
from quarterdeck_exchange_bybit.codec.row import Malformed
from quarterdeck_exchange_bybit.rest import Unreachable
from quarterdeck_exchange_bybit.settings import BybitSettings

QUESTIONS: tuple[Question, ...] = (*rules.QUESTIONS, *streams.QUESTIONS, *fills.QUESTIONS)


def questions(category: str) -> Sequence[Question]:
    """Those about a category."""
    return [each for each in QUESTIONS if each.of in ("", category)]


_HINTS = {"fill": "needs --fill: a tiny position, opened and closed", "dcp": "needs --dcp: it sets the protection"}


async def check(
    settings: BybitSettings,
    allowed: Collection[str] = (),
    *,
    dcp_window: int = 10,
    tell: Callable[[Line], None] = lambda _: None,
) -> tuple[Sequence[Line], Sequence[str]]:
    """Ask everything that is allowed; returns the report, and what could not be taken away again.

    Raises:
        ConfigError: the account is not as it has to be for a check.
        Unreachable: Bybit did not answer at the start.
    """
    desk = Desk(settings)
    desk.dcp_window = dcp_window
    lines: list[Line] = []
    left: Sequence[str] = ()
    try:
        await desk.open(settings.symbols[0])
        for question in questions(desk.category):
            answer = unknown(_HINTS[question.needs]) if question.needs and question.needs not in allowed else None
            if answer is None:
                try:
                    answer = await question.ask(desk)
                except (Unreachable, Banned, Malformed) as error:
                    answer = unknown(str(error))
            lines.append(Line(question.name, question.assumption, answer))
            tell(lines[-1])
    finally:
        left = await desk.close()
    return lines, left
