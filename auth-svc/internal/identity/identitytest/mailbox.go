package identitytest

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom.dev/auth-svc/internal/identity"
)

// Mailbox is a mailer that keeps what it is given, and Letters that say only what they have to.
type Mailbox struct {
	Got   chan identity.Mail
	Fails atomic.Int64 // so many of the next sends fail
	Err   error        // with what they fail
}

var (
	_ identity.Mailer  = (*Mailbox)(nil)
	_ identity.Letters = (*Mailbox)(nil)
)

// NewMailbox has room for what a test may send.
func NewMailbox() *Mailbox {
	return &Mailbox{Got: make(chan identity.Mail, 1000), Err: errors.New("the mail server hangs up")}
}

// Use puts the mailbox into a world's options.
func (m *Mailbox) Use(o *identity.Options) { o.Mailer, o.Letters = m, m }

// Send keeps the mail.
func (m *Mailbox) Send(_ context.Context, mail identity.Mail) error {
	if m.Fails.Add(-1) >= 0 {
		return m.Err
	}
	m.Got <- mail
	return nil
}

// Write puts the kind into the subject and the token into the text.
func (m *Mailbox) Write(l identity.Letter) (subject, text, html string, err error) {
	return string(l.Kind), l.Token.Reveal(), "<p>", nil
}

// Next is the next mail that arrives; it must be of this kind, for this address.
func (m *Mailbox) Next(t testing.TB, kind identity.MailKind, to string) identity.Mail {
	t.Helper()
	select {
	case mail := <-m.Got:
		if mail.Subject != string(kind) || mail.To != to {
			t.Fatalf("got a mail %s to %s, want %s to %s", mail.Subject, mail.To, kind, to)
		}
		return mail
	case <-time.After(time.Minute):
		t.Fatalf("no mail %s to %s has come", kind, to)
		panic("unreachable")
	}
}
