package identitytest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"net/netip"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
)

// RunStore checks that a store keeps the contracts written at identity's ports. open makes an empty store whose
// clock is now, and sees to its end.
func RunStore(t *testing.T, open func(t *testing.T, now func() time.Time) identity.Store) {
	for name, check := range map[string]func(*testing.T, *suite){
		"transactions":      checkTransactions,
		"relaxed":           checkRelaxed,
		"users":             checkUsers,
		"identifiers":       checkIdentifiers,
		"erasure":           checkErasure,
		"roles":             checkRoles,
		"role list":         checkRoleList,
		"rights":            checkRights,
		"sessions":          checkSessions,
		"rotation":          checkRotation,
		"session lists":     checkSessionLists,
		"session sweep":     checkSessionSweep,
		"directory":         checkDirectory,
		"session names":     checkSessionNames,
		"API keys":          checkAPIKeys,
		"tokens until":      checkTokensUntil,
		"signing keys":      checkSigningKeys,
		"revocation log":    checkLog,
		"blocks in the log": checkBlocks,
		"log order":         checkLogOrder,
		"audit trail":       checkAudit,
		"audit search":      checkAuditSearch,
		"checkpoints":       checkCheckpoints,
		"person keys":       checkPersonKeys,
		"bootstrap":         checkBootstrap,
		"parallel rotation": checkParallelRotation,
		"counters":          checkCounters,
		"devices":           checkDevices,
		"mail tokens":       checkMailTokens,
		"outbox":            checkOutbox,
		"factors":           checkFactors,
		"passkeys":          checkPasskeys,
		"spent challenges":  checkSpentChallenges,
		"recovery codes":    checkRecoveryCodes,
		"challenges":        checkChallenges,
		"parallel attempts": checkParallelAttempts,
		"session proofs":    checkSessionProofs,
		"foreign ids":       checkForeignIDs,
		"import states":     checkImportStates,
		"hash kinds":        checkHashKinds,

		"external identities": checkExternalIdentities,
		"handoffs":            checkHandoffs,
		"parallel handoffs":   checkParallelHandoffs,
	} {
		t.Run(name, func(t *testing.T) {
			clock := NewClock()
			s := &suite{T: t, clock: clock, id: NewIDs()}
			s.store = open(t, clock.Now)
			s.write(func(ctx context.Context, tx identity.Tx) error {
				for _, name := range []string{"guest", "admin", "empty"} {
					r := identity.Role{Name: name, BuiltIn: name != "empty"}
					if name != "empty" {
						r.Permissions = []principal.Permission{{Resource: name, Action: "read", Scope: principal.Self}}
					}
					if err := tx.PutRole(ctx, r); err != nil {
						return err
					}
				}
				return nil
			})
			check(t, s)
		})
	}
}

// suite is one store under test.
type suite struct {
	*testing.T
	store identity.Store
	clock *Clock
	id    func() string
}

type step func(ctx context.Context, tx identity.Tx) error

// write runs a step that must succeed, in a transaction of its own.
func (s *suite) write(do step) {
	s.Helper()
	if err := s.try(do); err != nil {
		s.Fatalf("write: %v", err)
	}
}

func (s *suite) try(do step) error {
	ctx := s.Context()
	return s.store.InTx(ctx, func(tx identity.Tx) error { return do(ctx, tx) })
}

func (s *suite) read(do step) {
	s.Helper()
	ctx := s.Context()
	if err := s.store.View(ctx, func(tx identity.Tx) error { return do(ctx, tx) }); err != nil {
		s.Fatalf("read: %v", err)
	}
}

// fails runs a step that must fail with a fault of this kind, and leave nothing behind.
func (s *suite) fails(kind fault.Kind, do step) {
	s.Helper()
	if err := s.try(do); !errors.Is(err, fault.Of(kind)) {
		s.Errorf("got %v, want a fault of kind %d", err, kind)
	}
}

func (s *suite) same(want, got any) {
	s.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		s.Errorf("want(-) got(+):\n%s", diff)
	}
}

// user inserts a person with everything set, whose names start with name.
func (s *suite) user(name string, roles ...string) identity.User {
	s.Helper()
	var u identity.User
	s.write(func(ctx context.Context, tx identity.Tx) error {
		u = identity.User{
			ID: s.id(), Name: name, Email: name + "@Example.org", EmailKey: name + "@example.org",
			Username: name, UsernameKey: name, PasswordHash: "$hash of " + name, Status: identity.Active, Roles: roles,
			Permissions: []principal.Permission{{Resource: "extra", Action: "read", Scope: principal.All}},
			Version:     1, CreatedAt: tx.Now(), UpdatedAt: tx.Now(), EmailVerifiedAt: tx.Now(),
		}
		return tx.InsertUser(ctx, u)
	})
	return u
}

// session inserts a session with everything set.
func (s *suite) session(userID string, life time.Duration) identity.Session {
	s.Helper()
	var sess identity.Session
	s.write(func(ctx context.Context, tx identity.Tx) error {
		sess = identity.Session{
			ID: s.id(), UserID: userID, DeviceName: "laptop", UserAgent: "test/1", Address: netip.MustParseAddr("2001:db8::1"),
			CreatedAt: tx.Now(), RefreshUntil: tx.Now().Add(life), AccessUntil: tx.Now().Add(time.Minute),
			Generation: 1, SecretHash: [32]byte{1, 2, 3}, Policy: "phones",
		}
		return tx.InsertSession(ctx, sess)
	})
	return sess
}

func (s *suite) apiKey(userID string) identity.APIKey {
	s.Helper()
	var k identity.APIKey
	s.write(func(ctx context.Context, tx identity.Tx) error {
		k = identity.APIKey{
			ID: s.id(), UserID: userID, Name: "build", SecretHash: [32]byte{9}, CreatedAt: tx.Now(),
			ExpiresAt:   tx.Now().Add(time.Hour),
			Permissions: []principal.Permission{{Resource: "files", Action: "read", Scope: principal.Self}},
		}
		return tx.InsertAPIKey(ctx, k)
	})
	return k
}
