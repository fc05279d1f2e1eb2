// Package smtp hands mails to a mail server.
//
// TLS is mandatory unless the operator says otherwise: with StartTLS a server that does not offer it gets no mail, so
// that nobody in between can talk it away. What the server refuses for good (5xx to a recipient or a message) is told
// as fault.Invalid; everything else, a refused login of ours too, is worth another attempt.
package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/wneessen/go-mail"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/secret"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/message"
)

// Security is how the connection is encrypted.
type Security int

// The ways; the zero value insists on STARTTLS.
const (
	StartTLS Security = iota
	Implicit          // TLS from the first byte
	Plain             // none, for a relay on this machine
)

// Options says where the server is and who we are to it.
type Options struct {
	Host     string
	Port     int
	From     string // a mailbox, with or without a name
	Security Security
	Username string // empty for no login
	Password secret.String
	TLS      *tls.Config // default: the system's roots, TLS 1.2 or later
}

// Mailer sends mails. It is safe for concurrent use; each mail has a connection of its own.
type Mailer struct {
	opts   Options
	client []mail.Option
}

var _ identity.Mailer = (*Mailer)(nil)

// New checks the options and connects to nothing.
func New(opts Options) (*Mailer, error) {
	if !opts.Password.IsZero() && opts.Security == Plain {
		return nil, errors.New("a password is never sent without TLS")
	}
	host := strings.Trim(opts.Host, "[]")
	config := opts.TLS
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	}
	m := &Mailer{opts: opts, client: []mail.Option{mail.WithPort(opts.Port), mail.WithTLSConfig(config)}}
	m.opts.Host = host
	switch opts.Security {
	case Implicit:
		m.client = append(m.client, mail.WithSSL())
	case Plain:
		m.client = append(m.client, mail.WithTLSPolicy(mail.NoTLS))
	default:
		m.client = append(m.client, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	if opts.Username != "" {
		m.client = append(m.client, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover),
			mail.WithUsername(opts.Username), mail.WithPassword(opts.Password.Reveal()))
	}
	_, err := mail.NewClient(m.opts.Host, m.client...)
	return m, err
}

// Send connects, sends one mail and hangs up.
func (m *Mailer) Send(ctx context.Context, letter identity.Mail) error {
	msg, err := message.New(m.opts.From, letter)
	if err != nil {
		return err
	}
	client, err := mail.NewClient(m.opts.Host, m.client...)
	if err != nil {
		return fmt.Errorf("prepare the mail server's client: %w", err)
	}
	err = client.DialAndSendWithContext(ctx, msg)
	var refused *mail.SendError
	if errors.As(err, &refused) && refused.ErrorCode() >= 500 && refused.ErrorCode() < 600 {
		return fault.Wrap(fault.Invalid, "the mail server refuses this mail", err)
	}
	if err != nil {
		return fmt.Errorf("send over SMTP: %w", err)
	}
	return nil
}
