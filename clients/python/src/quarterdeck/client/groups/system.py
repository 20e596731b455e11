"""Owns questions about the daemon itself."""

from __future__ import annotations

from quarterdeck.client.calls import Pages, Unary, resource, resources
from quarterdeck.client.convert import number
from quarterdeck.client.resources import Plugin, Status
from quarterdeck.client.rpc import Group, L, rpc
from quarterdeck.client.words import PluginKind
from quarterdeck.v1 import system_pb2
from quarterdeck.v1 import system_service_pb2 as pb


class System(Group[L]):
    """How the daemon is, and of what it is made."""

    @rpc
    def status(self) -> Unary[Status]:
        """The daemon's status. Answers in every state of the daemon."""
        return Unary(pb.GetStatusRequest(), resource(Status, "status"))

    @rpc
    def plugins(self, kind: PluginKind | None = None) -> Pages[Plugin]:
        """What the loaded plugins offer, by kind and name."""
        wanted = None if kind is None else number(system_pb2.Plugin.Kind.DESCRIPTOR, kind)
        return Pages(pb.ListPluginsRequest(kind=wanted), resources(Plugin, "plugins"))
