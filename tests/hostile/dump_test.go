package hostile

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"io"
	"mime/quotedprintable"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// TestDump_OpensNothing uses everything that hands out a secret, and looks for each in the raw database files with their
// write-ahead logs: as it was handed out, and its secret part as bytes, hexadecimal and base64.
func TestDump_OpensNothing(t *testing.T) {
	stack := harness.Start(t)
	c := harness.NewClient(t, stack.Public)
	boot := stack.Bootstrap()
	secrets := map[string]string{
		"the admin's password": boot.Admin.Password, "the first API key": boot.APIKey, "the bootstrap token": boot.BootstrapToken,
	}
	const mail, password = "dump-test@example.org", "a password nobody would guess 93"
	var body struct {
		User    harness.User
		Session harness.Session
	}
	ada := c.Fresh()
	c.Do("POST", "/v1/auth/signup", fields{"email": mail, "username": harness.NewUsername(), "password": password}).Is(201).JSON(&body)
	ada.User, ada.Session = body.User, body.Session
	secrets["the password"] = password
	secrets["a spent refresh token"], secrets["a spent access token"] = ada.Session.RefreshToken, ada.Session.AccessToken
	ada.Refresh().Is(200)
	secrets["the live refresh token"], secrets["the live access token"] = ada.Session.RefreshToken, ada.Session.AccessToken

	var key struct{ Key string }
	ada.Do("POST", "/v1/api-keys", fields{"name": "k", "permissions": []fields{right("files", "read", "self")}}).Is(201).JSON(&key)
	secrets["an API key"] = key.Key
	link := newLink(ada, ada.Upload("a", []byte("x")).Is(201).File(), fields{"password": "the password of a link"})
	secrets["a link"], secrets["a link's password"] = strings.TrimPrefix(link.URL, "/l/"), "the password of a link"
	c.Do("POST", "/v1/auth/password/forgot", fields{"identifier": mail}).Is(202)
	for i, token := range mailed(t, stack, 2) {
		secrets["a mailed link "+string(rune('a'+i))] = token
	}
	g := &guarded{Client: ada}
	g.enroll(t)
	secrets["the factor's secret"] = g.secret
	for i, code := range g.codes {
		secrets["recovery code "+string(rune('a'+i))] = code
	}
	var half struct{ Challenge struct{ Token string } }
	c.Do("POST", "/v1/auth/login", fields{"identifier": mail, "password": password}).Is(202).JSON(&half)
	secrets["a challenge"] = half.Challenge.Token

	dump := databases(t, stack)
	if !bytes.Contains(dump, []byte(ada.User.ID)) || !bytes.Contains(dump, []byte(mail)) {
		t.Fatal("the files hold nothing of this person: they were not the databases")
	}
	for name, secret := range secrets {
		if len(secret) < 8 {
			t.Errorf("%s is %q: nothing to look for", name, secret)
			continue
		}
		for form, raw := range formsOf(secret) {
			if bytes.Contains(dump, raw) {
				t.Errorf("%s is in the database, %s", name, form)
			}
		}
	}
}

// databases is every byte of every database file below the data folder.
func databases(t *testing.T, s *harness.Stack) (all []byte) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(s.Dir, "*.db*"))
	if err != nil || len(paths) < 4 {
		t.Fatalf("databases with their logs are %v: %v", paths, err)
	}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, raw...)
	}
	return all
}

// formsOf is a secret as text and, for what is encoded, its random part in the forms a table could hold it in. The last
// 24 bytes are what cannot be guessed of every credential: identifiers come first.
func formsOf(secret string) map[string][]byte {
	forms := map[string][]byte{"as it is": []byte(secret), "without hyphens": []byte(strings.ReplaceAll(secret, "-", ""))}
	text := secret[strings.LastIndexByte(secret, '.')+1:]
	if i := strings.IndexByte(text, '_'); i == 3 {
		text = text[4:]
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) < 24 {
		if raw, err = base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret); err != nil || len(raw) < 10 {
			return forms
		}
	}
	// The MAC is behind the secret, and is as good as nothing without it: the piece before it is looked for as well.
	for name, part := range map[string][]byte{"its end": raw[max(0, len(raw)-24):], "its secret": raw[max(0, len(raw)-44):max(10, len(raw)-16)]} {
		forms[name+" in bytes"] = part
		forms[name+" in hexadecimal"] = []byte(hex.EncodeToString(part))
		forms[name+" in base64"] = []byte(base64.RawURLEncoding.EncodeToString(part[len(part)%3:]))
	}
	return forms
}

var mailedToken = regexp.MustCompile(`[?&#]token=([A-Za-z0-9_.%-]+)`)

// mailed waits for n mails that hold a link, and returns the tokens in them.
func mailed(t *testing.T, s *harness.Stack, n int) (tokens []string) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		paths, _ := filepath.Glob(filepath.Join(s.Dir, "mail", "*.eml"))
		tokens = nil
		for _, path := range paths {
			f, err := os.Open(path)
			if err != nil {
				continue // it is being written
			}
			text, _ := io.ReadAll(quotedprintable.NewReader(f))
			_ = f.Close()
			if m := mailedToken.FindSubmatch(text); m != nil {
				token, _ := url.QueryUnescape(string(m[1]))
				tokens = append(tokens, token)
			}
		}
		if len(tokens) >= n {
			return tokens
		}
	}
	t.Fatalf("only %d mails with links came", len(tokens))
	return nil
}
