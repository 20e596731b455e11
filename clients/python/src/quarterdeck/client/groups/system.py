"""Owns questions about the daemon itself."""

from __future__ import annotations

from quarterdeck.client.answers import Diagnosis, Reconciliation
from quarterdeck.client.calls import Pages, Unary, resource, resources
from quarterdeck.client.convert import number
from quarterdeck.client.resources import Plugin, Status
from quarterdeck.client.rpc import Group, L, rpc
from quarterdeck.client.words import DiagnosisDepth, PluginKind
from quarterdeck.v1 import system_pb2
from quarterdeck.v1 import system_service_pb2 as pb


class System(Group[L]):
    """How the daemon is, and of what it is made."""

    @rpc
    def status(self) -> Unary[Status]:
        """How the daemon is: as the account that was chosen, else as the one that is worst off. Answers always."""
        return Unary(pb.GetStatusRequest(account=self.chosen), resource(Status, "status"))

    @rpc
    def statuses(self) -> Unary[list[Status]]:
        """How each account of the daemon is, by name. Answers always."""
        return Unary(pb.GetStatusRequest(), resources(Status, "accounts"))

    @rpc
    def diagnose(self, depth: DiagnosisDepth = "QUICK") -> Unary[Diagnosis]:
        """What the daemon's checks of itself find. `FULL` folds the whole journal again, which takes a while."""
        wanted = number(pb.DiagnoseRequest.Depth.DESCRIPTOR, depth)
        return Unary(pb.DiagnoseRequest(depth=wanted, account=self.chosen), resource(Diagnosis))

    @rpc
    def reconcile(self) -> Unary[Reconciliation]:
        """Compare the journal with the exchange now, and bring it to where the exchange is."""
        return Unary(pb.ReconcileRequest(account=self.chosen), resource(Reconciliation))

    @rpc
    def plugins(self, kind: PluginKind | None = None) -> Pages[Plugin]:
        """What the loaded plugins offer, by kind and name."""
        wanted = None if kind is None else number(system_pb2.Plugin.Kind.DESCRIPTOR, kind)
        return Pages(pb.ListPluginsRequest(kind=wanted), resources(Plugin, "plugins"))
