// Package letter puts the core's letters into words, as text and as HTML.
//
// Everything that comes from outside is escaped by the templates, and almost nothing does: a mail never holds what the
// one who caused it has typed, or signing up in somebody's name would be a way to send them advertising. Links begin
// with the configured base URL; no request header has a say.
package letter

import (
	"bytes"
	"embed"
	"fmt"
	htmltemplate "html/template"
	"net/url"
	"strings"
	texttemplate "text/template"
	"time"

	"cloakroom.dev/auth-svc/internal/identity"
)

//go:embed templates
var files embed.FS

var (
	texts = texttemplate.Must(texttemplate.ParseFS(files, "templates/*.txt"))
	pages = htmltemplate.Must(htmltemplate.ParseFS(files, "templates/*.html"))
)

// subjects are the kinds there are words for.
var subjects = map[identity.MailKind]string{
	identity.MailVerify:          "Please confirm your address",
	identity.MailReset:           "Choose a new password",
	identity.MailNewDevice:       "A new device has signed in",
	identity.MailTheft:           "A session was ended for your safety",
	identity.MailPasswordChanged: "Your password was changed",
	identity.MailEmailChanged:    "Your address was changed",

	identity.MailIdentityLinked:    "A new way to sign in was added",
	identity.MailIdentityUnlinked:  "A way to sign in was removed",
	identity.MailFactorAdded:       "A second factor was added to your account",
	identity.MailFactorRemoved:     "A second factor was removed from your account",
	identity.MailFactorsReset:      "Your second factors were reset by an administrator",
	identity.MailRecoveryCodes:     "New recovery codes were made",
	identity.MailRecoveryCodeSpent: "A recovery code was used",
	identity.MailAddressChanged:    "One of your sessions goes on from another network",
	identity.MailPasskeyCopied:     "One of your passkeys may have been copied",
}

// linkPaths are the pages that links open.
var linkPaths = map[identity.MailKind]string{
	identity.MailVerify: "/auth/links/verify-email",
	identity.MailReset:  "/auth/links/reset-password",
}

// Writer writes letters. It is safe for concurrent use.
type Writer struct{ base string }

var _ identity.Letters = Writer{}

// New makes a writer. base is where people reach the gateway: scheme, host and port.
func New(base string) Writer { return Writer{base: strings.TrimSuffix(base, "/")} }

// facts are what the templates are given.
type facts struct {
	Kind, Subject, Site   string
	Link, ValidFor        string
	Device, Address, When string
}

// Write returns an error for a kind it has no words for.
func (w Writer) Write(l identity.Letter) (subject, text, html string, err error) {
	subject, ok := subjects[l.Kind]
	if !ok {
		return "", "", "", fmt.Errorf("there are no words for a mail of kind %q", l.Kind)
	}
	f := facts{
		Kind: string(l.Kind), Subject: subject, Site: w.base, ValidFor: spoken(l.ValidFor),
		Device: device(l.UserAgent), When: l.At.UTC().Format("2 January 2006 at 15:04 UTC"),
	}
	if l.Address.IsValid() {
		f.Address = l.Address.String()
	}
	if path, ok := linkPaths[l.Kind]; ok {
		f.Link = w.base + path + "?token=" + url.QueryEscape(l.Token.Reveal())
	}
	var t, h bytes.Buffer
	if err := texts.ExecuteTemplate(&t, "mail.txt", f); err != nil {
		return "", "", "", fmt.Errorf("write the text: %w", err)
	}
	if err := pages.ExecuteTemplate(&h, "mail.html", f); err != nil {
		return "", "", "", fmt.Errorf("write the HTML: %w", err)
	}
	return subject, t.String(), h.String(), nil
}

// spoken says a duration as people do.
func spoken(d time.Duration) string {
	switch hours := int((d + 30*time.Minute) / time.Hour); {
	case d < 90*time.Minute:
		return fmt.Sprintf("%d minutes", max(1, int(d.Round(time.Minute)/time.Minute)))
	default:
		return fmt.Sprintf("%d hours", hours)
	}
}

// device names what a user agent says it is, in words of ours: the header itself may hold anything, a web address too.
func device(agent string) string {
	program := first(agent, "a program", []word{
		{"Edg/", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"},
		{"curl/", "curl"}, {"okhttp/", "an app"}, {"CFNetwork/", "an app"},
	})
	system := first(agent, "", []word{
		{"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Windows", "Windows"}, {"Mac OS X", "a Mac"},
		{"CrOS", "ChromeOS"}, {"Linux", "Linux"},
	})
	if system == "" {
		return program
	}
	return program + " on " + system
}

type word struct{ sign, name string }

func first(text, otherwise string, words []word) string {
	for _, w := range words {
		if strings.Contains(text, w.sign) {
			return w.name
		}
	}
	return otherwise
}
