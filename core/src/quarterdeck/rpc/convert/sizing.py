"""Owns sizes, risk ratios and refusals on the wire. Their numbers were computed for people, so they may be rounded."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from quarterdeck.domain.amounts import ZERO
from quarterdeck.domain.risk import LimitStatus, Refused
from quarterdeck.domain.sizing import Sizing, SizingStep
from quarterdeck.rpc.convert.values import prose, rounded
from quarterdeck.v1 import risk_pb2, sizing_pb2


def write_sizing(message: sizing_pb2.Sizing, sizing: Sizing) -> None:
    """Write a size and how it was found."""
    message.quantity.value = rounded(sizing.quantity)
    message.risk_amount.value = rounded(sizing.risk_amount)
    message.risk_ratio.value = rounded(sizing.risk_ratio)
    message.tier = sizing.tier
    message.notional.value = rounded(sizing.notional)
    message.basis.value = rounded(sizing.basis)
    message.entry_price.value = rounded(sizing.entry_price)
    message.stop_price.value = rounded(sizing.stop_price)
    for step in sizing.steps:
        write_step(message.steps.add(), step)


def read_sizing(message: sizing_pb2.Sizing) -> Sizing:
    """Read a size and how it was found. What was left out because it could not be spelt reads as zero."""
    return Sizing(
        Decimal(message.quantity.value or 0),
        Decimal(message.risk_amount.value or 0),
        Decimal(message.risk_ratio.value or 0),
        message.tier,
        Decimal(message.basis.value or 0),
        Decimal(message.entry_price.value or 0),
        Decimal(message.stop_price.value or 0),
        Decimal(message.notional.value or 0),
        tuple([_read_step(step) for step in message.steps]),
    )


def write_step(message: sizing_pb2.SizingStep, step: SizingStep) -> None:
    """Write one step of a sizing."""
    message.rule = step.rule
    message.before.value = rounded(step.before)
    message.after.value = rounded(step.after)
    inputs = message.inputs
    for name, value in step.inputs:
        added = inputs.add()
        added.name = name
        added.value.value = rounded(value)


def _read_step(message: sizing_pb2.SizingStep) -> SizingStep:
    return SizingStep(
        message.rule,
        Decimal(message.before.value or 0),
        Decimal(message.after.value or 0),
        tuple([(each.name, Decimal(each.value.value or 0)) for each in message.inputs]),
    )


def write_refusal(message: risk_pb2.Refusal, refusal: Refused) -> None:
    """Write why a rule said no."""
    message.rule = refusal.rule
    message.reason = prose(refusal.reason)
    if refusal.limit is not None and (spelt := rounded(refusal.limit)):
        message.limit.value = spelt
    if refusal.observed is not None and (spelt := rounded(refusal.observed)):
        message.observed.value = spelt


def limit_messages(limits: Sequence[LimitStatus]) -> list[risk_pb2.RiskLimit]:
    """Every limit, by rule and name."""
    return [_limit(limit) for limit in sorted(limits, key=lambda each: (each.rule, each.name))]


def _limit(status: LimitStatus) -> risk_pb2.RiskLimit:
    message = risk_pb2.RiskLimit(rule=status.rule, name=status.name)
    if spelt := rounded(status.limit):
        message.limit.value = spelt
    if status.observed is not None:
        if spelt := rounded(status.observed):
            message.observed.value = spelt
        if spelt := rounded(max(status.limit - status.observed, ZERO)):
            message.headroom.value = spelt
    return message
