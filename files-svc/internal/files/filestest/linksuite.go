package filestest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

// linkPolicy allows links of up to an hour.
func linkPolicy() *files.Policy { return &files.Policy{MaxLinkTTL: time.Hour, KeepVersions: 1} }

func (b *bench) link(t *testing.T, f files.File, n files.NewLink) (files.Link, string) {
	t.Helper()
	if n.ExpiresIn == 0 {
		n.ExpiresIn = time.Minute
	}
	l, token, err := b.CreateLink(As(t.Context(), ann), ann, f.ID, n)
	if err != nil {
		t.Fatal(err)
	}
	return l, token
}

// follow downloads by a link, as nobody in particular.
func (b *bench) follow(t *testing.T, token string, password *string) (string, error) {
	t.Helper()
	c, err := b.OpenLink(t.Context(), token, password)
	if err != nil {
		return "", err
	}
	defer c.Close()
	ctx, done, err := c.Begin(t.Context())
	if err != nil {
		return "", err
	}
	defer done()
	content, err := io.ReadAll(c.Verified(ctx))
	return string(content), err
}

func (b *bench) deadLink(t *testing.T, says, token string) {
	t.Helper()
	if got, err := b.follow(t, token, nil); !errors.Is(err, fault.Of(fault.NotFound)) {
		t.Errorf("%s: got %q, %v", says, got, err)
	}
}

// checkLinkLife: a link reads the newest content until it expires, is used up or revoked, or its file is gone.
func checkLinkLife(t *testing.T, b *bench) {
	b.policy.Store(linkPolicy())
	ctx := As(t.Context(), ann)
	f := b.upload(t, ann, "f", "old")
	l, token := b.link(t, f, files.NewLink{})
	if strings.Contains(fmt.Sprintf("%+v %s", l, l.Hash), token) {
		t.Error("the row holds the token")
	}
	if got, err := b.follow(t, token, nil); got != "old" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	b.replace(t, f.ID, "new")
	if got, err := b.follow(t, token, nil); got != "new" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if all, err := b.Links(ctx, ann, f.ID); err != nil || len(all) != 1 || all[0].Downloads != 2 {
		t.Errorf("links: %+v, %v", all, err)
	}
	for _, wrong := range []string{"", "crl_", token[:len(token)-1], token + "A", token[4:], strings.ToUpper(token), string(l.ID)} {
		b.deadLink(t, wrong, wrong)
	}
	b.clock.Advance(time.Minute)
	b.deadLink(t, "expired", token)

	l, token = b.link(t, f, files.NewLink{})
	wantKind(t, b.RevokeLink(As(t.Context(), bob), bob, f.ID, l.ID), fault.NotFound)
	wantKind(t, b.RevokeLink(ctx, ann, "another", l.ID), fault.NotFound)
	if err := b.RevokeLink(ctx, ann, f.ID, l.ID); err != nil {
		t.Fatal(err)
	}
	b.deadLink(t, "revoked", token)
	wantKind(t, b.RevokeLink(ctx, ann, f.ID, l.ID), fault.NotFound)

	_, token = b.link(t, f, files.NewLink{})
	if err := b.Delete(ctx, ann, f.ID, false); err != nil {
		t.Fatal(err)
	}
	b.deadLink(t, "in the trash", token)
	if _, err := b.RestoreTrashed(ctx, ann, f.ID); err != nil {
		t.Fatal(err)
	}
	b.deadLink(t, "back from the trash", token)

	_, token = b.link(t, f, files.NewLink{})
	if err := b.EraseOwner(t.Context(), ann); err != nil {
		t.Fatal(err)
	}
	b.deadLink(t, "owner erased", token)
	b.audit(t)
}

