package smtp_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/secret"

	"cloakroom.dev/auth-svc/internal/adapter/smtp"
	"cloakroom.dev/auth-svc/internal/identity"
)

// server is a mail server that takes mails and notes them.
type server struct {
	t        *testing.T
	listener net.Listener
	cert     tls.Certificate
	roots    *x509.CertPool
	startTLS bool
	rcpt     string // what it says to a recipient; default 250 ok
	mu       sync.Mutex
	lines    []string
}

func listen(t *testing.T, startTLS bool) *server {
	web := httptest.NewTLSServer(nil) // for its certificate
	defer web.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, listener: l, cert: web.TLS.Certificates[0], roots: x509.NewCertPool(), startTLS: startTLS, rcpt: "250 ok"}
	s.roots.AddCert(web.Certificate())
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.talk(c)
		}
	}()
	return s
}

func (s *server) note(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, line)
}

func (s *server) heard() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

func (s *server) talk(c net.Conn) {
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	in, secure, data := bufio.NewReader(c), false, false
	say := func(text string) { _, _ = c.Write([]byte(text + "\r\n")) }
	say("220 test")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		s.note(line)
		verb := strings.ToUpper(strings.SplitN(line, " ", 2)[0])
		switch {
		case data:
			if line == "." {
				data = false
				say("250 queued")
			}
		case verb == "EHLO":
			say("250-test")
			if s.startTLS && !secure {
				say("250-STARTTLS")
			}
			if secure {
				say("250-AUTH PLAIN")
			}
			say("250 8BITMIME")
		case verb == "STARTTLS":
			say("220 go")
			up := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{s.cert}})
			c, in, secure = up, bufio.NewReader(up), true
		case verb == "AUTH":
			say("235 ok")
		case verb == "RCPT":
			say(s.rcpt)
		case verb == "DATA":
			data = true
			say("354 go")
		case verb == "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (s *server) mailer(opts smtp.Options) *smtp.Mailer {
	s.t.Helper()
	opts.Host, opts.Port, opts.From = "127.0.0.1", s.listener.Addr().(*net.TCPAddr).Port, "Cloakroom <no-reply@example.org>"
	opts.TLS = &tls.Config{RootCAs: s.roots, ServerName: "example.com", MinVersion: tls.VersionTLS12}
	m, err := smtp.New(opts)
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

var letter = identity.Mail{ID: "abc", To: "ada@example.org", Subject: "Hello", Text: "crm_link", HTML: "<p>html</p>", At: time.Now()}

func TestSend_DeliversOverStartTLSWithALogin(t *testing.T) {
	s := listen(t, true)
	m := s.mailer(smtp.Options{Username: "cloakroom", Password: secret.NewString("pass")})
	if err := m.Send(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
	heard := s.heard()
	for _, want := range []string{"STARTTLS", "AUTH PLAIN", "RCPT TO:<ada@example.org>", "Subject: Hello", "Message-ID: <abc@example.org>", "crm_link", "<p>html</p>"} {
		if !strings.Contains(heard, want) {
			t.Errorf("the server has not heard %q:\n%s", want, heard)
		}
	}
}

func TestSend_AServerWithoutTLSGetsNoMail(t *testing.T) {
	s := listen(t, false)
	err := s.mailer(smtp.Options{}).Send(t.Context(), letter)
	if err == nil || errors.Is(err, fault.Of(fault.Invalid)) {
		t.Errorf("got %v", err)
	}
	if heard := s.heard(); strings.Contains(heard, "ada@") || strings.Contains(heard, "crm_") {
		t.Errorf("the server has heard:\n%s", heard)
	}
}

func TestSend_AServerWithAnotherNameGetsNoMail(t *testing.T) {
	s := listen(t, true)
	m, err := smtp.New(smtp.Options{Host: "127.0.0.1", Port: s.listener.Addr().(*net.TCPAddr).Port, From: "a@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Send(t.Context(), letter); err == nil || strings.Contains(s.heard(), "ada@") {
		t.Errorf("a server with an unknown certificate was trusted: %v", err)
	}
}

func TestSend_TellsWhatIsWorthAnotherAttempt(t *testing.T) {
	for answer, lasting := range map[string]bool{"550 no such mailbox": true, "451 come back": false} {
		s := listen(t, true)
		s.rcpt = answer
		if err := s.mailer(smtp.Options{}).Send(t.Context(), letter); err == nil || errors.Is(err, fault.Of(fault.Invalid)) != lasting {
			t.Errorf("%s: %v", answer, err)
		}
	}
}

func TestNew_NeverSendsAPasswordWithoutTLS(t *testing.T) {
	if _, err := smtp.New(smtp.Options{Host: "a", Port: 25, From: "a@b.c", Security: smtp.Plain, Username: "a", Password: secret.NewString("p")}); err == nil {
		t.Error("accepted")
	}
}
