from __future__ import annotations

from docs.generate_order_states import PAGE, page
from quarterdeck.domain.order import TRANSITIONS, OrderState


def test_the_page_of_order_states_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run docs/generate_order_states.py --write"


def test_every_state_is_told_and_every_move_drawn() -> None:
    lines = page().splitlines()
    for state in OrderState:
        assert sum(line.startswith(f"| {state} |") for line in lines) == 1, f"{state} has no meaning in its enum"
        for move in TRANSITIONS[state]:
            assert f"    {state} --> {move}" in lines
