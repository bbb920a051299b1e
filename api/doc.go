// Package api is Tappet's door to the network: the REST API under /api/v1 with
// its OpenAPI document, the ingress of webhooks under /hooks/, and the probes
// /healthz and /readyz.
//
// It decides nothing about graphs and runs: it reads a request within its
// limits, asks the engine through the small interfaces of [Engine], and writes
// the answer. It keeps no tokens and holds no state of its own. Its one rule:
// what isn't on the list of open routes needs a token before anything else is
// looked at, and whatever goes wrong is answered as a problem of RFC 9457.
package api
