// Package identity is the core of the auth service: people, credentials, sessions, rights, keys, the revocation log
// and the audit trail.
//
// The flow: an adapter turns a request into one call of a Service method, with the verified caller as a
// principal.Principal; the method does its expensive work (hashing, preparing a successor), runs one transaction of
// the Store in which everything is decided and written together, and signs tokens after the commit. The core knows no
// HTTP, no SQL and no token format but its own; ports.go says what it needs from outside.
//
// The promises:
//   - A refresh token gives one successor, to whoever asks again inside the fixed window; anything else genuine
//     but spent ends the session everywhere (refresh.go).
//   - What is revoked is in the log in the same transaction as the change, in commit order (revoke.go, follow.go).
//   - Whoever changes something passes checkAndLog, which authorises and audits in the same transaction (door.go).
//   - Unknown, blocked, empty and over-long all cost one hash, and are told apart by nothing (login.go).
//   - Time is the store's: Tx.Now. Secrets reach the store only hashed or sealed.
package identity
