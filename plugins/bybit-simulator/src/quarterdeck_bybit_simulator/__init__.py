"""A Bybit V5 of your own: REST, public, private and trade WebSockets over a simulated venue, with faults on demand.

Owns Bybit's rules as its clients meet them: signatures, windows, limits, paging, statuses, stop orders, and what goes
wrong. `quarterdeck.matching` decides every fill. Must not know: the plugin that talks to it, the engine, the daemon.

Reading order: settings, refusals, order, rows, account, market, gate, params, api, faults, truth, simulator, sockets,
server; then catalog, walk, scene and cli for one that runs by itself, threaded and fixtures for tests.
"""

from quarterdeck_bybit_simulator.faults import Do, Faults, Match, Rule
from quarterdeck_bybit_simulator.server import SimulatorServer
from quarterdeck_bybit_simulator.settings import LinkIds, Member, SimulatorSettings
from quarterdeck_bybit_simulator.simulator import Simulator
from quarterdeck_bybit_simulator.truth import Truth

__all__ = [
    "Do",
    "Faults",
    "LinkIds",
    "Match",
    "Member",
    "Rule",
    "Simulator",
    "SimulatorServer",
    "SimulatorSettings",
    "Truth",
]