// checkLinkCount: of parallel downloads exactly as many begin as the link allows.
func checkLinkCount(t *testing.T, b *bench) {
	const allowed, readers = 7, 40
	b.policy.Store(linkPolicy())
	f := b.upload(t, ann, "f", "x")
	_, token := b.link(t, f, files.NewLink{MaxDownloads: allowed})
	var won, lost atomic.Int64
	var wait sync.WaitGroup
	for range readers {
		wait.Go(func() {
			switch _, err := b.follow(t, token, nil); {
			case err == nil:
				won.Add(1)
			case errors.Is(err, fault.Of(fault.NotFound)):
				lost.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if won.Load() != allowed || lost.Load() != readers-allowed {
		t.Errorf("%d downloads began and %d were refused, want %d", won.Load(), lost.Load(), allowed)
	}
}

// checkLinkRefusals: what can't be a link is none, and a file has so many.
func checkLinkRefusals(t *testing.T, b *bench) {
	ctx := As(t.Context(), ann)
	f := b.upload(t, ann, "f", "x")
	_, _, err := b.CreateLink(ctx, ann, f.ID, files.NewLink{ExpiresIn: time.Minute})
	wantKind(t, err, fault.Forbidden) // no policy allows them
	b.policy.Store(linkPolicy())
	for _, n := range []files.NewLink{
		{}, {ExpiresIn: time.Hour + time.Second}, {ExpiresIn: -time.Hour}, {ExpiresIn: time.Minute, MaxDownloads: -1},
		{ExpiresIn: time.Minute, Password: strings.Repeat("x", 257)}, {ExpiresIn: time.Minute, Password: "\xff"},
	} {
		_, _, err := b.CreateLink(ctx, ann, f.ID, n)
		wantKind(t, err, fault.Invalid)
	}
	for _, as := range []files.OwnerID{ann, bob} {
		_, _, err1 := b.CreateLink(As(t.Context(), bob), as, f.ID, files.NewLink{ExpiresIn: time.Minute})
		_, err2 := b.Links(As(t.Context(), bob), as, f.ID)
		wantKind(t, err1, fault.NotFound)
		wantKind(t, err2, fault.NotFound)
	}
	for range 100 {
		b.link(t, f, files.NewLink{})
	}
	_, _, err = b.CreateLink(ctx, ann, f.ID, files.NewLink{ExpiresIn: time.Minute})
	wantKind(t, err, fault.Conflict)
	b.clock.Advance(time.Hour)
	if err := b.Reap(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.link(t, f, files.NewLink{}) // the expired ones made room
}

// checkLinkPassword: a password is asked each time, and of parallel guesses few are looked at.
func checkLinkPassword(t *testing.T, b *bench) {
	b.policy.Store(linkPolicy())
	f := b.upload(t, ann, "f", "x")
	right, wrong := "пароль\u0301", "guess"
	l, token := b.link(t, f, files.NewLink{Password: right, ExpiresIn: time.Hour})
	if strings.Contains(l.Password, right) {
		t.Error("the row holds the password")
	}
	for _, password := range []*string{nil, &wrong} {
		if _, err := b.follow(t, token, password); !errors.Is(err, files.ErrLinkPassword) {
			t.Errorf("got %v", err)
		}
	}
	if got, err := b.follow(t, token, &right); got != "x" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	var looked atomic.Int64
	var wait sync.WaitGroup
	for range 50 {
		wait.Go(func() {
			switch _, err := b.follow(t, token, &wrong); {
			case errors.Is(err, files.ErrLinkPassword):
				looked.Add(1)
			case !errors.Is(err, fault.Of(fault.RateLimited)):
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if looked.Load() > 10 {
		t.Errorf("%d guesses were looked at", looked.Load())
	}
	_, err := b.follow(t, token, &right)
	wantKind(t, err, fault.RateLimited)
	b.clock.Advance(2 * time.Second)
	if got, err := b.follow(t, token, &right); got != "x" || err != nil {
		t.Errorf("after the wait: %q, %v", got, err)
	}
}

// checkLinkCut: a download under way ends within a second, whoever ended it and in whatever process.
func checkLinkCut(t *testing.T, b *bench) {
	b.policy.Store(linkPolicy())
	run, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- b.Run(run) }()
	defer func() {
		stop()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	}()
	other := b.process(t, b.stores, nil)
	ctx := As(t.Context(), ann)
	for name, end := range map[string]func(f files.File, l files.Link) error{
		"revoked":         func(f files.File, l files.Link) error { return b.RevokeLink(ctx, ann, f.ID, l.ID) },
		"revoked by else": func(f files.File, l files.Link) error { return other.RevokeLink(ctx, ann, f.ID, l.ID) },
		"trashed":         func(f files.File, _ files.Link) error { return other.Delete(ctx, ann, f.ID, false) },
		"deleted":         func(f files.File, _ files.Link) error { return other.Delete(ctx, ann, f.ID, true) },
	} {
		f := b.upload(t, ann, name, "x")
		l, token := b.link(t, f, files.NewLink{})
		_, spared := b.link(t, b.upload(t, ann, "spared", "x"), files.NewLink{})
		under, done := b.begin(t, token)
		apart, doneApart := b.begin(t, spared)
		began := time.Now()
		if err := end(f, l); err != nil {
			t.Fatal(err)
		}
		select {
		case <-under.Done():
			wantKind(t, context.Cause(under), fault.NotFound)
		case <-time.After(time.Minute):
			t.Errorf("%s: it goes on", name)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("%s: cut after %s", name, took)
		}
		if apart.Err() != nil {
			t.Errorf("%s: another link's download was cut", name)
		}
		done()
		doneApart()
	}
}

func (b *bench) begin(t *testing.T, token string) (context.Context, func()) {
	t.Helper()
	c, err := b.OpenLink(t.Context(), token, nil)
	if err != nil {
		t.Fatal(err)
	}
	under, done, err := c.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return under, func() { done(); _ = c.Close() }
}

func checkLinkRows(t *testing.T, c catalogTest) {
	f := sample("ann", 1)
	rows := make([]files.Link, 4)
	for n := range rows {
		rows[n] = files.Link{
			ID: files.LinkID(fmt.Sprint("link-", n)), File: f.ID, Owner: "ann", Hash: files.LinkHash{byte(n)}, Password: "1$a$b", MaxDownloads: 3,
			CreatedAt: Noon.Add(time.Duration(n/2) * time.Second), ExpiresAt: Noon.Add(time.Duration(n) * time.Hour),
		}
	}
	c.refuses(t, fault.NotFound, func(ctx context.Context, tx files.Tx) error { return tx.UpdateLink(ctx, rows[0]) })
	c.write(t, func(ctx context.Context, tx files.Tx) error {
		err := store(ctx, tx, f)
		for _, l := range rows {
			err = errors.Join(err, tx.InsertLink(ctx, l))
		}
		return err
	})
	for _, twice := range []files.Link{rows[0], {ID: "new", File: f.ID, Hash: rows[0].Hash}} {
		c.refuses(t, fault.Conflict, func(ctx context.Context, tx files.Tx) error { return tx.InsertLink(ctx, twice) })
	}
	rows[2].Downloads, rows[2].Failures, rows[2].FailedAt = 2, 1, Noon
	c.write(t, func(ctx context.Context, tx files.Tx) error { return tx.UpdateLink(ctx, rows[2]) })
	c.read(t, func(ctx context.Context, tx files.ReadTx) error {
		got, err := tx.LinkByHash(ctx, rows[2].Hash)
		all, err2 := tx.Links(ctx, f.ID)
		return errors.Join(expect(t, "link", rows[2], got, err), expect(t, "links", []files.Link{rows[3], rows[2], rows[1], rows[0]}, all, err2))
	})
	c.write(t, func(ctx context.Context, tx files.Tx) error {
		n, err := tx.TrimLinks(ctx, Noon.Add(time.Hour), 1)
		more, err2 := tx.TrimLinks(ctx, Noon.Add(time.Hour), 9)
		if n != 1 || more != 1 {
			t.Errorf("trimmed %d and %d", n, more)
		}
		return errors.Join(err, err2, tx.DeleteLink(ctx, rows[2].ID))
	})
	c.refuses(t, fault.NotFound, func(ctx context.Context, tx files.Tx) error { return tx.DeleteLink(ctx, rows[2].ID) })
	c.write(t, func(ctx context.Context, tx files.Tx) error {
		return errors.Join(tx.DeleteLinks(ctx, f.ID), tx.DeleteLinks(ctx, f.ID))
	})
	c.refuses(t, fault.NotFound, func(ctx context.Context, tx files.Tx) error {
		_, err := tx.Link(ctx, rows[3].ID)
		return err
	})
}

// checkEventRange: the range knows the newest event also after it was trimmed.
func checkEventRange(t *testing.T, c catalogTest) {
	want := func(first, last int64) {
		t.Helper()
		c.read(t, func(ctx context.Context, tx files.ReadTx) error {
			f, l, err := tx.EventRange(ctx)
			return expect(t, "range", [2]int64{first, last}, [2]int64{f, l}, err)
		})
	}
	want(1, 0)
	c.write(t, func(ctx context.Context, tx files.Tx) error {
		var errs []error
		for n, owner := range []files.OwnerID{"ann", "bob", "ann"} {
			errs = append(errs, tx.AppendEvent(ctx, files.Event{Kind: files.LinkCreated, Owner: owner, Link: "l", At: Noon.Add(time.Duration(n) * time.Hour)}))
		}
		return errors.Join(errs...)
	})
	want(1, 3)
	c.read(t, func(ctx context.Context, tx files.ReadTx) error {
		got, err := tx.OwnerEvents(ctx, "ann", 1, 9)
		if len(got) != 1 || got[0].Seq != 3 || got[0].Link != "l" {
			t.Errorf("events of ann: %+v", got)
		}
		return err
	})
	for _, step := range []struct {
		hours time.Duration
		first int64
	}{{1, 2}, {9, 4}} {
		c.write(t, func(ctx context.Context, tx files.Tx) error {
			_, err := tx.TrimEvents(ctx, Noon.Add(step.hours*time.Hour), 9)
			return err
		})
		want(step.first, 3)
	}
}
