// Package message makes the core's mails into messages as mail servers and mail programs take them (RFC 5322, MIME).
package message

import (
	"fmt"
	"strings"

	"github.com/wneessen/go-mail"

	"cloakroom.dev/libs/fault"

	"cloakroom.dev/auth-svc/internal/identity"
)

// New makes a message with a text and an HTML part. Its Message-ID comes from the mail's id, so that a second attempt
// is recognized as the same. It returns fault.Invalid for an address that can't stand in a header.
func New(from string, m identity.Mail) (*mail.Msg, error) {
	out := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if err := out.From(from); err != nil {
		return nil, fmt.Errorf("read the sender's address: %w", err)
	}
	if strings.ContainsAny(m.To, "\r\n") {
		return nil, fault.New(fault.Invalid, "the recipient's address has a line break")
	}
	if err := out.To(m.To); err != nil {
		return nil, fault.Wrap(fault.Invalid, "the recipient's address can't be read", err)
	}
	out.Subject(m.Subject)
	out.SetMessageIDWithValue(m.ID + "@" + domain(from))
	out.SetDateWithValue(m.At)
	out.SetGenHeader("Auto-Submitted", "auto-generated") // nobody's holiday notice should answer
	out.SetBodyString(mail.TypeTextPlain, m.Text)
	out.AddAlternativeString(mail.TypeTextHTML, m.HTML)
	return out, nil
}

func domain(from string) string {
	return strings.Trim(from[strings.LastIndexByte(from, '@')+1:], "> ")
}
