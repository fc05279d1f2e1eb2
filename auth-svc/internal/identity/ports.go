package identity

import (
	"context"
	"time"

	"cloakroom.dev/libs/principal"
)

// Store keeps everything. Its transactions are serializable as far as the core can see: what one reads for a change
// stays true until its commit, by one writer or by row locks.
//
// Every method of a Tx passes on fault.Unavailable and fault.StorageFull when the store is not there or has no room,
// and fault.Conflict when a concurrent writer won.
type Store interface {
	// InTx runs fn in one writing transaction and returns after its commit is durable. An error of fn undoes
	// everything fn did and is returned as it is. fn may run more than once, so it keeps nothing from a former run.
	InTx(ctx context.Context, fn func(tx Tx) error) error

	// InTxRelaxed is InTx for what need not outlive a power cut in the next second, such as a count of failures: its
	// commit outlives the process, but does not make those wait who need the disk.
	InTxRelaxed(ctx context.Context, fn func(tx Tx) error) error

	// View runs fn on one consistent state that includes every commit acknowledged before. Writing fails. fn may run more than
	// once here too.
	View(ctx context.Context, fn func(tx Tx) error) error
}

// Tx is what can be done inside a transaction.
type Tx interface {
	// Now is the store's time at the start of the transaction, UTC, in whole microseconds.
	Now() time.Time

	Users
	Directory
	Roles
	RoleList
	Grants
	Sessions
	SessionLists
	SessionNames
	APIKeys
	SigningKeys
	RevocationLog
	AuditTrail
	AuditSearch
	Checkpoints
	PersonKeys
	Bootstraps
	Sweeper
	Counters
	Devices
	MailTokens
	Outbox
	Factors
	Passkeys
	RecoveryCodes
	Challenges
	SessionProofs
	Imports
	ExternalIdentities
	Handoffs
}

// Users keeps people. Email keys, phones and username keys are each unique.
type Users interface {
	// User finds a user and locks the row until the end of the transaction. It returns fault.NotFound.
	User(ctx context.Context, id string) (User, error)
	// UserByIdentifier finds whoever owns the canonical identifier. It locks nothing. It returns fault.NotFound.
	UserByIdentifier(ctx context.Context, identifier Identifier) (User, error)
	// InsertUser adds a user with roles and permissions. It returns fault.UserExists when an identifier is taken.
	InsertUser(ctx context.Context, u User) error
	// UpdateUser writes everything but id, CreatedAt and Roles where the stored version is still u.Version, and counts
	// the version up. It returns fault.UserExists when an identifier is taken, fault.Conflict when the version has moved.
	UpdateUser(ctx context.Context, u User) error
	// DeleteUser erases a user with roles, sessions and API keys. It returns fault.NotFound.
	DeleteUser(ctx context.Context, id string) error
}

// Grants answers what people may do.
type Grants interface {
	// Rights returns status, roles and the permissions of roles and person together. It returns fault.NotFound.
	Rights(ctx context.Context, userID string) (Rights, error)
	// TokensUntil is when the last access token this person may hold expires, zero when there is none. Tokens of
	// sessions and keys that are gone are not counted: they are in the log.
	TokensUntil(ctx context.Context, userID string) (time.Time, error)
}

// Roles keeps the named sets of permissions, and who has which.
type Roles interface {
	// Role finds a role. It returns fault.NotFound.
	Role(ctx context.Context, name string) (Role, error)
	// PutRole adds or replaces a role, for whoever has it.
	PutRole(ctx context.Context, r Role) error
	// SetRoles gives a user exactly these roles. It returns fault.NotFound for an unknown user or role.
	SetRoles(ctx context.Context, userID string, roles []string) error
	// CountActive counts the active users that have the role. Call it after AppendRevocation: the log's lock makes
	// the answer hold until the commit.
	CountActive(ctx context.Context, role string) (int, error)
}

