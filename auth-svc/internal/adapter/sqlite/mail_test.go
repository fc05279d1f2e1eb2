package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"cloakroom.dev/libs/secret"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

// Mails wait in the database, and still a stolen copy must hold no link that works, nor tell who was guessed at.
func TestDump_HoldsNoUsableLink(t *testing.T) {
	dir := t.TempDir()
	clock := identitytest.NewClock()
	box := identitytest.NewMailbox()
	box.Fails.Store(1) // the first mail stays in the outbox
	w := identitytest.NewWorld(t, open(t, filepath.Join(dir, "auth.db"), clock.Now), clock, identity.Policy{}, box.Use)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Service.RunMail(ctx) }()
	w.SignUp("ada")
	for box.Fails.Load() > 0 {
		time.Sleep(time.Millisecond)
	}
	if err := w.Service.ForgotPassword(ctx, "ada", identitytest.Laptop); err != nil {
		t.Fatal(err)
	}
	link := box.Next(t, identity.MailReset, "ada@example.org").Text
	_, _ = w.Login("my password typed as a name", "wrong")
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	dump := searcher{t: t, dir: dir}
	dump.lacksCredential("a link", secret.NewString(link), 32)
	dump.lacks("what was typed for a name", []byte("my password typed"))
	dump.has("the address of the waiting mail, or the search is blind", []byte("ada@example.org"))
}
