package httpapi_test

import (
	"html"
	"io"
	"mime/quotedprintable"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/libs/api/v1alpha1"
)

// postOffice is a house that writes its mails into a folder.
type postOffice struct {
	*house
	folder string
	read   map[string]bool
}

func openPost(t *testing.T, settings ...setting) *postOffice {
	folder := filepath.Join(t.TempDir(), "mail")
	h := openHouse(t, append(settings, func(a *v1alpha1.AuthConfig, _ *v1alpha1.SessionPolicy) {
		a.Spec.PublicBaseURL = "https://cloak.example"
		a.Spec.Mailer = &v1alpha1.Mailer{From: "Cloakroom <no-reply@cloak.example>", Log: &v1alpha1.LogMailer{Folder: v1alpha1.FilePath(folder)}}
	})...)
	return &postOffice{house: h, folder: folder, read: map[string]bool{}}
}

// mail waits for the next one with this subject and returns its text.
func (p *postOffice) mail(subject string) string {
	p.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		names, _ := filepath.Glob(filepath.Join(p.folder, "*.eml"))
		for _, name := range names {
			raw, err := os.ReadFile(name)
			if err != nil || p.read[name] || !strings.Contains(string(raw), "Subject: "+subject) {
				continue
			}
			p.read[name] = true
			plain, _ := io.ReadAll(quotedprintable.NewReader(strings.NewReader(string(raw))))
			return string(plain)
		}
	}
	p.t.Fatalf("no mail %q has come", subject)
	return ""
}

var linkShape = regexp.MustCompile(`https?://[^\s"<>]+/auth/links/[a-z-]+\?token=(crm_[A-Za-z0-9_-]+)`)

// link finds the link in a mail, and its token.
func (p *postOffice) link(mail string) (whole, token string) {
	p.t.Helper()
	found := linkShape.FindStringSubmatch(mail)
	if found == nil {
		p.t.Fatalf("no link in %s", mail)
	}
	return found[0], found[1]
}

const (
	subjectVerify = "Please confirm your address"
	subjectReset  = "Choose a new password"
)

func (p *postOffice) signupMail(address string) session {
	p.t.Helper()
	var s session
	p.do(ask{method: "POST", path: "/v1/auth/signup", body: object{"email": address, "password": password}}).want(201, "").into(&s)
	return s
}

func (p *postOffice) forgot(identifier string, header map[string]string) reply {
	p.t.Helper()
	return p.do(ask{method: "POST", path: "/v1/auth/password/forgot", body: object{"identifier": identifier}, header: header}).want(202, "")
}

// page fetches a page as a browser or a scanner does.
func (p *postOffice) page(method, path string, form url.Values) (*http.Response, string) {
	p.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.public.URL+path, body)
	if err != nil {
		p.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return res, string(text)
}

func TestMailJob_VerifyForgetReset(t *testing.T) {
	p := openPost(t)
	ada := p.signupMail("Ada@example.org")
	_, token := p.link(p.mail(subjectVerify))
	p.do(ask{method: "POST", path: "/v1/auth/email/verify", body: object{"token": token}}).want(204, "")
	p.do(ask{method: "POST", path: "/v1/auth/email/verify", body: object{"token": token}}).want(410, "NOT_FOUND")
	p.do(ask{method: "POST", path: "/v1/auth/email/verify/resend", token: ada.access()}).want(202, "")

	p.forgot("ada@example.org", nil)
	_, token = p.link(p.mail(subjectReset))
	reset := func(token, secret string) reply {
		return p.do(ask{method: "POST", path: "/v1/auth/password/reset", body: object{"token": token, "new_password": secret}})
	}
	reset(token, "short").want(400, "VALIDATION_ERROR")
	reset("crm_forged", "a long new password").want(400, "VALIDATION_ERROR")
	reset(token, "a long new password").want(204, "")
	reset(token, "a long new password").want(410, "NOT_FOUND")
	p.mail("Your password was changed")
	p.check(ada.access()).want(401, "INVALID_TOKEN")
	p.refresh(ada.Session.RefreshToken).want(401, "INVALID_REFRESH_TOKEN")
	p.login("ada@example.org", "a long new password")
	for _, secret := range []string{token, "a long new password"} {
		if strings.Contains(p.logs.String(), secret) {
			t.Error("the log tells a secret")
		}
	}
}

func TestLinkPage_ScannersSpendNothingAndThePersonsPostWorksOnce(t *testing.T) {
	p := openPost(t)
	p.signupMail("ada@example.org")
	p.mail(subjectVerify)
	p.forgot("ada@example.org", nil)
	whole, token := p.link(p.mail(subjectReset))
	path := strings.TrimPrefix(whole, "https://cloak.example")
	for range 10 {
		for _, method := range []string{"GET", "HEAD"} {
			res, body := p.page(method, path, nil)
			if res.StatusCode != 200 || method == "GET" && !strings.Contains(body, html.EscapeString(token)) {
				t.Fatalf("%s: %d %s", method, res.StatusCode, body)
			}
		}
	}
	res, body := p.page("GET", path, nil)
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		"Referrer-Policy":         "no-referrer", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Cache-Control": "no-store",
	} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if strings.Contains(body, "<script") || strings.Contains(body, "http") || !strings.Contains(body, `method="post"`) {
		t.Errorf("the page is %s", body)
	}
	if res, _ := p.page("POST", "/auth/links/reset-password", url.Values{"token": {token}, "new_password": {"short"}}); res.StatusCode != 400 {
		t.Errorf("a short password: %d", res.StatusCode)
	}

	var mu sync.Mutex
	answers := map[int]int{}
	var wg sync.WaitGroup
	for range 2 { // impatient fingers
		wg.Go(func() {
			res, _ := p.page("POST", "/auth/links/reset-password", url.Values{"token": {token}, "new_password": {"a long new password"}})
			mu.Lock()
			answers[res.StatusCode]++
			mu.Unlock()
		})
	}
	wg.Wait()
	if answers[200] != 1 || answers[410] != 1 {
		t.Errorf("answers %v", answers)
	}
	p.login("ada@example.org", "a long new password")
}