// Sessions keeps one row for each live session.
type Sessions interface {
	// SessionForRefresh finds a session with its owner's rights, and how many newer live sessions that owner has under
	// the same policy, in one reading; it locks the session's row. It returns fault.NotFound.
	SessionForRefresh(ctx context.Context, id string) (s Session, r Rights, newer int, err error)
	// InsertSession adds a session.
	InsertSession(ctx context.Context, s Session) error
	// RotateSession writes generation, hashes, sealed successor, times and address where the stored generation is
	// still s.Generation-1. It returns fault.Conflict when it is not.
	RotateSession(ctx context.Context, s Session) error
	// DeleteSession ends a session and returns the row it had. It returns fault.NotFound.
	DeleteSession(ctx context.Context, id string) (Session, error)
}

// SessionLists reads sessions without locking them. A session is live while now is before its RefreshUntil.
type SessionLists interface {
	// Session finds a session. It returns fault.NotFound.
	Session(ctx context.Context, id string) (Session, error)
	// SessionsOf lists a person's live sessions, newest first, after the cursor when it is not zero.
	SessionsOf(ctx context.Context, userID string, after Cursor, limit int) ([]Session, error)
}

// APIKeys keeps the keys that programs call with.
type APIKeys interface {
	// APIKey finds a key. It returns fault.NotFound.
	APIKey(ctx context.Context, id string) (APIKey, error)
	InsertAPIKey(ctx context.Context, k APIKey) error
	// TouchAPIKey writes LastUsedAt and AccessUntil. It returns fault.NotFound.
	TouchAPIKey(ctx context.Context, k APIKey) error
	// DeleteAPIKey ends a key. It returns fault.NotFound.
	DeleteAPIKey(ctx context.Context, id string) error
	// APIKeysOf lists a person's keys, newest first, after the cursor when it is not zero.
	APIKeysOf(ctx context.Context, userID string, after Cursor, limit int) ([]APIKey, error)
}

// SigningKeys keeps the keys that sign access tokens.
type SigningKeys interface {
	// SigningKeys lists all, oldest first. For a writer it locks them until the end of the transaction.
	SigningKeys(ctx context.Context) ([]SigningKey, error)
	InsertSigningKey(ctx context.Context, k SigningKey) error
	// UpdateSigningKey writes state and times. It returns fault.NotFound.
	UpdateSigningKey(ctx context.Context, k SigningKey) error
	// DeleteSigningKey forgets a key. It returns fault.NotFound.
	DeleteSigningKey(ctx context.Context, id string) error
}

// RevocationLog is the ordered log of what no longer holds.
type RevocationLog interface {
	// AppendRevocation gives the entry the next number and keeps it. Numbers are assigned under a lock held to the
	// commit: whoever sees a number sees every smaller one.
	AppendRevocation(ctx context.Context, e Revocation) (seq int64, err error)
	// RevocationHead is the largest number ever assigned, zero for an empty log.
	RevocationHead(ctx context.Context) (int64, error)
	// Revocations lists the entries after a number that still matter (Until after now), in order, each user_epoch with
	// the Status its person has now.
	Revocations(ctx context.Context, after int64, limit int) ([]Revocation, error)
	// UntoldBlocks lists blocked people of whom the log has no user_epoch that matters beyond until, by id.
	UntoldBlocks(ctx context.Context, until time.Time, limit int) (userIDs []string, err error)
}

// AuditTrail keeps what was done, by whom, as a chain.
type AuditTrail interface {
	// AuditHead returns the number and hash of the last row, zeros for none. For a writer it locks the chain's end.
	AuditHead(ctx context.Context) (seq int64, hash [32]byte, err error)
	InsertAudit(ctx context.Context, row AuditRow) error
	// AuditRows lists rows after a number, in order.
	AuditRows(ctx context.Context, after int64, limit int) ([]AuditRow, error)
}

// Bootstraps remembers that the first start has been.
type Bootstraps interface {
	// Bootstrapped reports whether the first start has been.
	Bootstrapped(ctx context.Context) (bool, error)
	// InsertBootstrap marks the first start and keeps the hash of the one-time token. It returns fault.Conflict when
	// it was marked before.
	InsertBootstrap(ctx context.Context, tokenHash [32]byte) error
	// SpendBootstrapToken uses the one-time token up and reports whether it was there, unused.
	SpendBootstrapToken(ctx context.Context, tokenHash [32]byte) (bool, error)
}

