package identitytest

import (
	"context"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/secret"
)

// World is a core at work, with every part in the test's hand.
type World struct {
	T       testing.TB
	Service *identity.Service
	Store   *Flaky
	Clock   *Clock
	Hasher  *Hasher
	Signer  *Signer
	Policy  *atomic.Pointer[identity.Policy]
}

// Password is what World's people sign up with.
const Password = "correct horse battery"

// NewWorld builds a prepared core over a store. Options may be nil.
func NewWorld(t testing.TB, store identity.Store, clock *Clock, p identity.Policy, options func(*identity.Options)) *World {
	t.Helper()
	w := &World{
		T: t, Store: &Flaky{Store: store}, Clock: clock, Hasher: &Hasher{}, Signer: &Signer{},
		Policy: &atomic.Pointer[identity.Policy]{},
	}
	w.Policy.Store(&p)
	opts := identity.Options{
		NewID: newID, MAC: MAC{}, Policy: func() identity.Policy { return *w.Policy.Load() }, OTP: OTP{}, Sealer: Sealer{},
		WebAuthn: WebAuthn{},
	}
	if options != nil {
		options(&opts)
	}
	var err error
	if w.Service, err = identity.New(w.Store, w.Signer, w.Hasher, opts); err != nil {
		t.Fatal(err)
	}
	if err := w.Service.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// newID is shared, so that two worlds over one store don't make the same id.
var newID = NewIDs()

// SignUp makes a person and returns how they came in.
func (w *World) SignUp(username string) identity.Entry {
	w.T.Helper()
	e, err := w.Service.Signup(w.T.Context(), identity.SignupInput{
		Username: username, Email: username + "@example.org", Password: secret.NewString(Password), Client: Laptop,
	})
	if err != nil {
		w.T.Fatalf("sign up %s: %v", username, err)
	}
	return e
}

// SignUpAdmin makes an administrator, behind the service's back.
func (w *World) SignUpAdmin(username string) identity.Entry {
	w.T.Helper()
	e := w.SignUp(username)
	w.Write(func(ctx context.Context, tx identity.Tx) error {
		return tx.SetRoles(ctx, e.User.ID, []string{identity.RoleAdmin})
	})
	return w.MustLogin(username, Password)
}

// Laptop is a client.
var Laptop = identity.Client{Address: netip.MustParseAddr("192.0.2.1"), UserAgent: "test/1", DeviceName: "laptop"}

// Login tries to come in.
func (w *World) Login(identifier, password string) (identity.Entry, error) {
	return w.Service.Login(w.T.Context(), identity.LoginInput{
		Identifier: identifier, Password: secret.NewString(password), Client: Laptop,
	})
}

// MustLogin comes in.
func (w *World) MustLogin(identifier, password string) identity.Entry {
	w.T.Helper()
	e, err := w.Login(identifier, password)
	if err != nil {
		w.T.Fatalf("log in as %s: %v", identifier, err)
	}
	return e
}

// Refresh presents a refresh token.
func (w *World) Refresh(token secret.String) (identity.Tokens, error) {
	return w.Service.Refresh(w.T.Context(), token, Laptop)
}

// MustRefresh presents a refresh token that is good.
func (w *World) MustRefresh(token secret.String) identity.Tokens {
	w.T.Helper()
	next, err := w.Refresh(token)
	if err != nil {
		w.T.Fatalf("refresh: %v", err)
	}
	return next
}

// Caller is who an access token speaks for, as a gateway would say.
func (w *World) Caller(tokens identity.Tokens) principal.Principal {
	return Caller(tokens.AccessToken.Reveal())
}

// Write changes the store behind the service's back.
func (w *World) Write(do func(context.Context, identity.Tx) error) {
	w.T.Helper()
	ctx := w.T.Context()
	if err := w.Store.Store.InTx(ctx, func(tx identity.Tx) error { return do(ctx, tx) }); err != nil {
		w.T.Fatal(err)
	}
}

// Log is every live entry of the revocation log.
func (w *World) Log() (entries []identity.Revocation) {
	w.T.Helper()
	w.Write(func(ctx context.Context, tx identity.Tx) (err error) {
		entries, err = tx.Revocations(ctx, 0, 100_000)
		return err
	})
	return entries
}

// Revoked finds the newest log entry about an id.
func (w *World) Revoked(kind identity.Kind, id string) (found identity.Revocation, ok bool) {
	w.T.Helper()
	for _, r := range w.Log() {
		if r.Kind == kind && r.ID == id {
			found, ok = r, true
		}
	}
	return found, ok
}

// Audit is the whole trail, and fails the test when the chain is broken.
func (w *World) Audit() (rows []identity.AuditRow) {
	w.T.Helper()
	w.Write(func(ctx context.Context, tx identity.Tx) (err error) {
		rows, err = tx.AuditRows(ctx, 0, 100_000)
		return err
	})
	var prev identity.AuditRow
	for _, r := range rows {
		if !r.Follows(prev) {
			w.T.Errorf("audit row %d does not follow row %d", r.Seq, prev.Seq)
		}
		prev = r
	}
	return rows
}

// Flaky is a store that fails when it is told to, and counts its transactions.
type Flaky struct {
	identity.Store
	Txs, Views atomic.Int64
	// Before makes the next transaction fail before it has begun, After makes it commit and lose the answer. Both are
	// used up by it.
	Before, After atomic.Pointer[fault.Error]
}

// InTx may fail.
func (f *Flaky) InTx(ctx context.Context, fn func(identity.Tx) error) error {
	return f.write(ctx, f.Store.InTx, fn)
}

// InTxRelaxed may fail.
func (f *Flaky) InTxRelaxed(ctx context.Context, fn func(identity.Tx) error) error {
	return f.write(ctx, f.Store.InTxRelaxed, fn)
}

func (f *Flaky) write(ctx context.Context, write func(context.Context, func(identity.Tx) error) error, fn func(identity.Tx) error) error {
	f.Txs.Add(1)
	if err := f.Before.Swap(nil); err != nil {
		return err
	}
	err := write(ctx, fn)
	if lost := f.After.Swap(nil); lost != nil && err == nil {
		return lost
	}
	return err
}

// View is only counted.
func (f *Flaky) View(ctx context.Context, fn func(identity.Tx) error) error {
	f.Views.Add(1)
	return f.Store.View(ctx, fn)
}

// Down is what a store says that is not there.
var Down = fault.New(fault.Unavailable, "the store is down")

// short is the window most tests use.
const short = 10 * time.Second
