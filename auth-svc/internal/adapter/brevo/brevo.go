// Package brevo hands mails to Brevo's HTTP API.
//
// The connection is refused when the name of the API resolves to a private address, unless that is allowed, and
// redirects are not followed: neither DNS nor an answer may turn the mailer, which carries links into accounts and the
// API key, into a way to somewhere else.
package brevo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/mail"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/secret"

	"cloakroom.dev/auth-svc/internal/identity"
)

// Options says where the API is and who we are to it.
type Options struct {
	BaseURL               string // https://api.brevo.com
	Key                   secret.String
	From                  string // a mailbox, with or without a name
	AllowPrivateAddresses bool
}

// Mailer sends mails. It is safe for concurrent use.
type Mailer struct {
	opts   Options
	from   party
	client *http.Client
}

var _ identity.Mailer = (*Mailer)(nil)

// requestTimeout bounds one call, whatever the caller's own patience.
const requestTimeout = 20 * time.Second

// New checks the options and connects to nothing.
func New(opts Options) (*Mailer, error) {
	from, err := mail.ParseAddress(opts.From)
	if err != nil {
		return nil, fmt.Errorf("read the sender's address: %w", err)
	}
	if opts.Key.IsZero() {
		return nil, errors.New("the API key is empty")
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	if !opts.AllowPrivateAddresses {
		dialer.Control = publicOnly
	}
	return &Mailer{
		opts: opts, from: party{Name: from.Name, Email: from.Address},
		client: &http.Client{
			Timeout: requestTimeout,
			Transport: &http.Transport{
				DialContext: dialer.DialContext, TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: time.Minute,
				MaxIdleConns: 4, MaxConnsPerHost: 8, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 64 << 10,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// publicOnly looks at the address that is really about to be connected to, after all names are resolved.
func publicOnly(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("read the address of the mail API: %w", err)
	}
	if a := at.Addr().Unmap(); !a.IsGlobalUnicast() || a.IsPrivate() || shared.Contains(a) || translated.Contains(a) {
		return fmt.Errorf("the mail API resolves to %s, which is not a public address; see allowPrivateAddresses", a)
	}
	return nil
}

// shared is carriers' inner space, translated the way from IPv6 into any IPv4: neither counts as private.
var (
	shared     = netip.MustParsePrefix("100.64.0.0/10")
	translated = netip.MustParsePrefix("64:ff9b::/96")
)

type party struct {
	Name  string `json:"name,omitempty"`
	Email string `json:"email"`
}

type email struct {
	Sender  party             `json:"sender"`
	To      []party           `json:"to"`
	Subject string            `json:"subject"`
	HTML    string            `json:"htmlContent"`
	Text    string            `json:"textContent"`
	Headers map[string]string `json:"headers"`
}

// Send makes one call. The id travels as an idempotency key, so a second attempt after a lost answer is one mail.
func (m *Mailer) Send(ctx context.Context, letter identity.Mail) error {
	body, err := json.Marshal(email{
		Sender: m.from, To: []party{{Email: letter.To}}, Subject: letter.Subject, HTML: letter.HTML, Text: letter.Text,
		Headers: map[string]string{"idempotencyKey": letter.ID, "Auto-Submitted": "auto-generated"},
	})
	if err != nil {
		return fmt.Errorf("encode mail: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(m.opts.BaseURL, "/")+"/v3/smtp/email", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("prepare the call of the mail API: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	r.Header.Set("api-key", m.opts.Key.Reveal())
	res, err := m.client.Do(r)
	if err != nil {
		return fmt.Errorf("call the mail API: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, _ := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	switch {
	case res.StatusCode >= 200 && res.StatusCode < 300:
		return nil
	case res.StatusCode == http.StatusBadRequest || res.StatusCode == http.StatusUnprocessableEntity:
		return fault.Wrap(fault.Invalid, "the mail API refuses this mail", refusal(res.StatusCode, answer))
	default: // 401 and 402 too: the operator can mend them before the mail is too old
		return fmt.Errorf("the mail API does not take the mail: %w", refusal(res.StatusCode, answer))
	}
}

// refusal keeps the API's own code and leaves its free text, which may repeat the mail, behind.
func refusal(status int, answer []byte) error {
	var said struct {
		Code string `json:"code"`
	}
	_ = json.Unmarshal(answer, &said)
	if len(said.Code) > 64 {
		said.Code = said.Code[:64]
	}
	return fmt.Errorf("status %d, code %q", status, said.Code)
}
