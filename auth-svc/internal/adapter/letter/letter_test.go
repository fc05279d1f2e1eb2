package letter_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/libs/secret"

	"cloakroom.dev/auth-svc/internal/adapter/letter"
	"cloakroom.dev/auth-svc/internal/identity"
)

var kinds = []identity.MailKind{
	identity.MailVerify, identity.MailReset, identity.MailNewDevice, identity.MailTheft, identity.MailPasswordChanged, identity.MailEmailChanged,
	identity.MailFactorAdded, identity.MailFactorRemoved, identity.MailFactorsReset, identity.MailRecoveryCodes, identity.MailRecoveryCodeSpent, identity.MailPasskeyCopied,
	identity.MailAddressChanged, identity.MailIdentityLinked, identity.MailIdentityUnlinked,
}

func write(t *testing.T, kind identity.MailKind, agent string) (subject, text, html string) {
	t.Helper()
	subject, text, html, err := letter.New("https://cloak.example").Write(identity.Letter{
		Kind: kind, Token: secret.NewString("crm_abc-_123"), ValidFor: time.Hour, UserAgent: agent,
		Address: netip.MustParseAddr("192.0.2.1"), At: time.Date(2026, 11, 22, 9, 5, 0, 0, time.UTC),
	})
	if err != nil {
		t.Fatal(err)
	}
	return subject, text, html
}

func TestWrite_EveryKindSaysWhatHappenedWhenAndFromWhere(t *testing.T) {
	seen := map[string]bool{}
	for _, kind := range kinds {
		subject, text, html := write(t, kind, "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0")
		if subject == "" || seen[subject] || strings.ContainsAny(subject, "\r\n") {
			t.Errorf("%s: subject %q", kind, subject)
		}
		seen[subject] = true
		for name, body := range map[string]string{"text": text, "html": html} {
			if len(body) < 150 || !strings.Contains(body, "22 November 2026 at 09:05 UTC") || !strings.Contains(body, "192.0.2.1") || strings.ContainsAny(body, "{}") {
				t.Errorf("%s %s: %s", kind, name, body)
			}
			link := strings.Contains(body, "https://cloak.example/auth/links/") && strings.Contains(body, "?token=crm_abc-_123")
			if want := kind == identity.MailVerify || kind == identity.MailReset; link != want {
				t.Errorf("%s %s: link %v, want %v", kind, name, link, want)
			}
		}
	}
	if _, _, _, err := letter.New("https://cloak.example").Write(identity.Letter{Kind: "greeting"}); err == nil {
		t.Error("a kind without words was written")
	}
}

func TestWrite_NothingAStrangerSaysReachesTheMail(t *testing.T) {
	for _, kind := range kinds {
		_, text, html := write(t, kind, `<script>alert(1)</script> http://evil.example/"onload=x`)
		if strings.Contains(text+html, "evil") || strings.Contains(text+html, "script") || strings.Contains(text+html, "onload") {
			t.Errorf("%s repeats the user agent", kind)
		}
	}
}

func TestWrite_NothingBreaksOutOfTheHTML(t *testing.T) {
	hostile := identity.Letter{Kind: identity.MailVerify, Token: secret.NewString(`crm_"><script>{site}`), ValidFor: time.Hour}
	_, text, html, err := letter.New(`https://cloak.example/"><script>alert(1)</script>{device}`).Write(hostile)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(html, "<script") || strings.Contains(html, `"><s`) || strings.Contains(text+html, "a program") {
		t.Errorf("%s\n%s", text, html)
	}
	if !strings.Contains(html, "&#34;&gt;&lt;script&gt;alert(1)&lt;/script&gt;") {
		t.Errorf("what the address says is lost: %s", html)
	}
	if _, _, html, err := letter.New("javascript:alert(1)//").Write(hostile); err == nil {
		t.Errorf("a link that runs was written: %s", html)
	}
}

func TestWrite_NamesTheDevice(t *testing.T) {
	for agent, want := range map[string]string{
		"Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0": "Edge on Windows",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Safari/604.1":      "Safari on iPhone",
		"curl/8.9": "curl", "": "a program",
	} {
		if _, text, _ := write(t, identity.MailNewDevice, agent); !strings.Contains(text, want+".") {
			t.Errorf("%q is not called %s:\n%s", agent, want, text)
		}
	}
}