// Sweeper removes what has expired, at most limit rows a call, and says how many went.
type Sweeper interface {
	// SweepSessions removes sessions past their RefreshUntil. It may leave one for up to two hours after.
	SweepSessions(ctx context.Context, limit int) (int, error)
	// SweepRevocations removes entries past their Until. Numbers are never used again.
	SweepRevocations(ctx context.Context, limit int) (int, error)
}

// Hasher makes and checks password hashes behind an admission gate; each method returns fault.Overloaded when that is
// full.
type Hasher interface {
	Hash(ctx context.Context, password string) (encoded string, err error)
	// Refuses returns fault.Overloaded when the others would return it at once, whatever they were asked; nil promises nothing.
	Refuses() error
	// Verify reports whether the password made the hash, and whether the hash is due for a new one.
	Verify(ctx context.Context, password, encoded string) (match, outdated bool, err error)
	// VerifyDummy costs what Verify costs, against a hash that no password made.
	VerifyDummy(ctx context.Context, password string) error
	// Adopt brings a hash of another system into a form that Verify reads. It returns fault.Invalid for one that is
	// damaged, unknown, or dearer than a check may be.
	Adopt(foreign ForeignHash) (encoded string, err error)
	// Expect is told which kinds of hashes (HashKind) there are, so that a refusal takes the same time whichever of them
	// a password was held against.
	Expect(ctx context.Context, kinds []string) error
}

// Signer makes signing keys and signs with them. Private halves leave it only sealed, bound to the key's id.
type Signer interface {
	// Generate makes a key pair for EdDSA, RS256, RS512, ES256 or ES512; public is PKIX DER.
	Generate(id, algorithm string) (public, sealed []byte, err error)
	// Sign makes the access token. Issuer and audience are the signer's own.
	Sign(key SigningKey, claims Claims) (string, error)
}

// MAC is a keyed checksum whose key ring lives outside the store. Each key has an id of one byte.
type MAC interface {
	Current() byte
	// Sum returns at least 16 bytes, or false when no key has this id.
	Sum(id byte, message []byte) ([]byte, bool)
}

// Observer counts what happens, for metrics.
type Observer interface {
	// Login is told ok, challenged (a second factor is still to be shown), denied or error for each half of a login.
	Login(outcome string)
	// GuessRefused is told of each guess that nobody looked at: locked (too many failures), queue_full (too many wait for those
	// under way) or waited_too_long.
	GuessRefused(reason string)
	// Refresh is told rotated, repeated (the same successor again), reused (theft), refused, forged, contended or error.
	Refresh(outcome string)
	// Followers is told how many streams of the log are open.
	Followers(n int)
	// FollowerRefused is told of each stream that was one too many.
	FollowerRefused()
	// Mail is told sent, retried, refused (by the next server), dropped_full (too many wait), dropped_limit (one address causes or
	// gets too many) or dropped_old (tried for too long).
	Mail(outcome string)
	// MailsWaiting is told now and then how many mails are still to be sent.
	MailsWaiting(n int)
	// SignIn is told how one step of a sign-in with a provider went: started, returned, denied, over_bound or failed.
	SignIn(provider, outcome string)
	// OpenSignIns is told now and then how many sign-ins with providers are under way, by how far they have come. Those that have
	// expired are among them until they are swept.
	OpenSignIns(kind HandoffKind, n int)
	// Passkey is told challenged (asked for one), registered, accepted, refused, regressed (its counter went back) or
	// full (somebody has as many factors as they may).
	Passkey(outcome string)
	// Swept is told how many sessions or revocations a sweep has removed.
	Swept(what string, n int)
}

// Claims is what an access token says. Exactly one of SessionID and APIKeyID is set. Times are whole seconds.
type Claims struct {
	TokenID     string
	UserID      string
	SessionID   string
	APIKeyID    string
	Roles       []string
	Permissions []principal.Permission
	Epoch       int64
	EpochRoles  []string // for an API key: the owner's roles, whose change makes the token stale
	Proof       Proof    // what the person has shown in this session; empty for an API key
	ProvedAt    time.Time
	IssuedAt    time.Time
	ExpiresAt   time.Time
	Extra       map[string]string // claims of another contract; Sign fails when one has a name of ours
}
