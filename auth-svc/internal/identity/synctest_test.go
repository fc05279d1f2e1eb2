package identity_test

import (
	"context"
	"testing"
	"testing/synctest"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

type ctx = context.Context

// synctestRun runs a core in a bubble where sleeping takes no time, with its Run at work.
func synctestRun(t *testing.T, do func(*testing.T, *identitytest.World)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldWith(t, ordinary, func(o *identity.Options) { o.MaxFollowers = 3 })
		running, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Service.Run(running) }()
		do(t, w)
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}
