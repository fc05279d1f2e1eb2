package harness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Client speaks to a gateway and holds every answer against the contract the gateway serves. A client with an AccessToken
// sends it.
type Client struct {
	Base     string
	Session  Session
	User     User
	t        testing.TB
	http     *http.Client
	contract *Contract
}

// Session is a session of the contract.
type Session struct {
	AccessToken      string `json:"access_token"`
	TokenType        string `json:"token_type"`
	ExpiresIn        int    `json:"expires_in"`
	RefreshToken     string `json:"refresh_token"`
	RefreshExpiresIn int    `json:"refresh_expires_in"`
	SessionID        string `json:"session_id"`
}

// User is a user of the contract.
type User struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Username string `json:"username"`
	Email    string `json:"email"`
}

// File is a file of the contract.
type File struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	ContentType string `json:"content_type"`
	Size        int64  `json:"size"`
	SHA256      string `json:"sha256"`
	Version     int    `json:"version"`
	ETag        string `json:"etag"`
}

// Problem is a problem document.
type Problem struct {
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Code     string `json:"code"`
	Detail   string `json:"detail"`
	Instance string `json:"instance"`
	Errors   []struct {
		Field string `json:"field"`
		Code  string `json:"code"`
	} `json:"errors"`
}

// NewClient makes a client without a session.
func NewClient(t testing.TB, base string) *Client {
	t.Helper()
	transport := transportTo(base)
	t.Cleanup(transport.CloseIdleConnections)
	return &Client{
		Base: base, t: t, contract: contractOf(t, base),
		http: &http.Client{
			Transport: transport, Timeout: time.Minute,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Fresh is another client of the same gateway, without a session.
func (c *Client) Fresh() *Client {
	fresh := *c
	fresh.Session, fresh.User = Session{}, User{}
	return &fresh
}

// Answer is an answer read whole.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	Err    error // the exchange itself failed; only Try sets it
	t      testing.TB
}

// Option changes a request before it is sent.
type Option func(*http.Request)

// Header sets a header; an empty value removes it.
func Header(name, value string) Option {
	return func(r *http.Request) {
		if value == "" {
			r.Header.Del(name)
			return
		}
		r.Header[http.CanonicalHeaderKey(name)] = []string{value}
	}
}

// Do sends a request and reads the answer whole. A body that is an io.Reader goes out as it is, nil is none, anything
// else is sent as JSON. The test fails when there is no answer or it breaks the contract.
func (c *Client) Do(method, path string, body any, opts ...Option) *Answer {
	c.t.Helper()
	a := c.Try(method, path, body, opts...)
	if a.Err != nil {
		c.t.Fatalf("%s %s: %v", method, path, a.Err)
	}
	return a
}

// Try is Do for tests that cut the line: a failed exchange is in Err. It may be called from any goroutine.
func (c *Client) Try(method, path string, body any, opts ...Option) *Answer {
	req, err := c.Request(method, path, body, opts...)
	if err != nil {
		return &Answer{Err: err, t: c.t}
	}
	res, err := c.http.Do(req)
	if err != nil {
		return &Answer{Err: err, t: c.t}
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return &Answer{Status: res.StatusCode, Err: err, t: c.t}
	}
	if err := c.contract.check(req, res, raw); err != nil {
		c.t.Errorf("%s %s: the answer breaks the contract: %v\n%s", method, path, err, tail(string(raw), 2000))
	}
	return &Answer{Status: res.StatusCode, Header: res.Header, Body: raw, t: c.t}
}

// Request makes a request without sending it.
func (c *Client) Request(method, path string, body any, opts ...Option) (*http.Request, error) {
	reader, contentType, err := encode(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequest(method, c.Base+path, reader)
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if c.Session.AccessToken != "" {
		req.Header.Set("Authorization", "Bearer "+c.Session.AccessToken)
	}
	for _, o := range opts {
		o(req)
	}
	return req, nil
}

// HTTP is the client underneath, for streams.
func (c *Client) HTTP() *http.Client { return c.http }

func encode(body any) (io.Reader, string, error) {
	switch b := body.(type) {
	case nil:
		return nil, "", nil
	case io.Reader:
		return b, "", nil
	default:
		raw, err := json.Marshal(b)
		return bytes.NewReader(raw), "application/json", err
	}
}

// Is fails the test unless the answer has this status.
func (a *Answer) Is(status int) *Answer {
	a.t.Helper()
	if a.Status != status {
		a.t.Fatalf("answered %d, want %d: %s", a.Status, status, tail(string(a.Body), 2000))
	}
	return a
}

// Refused fails the test unless the answer is a problem document of this status and code.
func (a *Answer) Refused(status int, code string) Problem {
	a.t.Helper()
	a.Is(status)
	if ct := a.Header.Get("Content-Type"); ct != "application/problem+json" {
		a.t.Fatalf("refused as %q: %s", ct, a.Body)
	}
	var p Problem
	a.JSON(&p)
	if p.Code != code || p.Status != status || p.Title == "" || p.Instance != a.Header.Get("X-Request-Id") {
		a.t.Fatalf("refused with %s, want %d %s", a.Body, status, code)
	}
	return p
}

// JSON decodes the body.
func (a *Answer) JSON(into any) {
	a.t.Helper()
	if err := json.Unmarshal(a.Body, into); err != nil {
		a.t.Fatalf("decode %q: %v", a.Body, err)
	}
}

// Password is a password that every policy takes.
const Password = "correct horse battery Staple 7!"

var people atomic.Int64

// NewUsername makes a username that is new to any stack of this run.
func NewUsername() string {
	return fmt.Sprintf("person-%d-%d", time.Now().UnixNano(), people.Add(1))
}

// SignUp makes a new person and returns a client that is logged in as them.
func (c *Client) SignUp() *Client {
	c.t.Helper()
	fresh := c.Fresh()
	fresh.become(fresh.Do("POST", "/v1/auth/signup", map[string]string{"username": NewUsername(), "password": Password}).Is(201))
	return fresh
}

// LogIn returns a client with a new session of this person.
func (c *Client) LogIn(identifier, password string) *Client {
	c.t.Helper()
	fresh := c.Fresh()
	fresh.become(fresh.Do("POST", "/v1/auth/login", map[string]string{"identifier": identifier, "password": password}).Is(200))
	return fresh
}

func (c *Client) become(a *Answer) {
	c.t.Helper()
	var body struct {
		User    User    `json:"user"`
		Session Session `json:"session"`
	}
	a.JSON(&body)
	c.User, c.Session = body.User, body.Session
}

// Refresh trades the refresh token for the next session, and keeps it.
func (c *Client) Refresh() *Answer {
	c.t.Helper()
	a := c.Do("POST", "/v1/auth/refresh", map[string]string{"refresh_token": c.Session.RefreshToken}, Header("Authorization", ""))
	if a.Status == http.StatusOK {
		var body struct {
			Session Session `json:"session"`
		}
		a.JSON(&body)
		c.Session = body.Session
	}
	return a
}

// Upload hands a file in as a raw body.
func (c *Client) Upload(name string, content []byte, opts ...Option) *Answer {
	c.t.Helper()
	return c.Do("POST", "/v1/files", bytes.NewReader(content), append([]Option{Raw(name)}, opts...)...)
}

// Raw names the file of a raw body.
func Raw(name string) Option {
	return func(r *http.Request) {
		r.Header.Set("Content-Type", "application/octet-stream")
		r.Header.Set("Content-Disposition", "attachment; filename*=UTF-8''"+strings.ReplaceAll(url.QueryEscape(name), "+", "%20"))
	}
}

// UploadForm hands a file in as a form.
func (c *Client) UploadForm(name string, content []byte) *Answer {
	c.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", name)
	if err == nil {
		_, err = part.Write(content)
	}
	if err == nil {
		err = form.Close()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return c.Do("POST", "/v1/files", &body, Header("Content-Type", form.FormDataContentType()))
}

// File decodes an answer that is a file.
func (a *Answer) File() File {
	a.t.Helper()
	var f File
	a.JSON(&f)
	return f
}
