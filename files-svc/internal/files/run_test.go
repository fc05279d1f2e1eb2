package files_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
)

// epochs counts the epochs of a catalog by their state.
func epochs(t *testing.T, c files.Catalog) map[files.EpochState]int {
	t.Helper()
	var states map[files.EpochState]int
	err := c.Read(t.Context(), func(tx files.ReadTx) error {
		all, err := tx.Epochs(t.Context())
		states = map[files.EpochState]int{}
		for _, e := range all {
			states[e.State]++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return states
}

// start runs a service; stop ends it and waits for it.
func start(t *testing.T, s *files.Service) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
}

func TestRun_KeepsItsLeaseAndFencesTheDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stores := filestest.Memory()
		dead := filestest.New(t, stores, files.Options{})
		if _, err := create(t, dead, files.NewFile{Name: "f"}); err != nil {
			t.Fatal(err)
		}
		stopA := start(t, filestest.New(t, stores, files.Options{}))
		stopB := start(t, filestest.New(t, stores, files.Options{}))
		time.Sleep(10 * time.Minute)
		if got := epochs(t, stores.Catalog); got[files.EpochOpen] != 2 || got[files.EpochFenced] != 1 {
			t.Errorf("epochs: %v, want two alive and one fenced", got)
		}
		stopA()
		if got := epochs(t, stores.Catalog); got[files.EpochOpen] != 1 {
			t.Errorf("epochs: %v, want the stopped one fenced at once", got)
		}
		time.Sleep(26 * time.Hour)
		stopB()
		// The dead writer's epoch stays as long as a file names its blob; the stopped one had none.
		if got := epochs(t, stores.Catalog); got[files.EpochClosed] != 1 || got[files.EpochFenced] != 1 || got[files.EpochOpen] != 0 {
			t.Errorf("epochs: %v", got)
		}
		filestest.Audit(t, stores, ann)
	})
}

func TestRun_OpensANewEpochAfterBeingFenced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stores := filestest.Memory()
		fragile := &filestest.Fragile{}
		s := filestest.New(t, fragile.Stores(stores), files.Options{})
		stop := start(t, s)
		time.Sleep(time.Second)
		fragile.FailWhen(func(op string) error { // cut off from the catalog
			if op == filestest.OpWrite || op == filestest.OpRead {
				return filestest.ErrCrash
			}
			return nil
		})
		stopOther := start(t, filestest.New(t, stores, files.Options{}))
		time.Sleep(5 * time.Minute)
		fragile.FailWhen(nil)
		time.Sleep(time.Minute)
		if _, err := create(t, s, files.NewFile{Name: "f"}); err != nil {
			t.Errorf("after coming back: %v", err)
		}
		stop()
		stopOther()
	})
}

func TestUploads_ParkedOnesHoldSmallBuffers(t *testing.T) {
	s := filestest.New(t, filestest.Memory(), files.Options{})
	const parked = 500
	release := make(chan struct{})
	errs := make(chan error, parked)
	for range parked {
		go func() {
			nf := files.NewFile{Name: "f", Size: files.UnknownSize}
			_, err := s.Create(filestest.As(t.Context(), ann), ann, nf, &stalled{strings.NewReader(strings.Repeat("x", 9000)), release})
			errs <- err
		}()
	}
	close(release)
	for range parked {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if got, err := s.Usage(filestest.As(t.Context(), ann), ann); err != nil || got.Bytes != parked*9000 {
		t.Errorf("usage %+v, %v", got, err)
	}
}

// stalled waits before its end.
type stalled struct {
	*strings.Reader
	release chan struct{}
}

func (s *stalled) Read(p []byte) (int, error) {
	if s.Len() == 0 {
		<-s.release
	}
	return s.Reader.Read(p)
}
