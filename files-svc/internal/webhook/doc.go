// Package webhook tells the operator's endpoints what happens to files, after it has happened.
//
//	outbox (written by each commit) ── take ──> deliveries, one row an event and endpoint, with the position: one transaction
//	deliveries ── Sender, signed ──> endpoint ── 2xx ──> the row goes
//	                                          └─ else ─> again later, ever more slowly; after the last attempt it is parked
//
// Each endpoint has a worker, a position, a queue, a bound on what is under way and a circuit of its own, so one that hangs
// or is down delays no other, and nobody's upload: those only ever write the outbox.
//
// Promises: each event an endpoint asked for is sent at least once, also over kill -9, as long as it is taken within the time
// the outbox is kept; an upload that was not committed is never heard of. The events of one person are first tried in the
// order of their commits, one at a time; one that failed is overtaken by later ones, and its sequence tells. What waits
// holds ids only: the file is looked up when it is told, so nothing of an erased person is left to be sent.
package webhook
