// Package routing is the gateway's core: what a request may become, decided without touching the network.
//
// Flow: resources go into Compile, which checks them against one another and returns an immutable Table and one Status a
// resource. The edge asks, per request: Canonical for the path (or 400), Table.Hygiene for the headers to strip, Table.Match
// for the Rule (or 404, 405), Rule.Refused for a rule that may not be served (503), Rule.Charges for what the request owes
// the Limiter, Rule.Auth and Rule.Allows for who may pass, Rule.Target and Rule.Path for where it goes.
//
// Promises: a Table never changes once made and may be shared by any number of goroutines. A rule without an explicit
// decision on authentication cannot exist in a Table. A resource that is wrong harms no other: what it claims answers 503
// or keeps its last accepted form. Which rule wins depends on the resources alone, never on the order they were read in.
package routing
