package identity

import (
	"context"
	"time"

	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/secret"
)

// New checks what it is given and starts nothing.
func New(store Store, signer Signer, hasher Hasher, opts Options) (*Service, error) { panic("pending") }

// Prepare brings the store to where requests can be served: built-in roles, and the first signing keys. Call it once
// at start, before Bootstrap; it may be called again.
func (s *Service) Prepare(ctx context.Context) error { panic("pending") }

// Ready reports whether requests can be served: keys are loaded and the store answers.
func (s *Service) Ready(ctx context.Context) error { panic("pending") }

// Run keeps keys and sweeps until ctx ends, and returns nil then.
func (s *Service) Run(ctx context.Context) error { panic("pending") }

// BootstrapInput names the first administrator.
type BootstrapInput struct {
	Username string        // default "admin"
	Password secret.String // default: made
}

// BootstrapSecrets is told once.
type BootstrapSecrets struct {
	Username string
	Password secret.String
	APIKey   secret.String
	Token    secret.String // 50 characters; signs up one administrator
}

// Bootstrap makes the first administrator, an API key and a one-time token, at the very first start only; made says
// whether this was it. publish gets the secrets just before the commit and must keep them durably: when it fails
// nothing has happened, and when the commit is lost the next start makes new ones and calls it again.
func (s *Service) Bootstrap(ctx context.Context, in BootstrapInput, publish func(BootstrapSecrets) error) (made bool, err error) {
	panic("pending")
}

// SignupInput is what a new person gives. At least one identifier is needed.
type SignupInput struct {
	Email, Phone, Username string // as typed; empty for none
	Password               secret.String
	Name                   string
	Client                 Client
	BootstrapToken         secret.String // makes the person an administrator, once
}

// Signup makes a person with role guest, and a session. Faults: Invalid, UserExists, Overloaded.
func (s *Service) Signup(ctx context.Context, in SignupInput) (Entry, error) { panic("pending") }

// LoginInput is what someone gives to come in.
type LoginInput struct {
	Identifier string // email, phone or username, as typed
	Password   secret.String
	Client     Client
}

// Login opens a session. Faults: InvalidCredentials for every refusal alike, at the cost of one hash;
// AccountDeactivated only to who has proved the password; RateLimited, Overloaded; Conflict at the session cap when
// the policy refuses there.
func (s *Service) Login(ctx context.Context, in LoginInput) (Entry, error) { panic("pending") }

// Refresh trades a refresh token for its one successor and a fresh access token. Faults: InvalidRefreshToken; Conflict
// with RetryAfter on contention; Unavailable when the store is not there. The last two spend nothing.
func (s *Service) Refresh(ctx context.Context, token secret.String, client Client) (Tokens, error) {
	panic("pending")
}

// Logout ends the caller's session. Faults: Forbidden for a caller without one, InvalidToken when it has ended before.
func (s *Service) Logout(ctx context.Context, caller principal.Principal) error { panic("pending") }

// LogoutAll ends the caller's sessions, all or all but the present one, and says how many.
func (s *Service) LogoutAll(ctx context.Context, caller principal.Principal, keepCurrent bool) (int, error) {
	panic("pending")
}

// SessionCheck is the answer of the check call.
type SessionCheck struct {
	User      User
	SessionID string    // empty for an API key
	ExpiresAt time.Time // of the access token
}

// CheckSession says who the caller is, from the store. Faults: InvalidToken, TokenStale.
func (s *Service) CheckSession(ctx context.Context, caller principal.Principal) (SessionCheck, error) {
	panic("pending")
}

// Introspect checks a verified token's caller against the store. Faults: InvalidToken, TokenStale.
func (s *Service) Introspect(ctx context.Context, caller principal.Principal) error { panic("pending") }

// ListSessions lists the caller's live sessions, newest first. limit is 1 to 100.
func (s *Service) ListSessions(ctx context.Context, caller principal.Principal, after Cursor, limit int) (Page[Session], error) {
	panic("pending")
}

// RevokeSession ends one of the caller's sessions and returns its place in the log, for WaitAcked. Faults: NotFound,
// also for other people's.
func (s *Service) RevokeSession(ctx context.Context, caller principal.Principal, sessionID string) (seq int64, err error) {
	panic("pending")
}

// WaitAcked waits until every connected follower has applied the entry, or AckTimeout has passed.
func (s *Service) WaitAcked(ctx context.Context, seq int64) (Acks, error) { panic("pending") }

