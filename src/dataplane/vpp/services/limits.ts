/** What of services is otherwise on stock VPP than the API has it; told at start and in status. docs/guide/services.md has the same. */
export const SERVICE_LIMITS: readonly string[] = [
  "affinity is a hash of the client's address: it has no time, and some clients move when endpoints come and go",
  "connections to an endpoint that is no longer among the ready ones are cut within seconds; there is no drain",
  "a datagram client that keeps its port, and is never silent for 30 s, keeps its endpoint until VPP has cleaned up",
  "with policy Local pods get the endpoints of their own node only, where it has some, at node ports and load balancers' addresses",
  "node ports and balanced addresses with source ranges, of SCTP over IPv6 or with endpoints elsewhere, or with endpoints on another node's own address are served by the host, and not to pods; cluster IPs are",
  "SCTP over IPv6 is not translated for pods, nor is SCTP of a pod to itself; pods whose egress a policy restricts get no answers of SCTP from services",
  "what would be dropped is refused, by ICMP; UDP clients may not notice",
];