func TestLinkPage_RefusesWhatIsNoLink(t *testing.T) {
	p := openPost(t)
	p.signupMail("ada@example.org")
	_, token := p.link(p.mail(subjectVerify))
	for _, bad := range []string{"", "?token=", "?token=crm_x", "?token=" + token[:len(token)-1], `?token="><script>alert(1)</script>`} {
		if res, body := p.page("GET", "/auth/links/verify-email"+bad, nil); res.StatusCode != 400 || strings.Contains(body, "<script") {
			t.Errorf("%q: %d %s", bad, res.StatusCode, body)
		}
	}
	if res, _ := p.page("GET", "/auth/links/reset-password?token="+token, nil); res.StatusCode != 400 {
		t.Errorf("a link of another purpose: %d", res.StatusCode)
	}
	if res, _ := p.page("POST", "/auth/links/verify-email?token="+token, url.Values{}); res.StatusCode != 400 {
		t.Errorf("a POST whose token is in the query: %d", res.StatusCode)
	}
	if res, _ := p.page("POST", "/auth/links/verify-email", url.Values{"token": {strings.Repeat("x", 1<<20)}}); res.StatusCode < 400 {
		t.Errorf("a huge form: %d", res.StatusCode)
	}
	if res, _ := p.page("POST", "/auth/links/verify-email", url.Values{"token": {token}}); res.StatusCode != 200 {
		t.Errorf("the link itself: %d", res.StatusCode)
	}
}

func TestForgot_LinksUseTheConfiguredAddressWhateverTheHeadersSay(t *testing.T) {
	p := openPost(t)
	p.signupMail("ada@example.org")
	p.mail(subjectVerify)
	p.forgot("ada@example.org", map[string]string{
		"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "ftp", "Forwarded": "host=evil.example", "X-Original-Host": "evil.example",
		"X-Host": "evil.example", "Origin": "https://evil.example", "Referer": "https://evil.example/",
	})
	r, err := http.NewRequestWithContext(t.Context(), "POST", p.public.URL+"/v1/auth/password/forgot", strings.NewReader(`{"identifier":"ada@example.org"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "evil.example"
	r.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	for range 2 {
		mail := p.mail(subjectReset)
		if whole, _ := p.link(mail); !strings.HasPrefix(whole, "https://cloak.example/auth/links/reset-password?") || strings.Contains(mail, "evil") {
			t.Errorf("the mail says %s", mail)
		}
	}
}

func TestForgot_AnswersAlikeForEverybodyAndNobody(t *testing.T) {
	p := openPost(t)
	p.signupMail("ada@example.org")
	p.mail(subjectVerify)
	want := string(p.forgot("ada@example.org", nil).body)
	for _, nobody := range []string{"nobody@example.org", "nobody", "@@@", "+442071838750", strings.Repeat("x", 10_000)} {
		if got := string(p.forgot(nobody, nil).body); got != want {
			t.Errorf("%.20s: %s, want %s", nobody, got, want)
		}
	}
	p.mail(subjectReset)
	time.Sleep(200 * time.Millisecond)
	if names, _ := filepath.Glob(filepath.Join(p.folder, "*.eml")); len(names) != 2 {
		t.Errorf("%d mails, want the one at the signup and the one asked for", len(names))
	}
}

func TestLogin_NewDeviceIsToldByMail(t *testing.T) {
	p := openPost(t)
	p.signupMail("ada@example.org")
	p.mail(subjectVerify)
	p.do(ask{
		method: "POST", path: "/v1/auth/login", body: object{"identifier": "ada@example.org", "password": password},
		header: map[string]string{"User-Agent": "Mozilla/5.0 (Windows NT 10.0) Firefox/140.0"},
	}).want(200, "")
	if mail := p.mail("A new device has signed in"); !strings.Contains(mail, "Firefox on Windows") {
		t.Errorf("the mail says %s", mail)
	}
}

func TestLockout_IsToldWithATimeAndSaysNothingOfTheAccount(t *testing.T) {
	h := openHouse(t, func(_ *v1alpha1.AuthConfig, p *v1alpha1.SessionPolicy) { p.Spec.Lockout.MaxFailures = 3 })
	h.signup("ada")
	said := map[string]bool{}
	for _, name := range []string{"ada", "nobody"} {
		try := func() reply {
			return h.do(ask{
				method: "POST", path: "/v1/auth/login", body: object{"identifier": name, "password": "wrong password"},
				header: map[string]string{"User-Agent": "guesser/1"},
			})
		}
		for range 3 {
			try().want(401, "INVALID_CREDENTIALS")
		}
		r := try().want(429, "RATE_LIMIT_EXCEEDED")
		if r.header.Get("Retry-After") == "" {
			t.Error("nobody is told when to come back")
		}
		said[faceless(t, r)] = true
	}
	if len(said) != 1 {
		t.Errorf("refusals differ: %v", said)
	}
	h.login("ada", password) // from the device it was signed up on
}
