"""What two accounts of one daemon must not share is refused by name, before anything starts."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from quarterdeck.daemon.apart import Claims, Named, check_apart
from quarterdeck.daemon.config import parse
from quarterdeck.domain.errors import ConfigError
from quarterdeck_exchange_paper import PaperExchange, PaperSettings

MAIN = '[journal]\nurl = "sqlite:///main.db"\n'
SPARE = '[account]\nid = "spare"\n[journal]\nurl = "sqlite:///spare.db"\n'


def files(*texts: str) -> list[Named]:
    return [Named(f"{number}.toml", parse(text, f"{number}.toml")) for number, text in enumerate(texts, 1)]


def test_accounts_that_share_nothing_are_one_daemon_s() -> None:
    check_apart(files(MAIN))
    check_apart(files('[daemon]\nlisten = "127.0.0.1:0"\n' + MAIN, SPARE))
    check_apart(files(MAIN, '[daemon]\non_stop = "flatten"\nstop_within = "1m"\n' + SPARE))


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (MAIN, SPARE.replace("spare", "main", 1), "2.toml: account.id: 1.toml has the same"),
        (MAIN, SPARE.replace("spare.db", "main.db"), "2.toml: journal.url: 1.toml has the same"),
        (MAIN, SPARE.replace("spare.db", "./x/../main.db"), "2.toml: journal.url: 1.toml has the same"),
        ("", '[account]\nid = "spare"\n', "2.toml: journal.url: 1.toml has the same"),
        (
            MAIN.replace("sqlite:///main.db", "postgresql://a@db.example/one"),
            SPARE.replace("sqlite:///spare.db", "postgresql+psycopg://b:x@db.example/one"),
            "2.toml: journal.url: 1.toml has the same",
        ),
        (MAIN + 'anchor_file = "heads"\n', SPARE + 'anchor_file = "./heads"\n', "2.toml: journal.anchor_file: 1.toml"),
        (MAIN, '[daemon]\nlisten = "127.0.0.1:50552"\n' + SPARE, "2.toml: daemon.listen: one daemon has one address"),
    ],
)
def test_what_is_shared_is_named(
    first: str, second: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        check_apart(files(first, second))
    assert said in str(caught.value)


class Known(PaperExchange):
    """A venue's account that could be another's, too."""

    def __init__(self, *identities: str) -> None:
        super().__init__(PaperSettings())
        self._known = identities

    @property
    def identities(self) -> Collection[str]:
        return self._known


def test_one_account_at_a_venue_is_traded_once() -> None:
    claims = Claims()
    first: Any = Known("key one", "account 1000")
    claims.claim("main", first)
    claims.claim("main", first)
    claims.claim("spare", Known("key two"))
    with pytest.raises(ConfigError, match="accounts/spare and accounts/main both trade account 1000"):
        claims.claim("spare", Known("key two", "account 1000"))


def test_venues_inside_the_process_are_never_the_same() -> None:
    claims, settings = Claims(), PaperSettings()
    claims.claim("main", PaperExchange(settings))
    claims.claim("spare", PaperExchange(settings))
