package identity_test

import (
	"errors"
	"testing"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/secret"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

// ordinary is the policy of most tests.
var ordinary = identity.Policy{ReuseWindow: 10 * time.Second, MaxSessions: 5}

func newWorld(t testing.TB, p identity.Policy) *identitytest.World { return newWorldWith(t, p, nil) }

func newWorldWith(t testing.TB, p identity.Policy, options func(*identity.Options)) *identitytest.World {
	clock := identitytest.NewClock()
	return identitytest.NewWorld(t, identitytest.Memory(clock.Now), clock, p, options)
}

func wantFault(t testing.TB, err error, kind fault.Kind) {
	t.Helper()
	if !errors.Is(err, fault.Of(kind)) {
		t.Errorf("got %v, want a fault of kind %d", err, kind)
	}
}

// wantFields checks that exactly these fields are found bad.
func wantFields(t testing.TB, err error, fields ...string) {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.Invalid {
		t.Errorf("got %v, want bad fields %v", err, fields)
		return
	}
	var got []string
	for _, bad := range f.Fields {
		got = append(got, bad.Field)
	}
	if len(got) != len(fields) {
		t.Errorf("bad fields %v, want %v", got, fields)
		return
	}
	for i := range got {
		if got[i] != fields[i] {
			t.Errorf("bad fields %v, want %v", got, fields)
		}
	}
}

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func text(s string) secret.String { return secret.NewString(s) }
