package filestest

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

// checkLinkBarred: what an owner has shared is shut while the owner is blocked, and open again after; nobody gets through
// while that is not known.
func checkLinkBarred(t *testing.T, b *bench) {
	b.policy.Store(linkPolicy())
	var barred, unknown atomic.Bool
	asked := New(t, b.stores, files.Options{
		Now: b.clock.Now, Policy: func() files.Policy { return *linkPolicy() }, RestoreHorizon: time.Hour,
		Barred: func(owner files.OwnerID) (bool, error) {
			if unknown.Load() {
				return false, fault.New(fault.Unavailable, "not known yet")
			}
			return owner == ann && barred.Load(), nil
		},
	})
	run, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- asked.Run(run) }()
	defer func() {
		stop()
		if err := <-ran; err != nil {
			t.Errorf("run: %v", err)
		}
	}()
	_, token := b.link(t, b.upload(t, ann, "shared", "x"), files.NewLink{})
	open := func() (*files.Shared, error) { return asked.OpenLink(t.Context(), token, nil) }
	c, err := open()
	if err != nil {
		t.Fatal(err)
	}
	under, done, err := c.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	late, err := open()
	if err != nil {
		t.Fatal(err)
	}
	barred.Store(true)
	select {
	case <-under.Done():
		wantKind(t, context.Cause(under), fault.NotFound)
	case <-time.After(time.Minute):
		t.Error("a download goes on after its owner was blocked")
	}
	done()
	_, _, err = late.Begin(t.Context())
	wantKind(t, err, fault.NotFound)
	_, err = open()
	wantKind(t, err, fault.NotFound)
	barred.Store(false)
	unknown.Store(true)
	_, err = open()
	wantKind(t, err, fault.Unavailable)
	unknown.Store(false)
	again, err := open()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*files.Shared{c, late, again} {
		_ = c.Close()
	}
}
