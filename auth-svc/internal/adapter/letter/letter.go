// Package letter puts the core's letters into words, as text and as HTML.
//
// Everything that comes from outside is escaped in the HTML, and almost nothing does: a mail never holds what the
// one who caused it has typed, or signing up in somebody's name would be a way to send them advertising. Links begin
// with the configured base URL; no request header has a say.
package letter

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"cloakroom.dev/auth-svc/internal/identity"
)

// Writer writes letters. It is safe for concurrent use.
type Writer struct{ base string }

var _ identity.Letters = Writer{}

// New makes a writer. base is where people reach the gateway: scheme, host and port.
func New(base string) Writer { return Writer{base: strings.TrimSuffix(base, "/")} }

// Write returns an error for a kind it has no words for, and for a base that no browser should follow.
func (w Writer) Write(l identity.Letter) (subject, text, html string, err error) {
	words, ok := letters[l.Kind]
	if !ok {
		return "", "", "", fmt.Errorf("there are no words for a mail of kind %q", l.Kind)
	}
	link := ""
	if words.path != "" {
		if !strings.HasPrefix(w.base, "https://") && !strings.HasPrefix(w.base, "http://") {
			return "", "", "", fmt.Errorf("a mail's link can't begin with %q", w.base)
		}
		link = w.base + words.path + "?token=" + url.QueryEscape(l.Token.Reveal())
	}
	when := l.At.UTC().Format("2 January 2006 at 15:04 UTC")
	if l.Address.IsValid() {
		when += ", from " + l.Address.String()
	}
	said := w.fill(words.said, l)
	return words.subject, asText(said, link, when), asHTML(words, said, link, when), nil
}

// fill puts facts where the paragraphs name them. What a fact holds is not looked at again.
func (w Writer) fill(paragraphs []string, l identity.Letter) []string {
	facts := strings.NewReplacer("{site}", w.base, "{valid_for}", spoken(l.ValidFor), "{device}", device(l.UserAgent))
	said := make([]string, len(paragraphs))
	for i, p := range paragraphs {
		said[i] = facts.Replace(p)
	}
	return said
}

func asText(said []string, link, when string) string {
	var b strings.Builder
	for _, p := range said {
		if p == theLink {
			p = link
		}
		b.WriteString(p + "\n\n")
	}
	return b.String() + when + "\n"
}

func asHTML(words words, said []string, link, when string) string {
	paragraphs := g.Map(said, func(p string) g.Node {
		if p == theLink {
			return h.P(h.A(h.Href(link), g.Text(words.link)))
		}
		return h.P(g.Text(p))
	})
	var b strings.Builder
	_ = h.Doctype(h.HTML(h.Lang("en"), // a Builder takes everything
		h.Head(h.Meta(h.Charset("utf-8")), h.TitleEl(g.Text(words.subject))),
		h.Body(h.H1(g.Text(words.subject)), paragraphs, h.P(h.Small(g.Text(when)))),
	)).Render(&b)
	return b.String()
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
