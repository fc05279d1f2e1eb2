package authsvc

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"cloakroom.dev/libs/api/v1alpha1"

	"cloakroom.dev/auth-svc/internal/adapter/brevo"
	"cloakroom.dev/auth-svc/internal/adapter/letter"
	"cloakroom.dev/auth-svc/internal/adapter/maillog"
	"cloakroom.dev/auth-svc/internal/adapter/smtp"
	"cloakroom.dev/auth-svc/internal/identity"
)

// mailing is how the service writes and sends mail; without a mailer in the boot object both are nil.
type mailing struct {
	mailer  identity.Mailer
	letters identity.Letters
	ops     map[string]http.Handler // what the ops port shows of it
}

func openMailing(cfg Config) (m mailing, err error) {
	spec := cfg.Boot.Spec.Mailer
	if spec == nil {
		return m, nil
	}
	m.letters = letter.New(cfg.publicBaseURL())
	switch {
	case spec.Log != nil:
		var box *maillog.Mailer
		if box, err = maillog.New(cfg.path(string(spec.Log.Folder)), string(spec.From)); err == nil {
			m.mailer, m.ops = box, map[string]http.Handler{"GET /-/mail": box}
		}
	case spec.SMTP != nil:
		m.mailer, err = openSMTP(cfg, string(spec.From), *spec.SMTP)
	case spec.Brevo != nil:
		m.mailer, err = openBrevo(cfg, string(spec.From), *spec.Brevo)
	default:
		err = fmt.Errorf("exactly one of log, smtp, brevo is needed")
	}
	if err != nil {
		return mailing{}, fmt.Errorf("mailer: %w", err)
	}
	return m, nil
}

func openSMTP(cfg Config, from string, spec v1alpha1.SMTPMailer) (identity.Mailer, error) {
	opts := smtp.Options{Host: string(spec.Host), Port: int(spec.Port), From: from, Username: spec.Username}
	switch spec.TLS {
	case v1alpha1.SMTPImplicit:
		opts.Security = smtp.Implicit
	case v1alpha1.SMTPPlain:
		opts.Security = smtp.Plain
	}
	if spec.Password != nil {
		var err error
		if opts.Password, err = readSecret(cfg, *spec.Password); err != nil {
			return nil, fmt.Errorf("smtp.password: %w", err)
		}
	}
	return smtp.New(opts)
}

func openBrevo(cfg Config, from string, spec v1alpha1.BrevoMailer) (identity.Mailer, error) {
	key, err := readSecret(cfg, spec.APIKey)
	if err != nil {
		return nil, fmt.Errorf("brevo.apiKey: %w", err)
	}
	return brevo.New(brevo.Options{
		BaseURL: string(spec.BaseURL), Key: key, From: from, AllowPrivateAddresses: spec.AllowPrivateAddresses,
	})
}

// publicBaseURL is where links lead.
func (c Config) publicBaseURL() string {
	if c.PublicBaseURL != "" {
		return c.PublicBaseURL
	}
	return string(c.Boot.Spec.PublicBaseURL)
}

// originOf writes the origin of a URL as browsers do: in lower case, and without the port that is the scheme's own. It
// returns "" for what is no URL.
func originOf(text string) string {
	u, err := url.Parse(strings.ToLower(text))
	if err != nil || u.Host == "" {
		return ""
	}
	host := u.Host
	switch u.Scheme {
	case "http":
		host = strings.TrimSuffix(host, ":80")
	case "https":
		host = strings.TrimSuffix(host, ":443")
	}
	return u.Scheme + "://" + host
}

// ownNames are the words that stand for this very service: passwords made of them are the first that guessers try here.
func ownNames(cfg Config) []string {
	names := []string{"cloakroom", string(cfg.Boot.Spec.Issuer)}
	if u, err := url.Parse(cfg.publicBaseURL()); err == nil {
		names = append(append(names, u.Hostname()), strings.Split(u.Hostname(), ".")...)
	}
	return names
}