// Follow sends the log after a number to one follower, as it grows: first every live entry, then a heartbeat, then
// entries as they commit and a heartbeat a second. It stops heartbeats while the store can't be read. It returns when
// ctx ends or send fails. send is called from this goroutine only. Faults: Invalid for a bad name, Overloaded.
func (s *Service) Follow(ctx context.Context, follower string, after int64, send func(Event) error) error {
	panic("pending")
}

// Ack notes that a follower has applied the log up to seq. Faults: NotFound when it is not connected, Invalid when seq
// was never sent to it.
func (s *Service) Ack(ctx context.Context, follower string, seq int64) error { panic("pending") }

// Me returns the caller's own record.
func (s *Service) Me(ctx context.Context, caller principal.Principal) (User, error) { panic("pending") }

// UserChange says what to change about oneself: nil leaves a field, "" removes it. Identifiers need CurrentPassword.
type UserChange struct {
	Name, Email, Phone, Username *string
	CurrentPassword              secret.String
}

// UpdateMe changes the caller's own record. Faults: Invalid, InvalidCurrentPassword, UserExists.
func (s *Service) UpdateMe(ctx context.Context, caller principal.Principal, change UserChange) (User, error) {
	panic("pending")
}

// ChangePassword sets a new password and ends every other session. Faults: Invalid, InvalidCurrentPassword.
func (s *Service) ChangePassword(ctx context.Context, caller principal.Principal, current, next secret.String) error {
	panic("pending")
}

// DeleteMe erases the caller: sessions and API keys end, user_deleted goes into the log. Faults: InvalidCurrentPassword,
// Conflict for the last administrator.
func (s *Service) DeleteMe(ctx context.Context, caller principal.Principal, current secret.String) error {
	panic("pending")
}

// SetStatus blocks or unblocks a person; blocking ends the person's sessions. Faults: Forbidden, NotFound, Conflict for the last
// administrator.
func (s *Service) SetStatus(ctx context.Context, caller principal.Principal, userID string, status Status) (User, error) {
	panic("pending")
}

// SetRights replaces a person's roles and own permissions. Faults: Forbidden, NotFound, Invalid, Conflict for the last
// administrator.
func (s *Service) SetRights(ctx context.Context, caller principal.Principal, userID string, roles []string, own []principal.Permission) (User, error) {
	panic("pending")
}

// CreateAPIKey makes a key with at most the caller's rights. Faults: Invalid, Forbidden.
func (s *Service) CreateAPIKey(ctx context.Context, caller principal.Principal, in NewAPIKey) (MadeAPIKey, error) {
	panic("pending")
}

// ListAPIKeys lists the caller's keys, newest first. limit is 1 to 100.
func (s *Service) ListAPIKeys(ctx context.Context, caller principal.Principal, after Cursor, limit int) (Page[APIKey], error) {
	panic("pending")
}

// RevokeAPIKey ends one of the caller's keys, everywhere. Faults: NotFound, also for other people's.
func (s *Service) RevokeAPIKey(ctx context.Context, caller principal.Principal, id string) (seq int64, err error) {
	panic("pending")
}

// ExchangeAPIKey trades a key for a short access token. Faults: InvalidCredentials for every refusal alike.
func (s *Service) ExchangeAPIKey(ctx context.Context, key secret.String) (ExchangedAPIKey, error) {
	panic("pending")
}

// PublishedKeys returns the keys verifiers need: next, current and retiring. They come from memory.
func (s *Service) PublishedKeys(ctx context.Context) ([]SigningKey, error) { panic("pending") }

// JWKSLifetime is how long verifiers may keep PublishedKeys.
func (s *Service) JWKSLifetime() time.Duration { panic("pending") }

// ListSigningKeys lists the keys to an administrator.
func (s *Service) ListSigningKeys(ctx context.Context, caller principal.Principal) ([]SigningKey, error) {
	panic("pending")
}

// RotateSigningKeys lets the next key take over as soon as it has been published for one JWKSLifetime; its ActivateAt
// says when. Faults: Forbidden.
func (s *Service) RotateSigningKeys(ctx context.Context, caller principal.Principal) ([]SigningKey, error) {
	panic("pending")
}

// KillSigningKey ends a key and all its tokens, at once and everywhere; sessions live on by refresh. Faults: Forbidden,
// NotFound.
func (s *Service) KillSigningKey(ctx context.Context, caller principal.Principal, kid string) (seq int64, err error) {
	panic("pending")
}
