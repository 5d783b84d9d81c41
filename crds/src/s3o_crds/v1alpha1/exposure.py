"""How the endpoint is reached, and by whom: Service, Ingress, Gateway, certificate, network policy; and how it is watched over."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from s3o_crds.meta import Rule, Section
from s3o_crds.v1alpha1.pods import Annotations, OwnLabels
from s3o_crds.v1alpha1.scheduling import LabelSelector
from s3o_crds.values import DomainName, Duration, Label, LabelKey, ObjectName, PositiveDuration

_ATOMIC = {"x-kubernetes-list-type": "atomic"}
Hostname = Annotated[
    str, Field(min_length=1, max_length=253, pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
]
Port = Annotated[int, Field(ge=1, le=65535)]


class Service(Section):
    rules = (
        Rule(
            "!has(self.loadBalancerClass) || self.type == 'LoadBalancer'",
            "loadBalancerClass goes with type LoadBalancer only",
            "loadBalancerClass",
            holds=lambda service: service.load_balancer_class is None or service.type == "LoadBalancer",
        ),
    )

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    """How the Service is published."""
    port: Port = 9000
    """Port of the Service."""
    annotations: Annotations | None = None
    """Annotations of the Service; many load balancers are set up by them."""
    load_balancer_class: LabelKey | None = None
    """Implementation of the load balancer, such as service.k8s.aws/nlb; by default the cluster's."""
    traffic_distribution: Literal["PreferClose", "PreferSameZone", "PreferSameNode"] | None = None
    """Which proxies a client's node prefers; by default none."""


class Ingress(Section):
    rules = (
        Rule(
            "!self.enabled || has(self.host)",
            "needs host",
            "host",
            holds=lambda ingress: not ingress.enabled or ingress.host is not None,
        ),
    )

    enabled: bool = False
    """Whether there is an Ingress."""
    class_name: ObjectName | None = None
    """Its class; by default the cluster's."""
    host: Hostname | None = None
    """Name by which clients reach the endpoint."""
    tls_secret_name: ObjectName | None = None
    """Secret of type kubernetes.io/tls with which the Ingress serves https."""
    annotations: Annotations | None = None
    """Annotations of the Ingress. Most controllers limit the size of a request until they are told not to."""


class ParentRef(Section):
    name: ObjectName
    """Name of the Gateway."""
    namespace: Label | None = None
    """Its namespace; by default this object's own."""
    section_name: ObjectName | None = None
    """Its listener; by default all."""


class Gateway(Section):
    rules = (
        Rule(
            "!self.enabled || (has(self.parentRefs) && size(self.parentRefs) > 0)",
            "needs parentRefs",
            "parentRefs",
            holds=lambda gateway: not gateway.enabled or bool(gateway.parent_refs),
        ),
    )

    enabled: bool = False
    """Whether there is an HTTPRoute of the Gateway API."""
    parent_refs: Annotated[tuple[ParentRef, ...], Field(max_length=16, json_schema_extra=_ATOMIC)] = ()
    """Gateways that it is attached to."""
    hostnames: Annotated[tuple[Hostname, ...], Field(max_length=16, json_schema_extra=_ATOMIC)] = ()
    """Names by which clients reach the endpoint; by default those of the listener."""


class IssuerRef(Section):
    name: ObjectName
    """Name of the issuer."""
    kind: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Z][A-Za-z0-9]*$")] = "Issuer"
    """Issuer, ClusterIssuer, or the kind of an external one."""
    group: DomainName = "cert-manager.io"
    """API group of the issuer."""


class CertManager(Section):
    issuer_ref: IssuerRef
    """Who issues the certificate."""
    dns_names: Annotated[tuple[Hostname, ...], Field(max_length=16, json_schema_extra=_ATOMIC)] = ()
    """Further names in the certificate, besides those of the Service, of server.virtualHostDomain and of the routes."""
    duration: PositiveDuration = PositiveDuration("2160h")
    """How long a certificate is valid."""
    renew_before: PositiveDuration = PositiveDuration("360h")
    """How long before its end it is renewed."""


class IPBlock(Section):
    cidr: Annotated[str, Field(min_length=1, max_length=43, pattern=r"^[0-9A-Fa-f:.]+/[0-9]{1,3}$")]
    """A range such as 10.0.0.0/8."""
    excluded: Annotated[
        tuple[Annotated[str, Field(max_length=43)], ...], Field(max_length=16, alias="except", json_schema_extra=_ATOMIC)
    ] = ()
    """Ranges within it that do not count."""


class Peer(Section):
    rules = (
        Rule(
            "has(self.ipBlock) != (has(self.podSelector) || has(self.namespaceSelector))",
            "needs ipBlock, or podSelector or namespaceSelector or both of these",
            holds=lambda peer: (peer.ip_block is None) == (peer.pod_selector is not None or peer.namespace_selector is not None),
        ),
    )

    pod_selector: LabelSelector | None = None
    """Pods by their labels; of the namespace of this object, or of those that namespaceSelector selects."""
    namespace_selector: LabelSelector | None = None
    """Namespaces by their labels; {} is all of them."""
    ip_block: IPBlock | None = None
    """A range of addresses."""


class PolicyPort(Section):
    port: Port
    """The port."""
    protocol: Literal["TCP", "UDP"] = "TCP"
    """Its protocol."""


class EgressRule(Section):
    to: Annotated[tuple[Peer, ...], Field(max_length=16, json_schema_extra=_ATOMIC)] = ()
    """Who may be called; empty means everybody."""
    ports: Annotated[tuple[PolicyPort, ...], Field(max_length=16, json_schema_extra=_ATOMIC)] = ()
    """At which ports; empty means all."""


class NetworkPolicy(Section):
    enabled: bool = False
    """Whether pods accept and make only the connections that they need. It takes effect where the cluster's network enforces policies."""
    ingress_from: Annotated[tuple[Peer, ...], Field(max_length=32, json_schema_extra=_ATOMIC)] = ()
    """Who may connect to the endpoint; empty means everybody. The operator always may."""
    egress_extra: Annotated[tuple[EgressRule, ...], Field(max_length=32, json_schema_extra=_ATOMIC)] = ()
    """What pods may call besides names, the database and the backends, whose ports are always open."""


class PodMonitor(Section):
    enabled: bool = False
    """Whether there is a PodMonitor of the Prometheus operator."""
    interval: Duration = Duration("30s")
    """How often pods are scraped."""
    labels: OwnLabels | None = None
    """Labels of the PodMonitor, by which a Prometheus selects it."""


class PrometheusRule(Section):
    enabled: bool = False
    """Whether there is a PrometheusRule of the Prometheus operator, with alerts for what a person must look at."""
    labels: OwnLabels | None = None
    """Labels of the PrometheusRule, by which a Prometheus selects it."""


class Monitoring(Section):
    pod_monitor: PodMonitor = PodMonitor()
    """Scraping of the pods."""
    prometheus_rule: PrometheusRule = PrometheusRule()
    """Alerts."""
