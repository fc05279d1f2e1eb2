// Package token verifies access tokens and knows which of them have been revoked. It signs nothing.
//
// A request's token takes one path:
//
//	Authorization: Bearer ──> Verifier ── seen before? ──> cache (by SHA-256 of the whole token)
//	                             │ no
//	                             ├── kid ──> KeySource (JWKS: fetched in the background, kept in memory)
//	                             └── every time, cached or not ──> View (the revocation log, fed by Follower)
//
// What it promises:
//
//   - A token's header chooses nothing: the algorithm is the one of the key that its kid names, keys come from one
//     configured address, and a header may hold alg, kid and typ only.
//   - Revocation is checked on each request, against an exact set in memory, without a call and without a look-up
//     elsewhere. Requests that run when their session, person, API key or signing key is revoked are cancelled.
//   - When the view cannot prove that it is fresher than its limit, nothing is accepted: the answer is 503, not a guess.
//   - Refusals say nothing: every bad token gets the same fault. Only the genuine may learn that they are expired or
//     stale, for their client can do something about it.
//   - Nothing here grows with what strangers send: caches, sets, lines, answers and waits are bounded, and an unknown
//     kid causes at most one fetch a cool-down, whatever the flood.
//
// golang-jwt holds the signature methods. The parsing before them is ours, because it has to refuse what a general
// parser accepts (duplicate and unknown members, fractional dates), and two parsers that read one token may disagree.
// The key set is ours too: MicahParks/keyfunc serves stale keys without a limit, reads answers without one, and has no
// way to tell a kid that is unknown from a set that could not be fetched.
package token
