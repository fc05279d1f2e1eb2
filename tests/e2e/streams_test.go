package e2e

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// patience is when something that hasn't come is given up. It decides over nothing else: what is waited for here either comes at once or,
// where somebody keeps a body back until it is whole, never.
const patience = 30 * time.Second

// An upload is seen while it is still being sent, whatever stands between: the service's word about it comes back before its second half
// goes out.
func TestStreams_UploadIsSeenBeforeItEnds(t *testing.T) {
	ada := harness.Shared(t).SignUp()
	content := randomBytes(4 << 20)
	body, send := io.Pipe()
	req, err := ada.Request("POST", "/v1/uploads", body, harness.Header("Upload-Complete", "?1"),
		harness.Header("Upload-Draft-Interop-Version", "8"), harness.Raw("a.bin"))
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan string, 8)
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			if code == 104 && len(heard) < cap(heard) {
				heard <- h.Get("Location")
			}
			return nil
		},
	}))
	req.ContentLength = int64(len(content))
	sent := make(chan error, 1)
	go func() { sent <- inTwoHalves(send, content, heard) }()
	res, err := ada.HTTP().Do(req)
	if err != nil {
		t.Fatal(errors.Join(err, <-sent))
	}
	_ = res.Body.Close()
	if err := <-sent; err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("answered %d; sent: %v", res.StatusCode, err)
	}
	isFile(t, ada, res.Header.Get("Location"), content)
}

// inTwoHalves sends a body whose second half waits for a word about the first.
func inTwoHalves(send *io.PipeWriter, content []byte, heard <-chan string) error {
	half := len(content) / 2
	if _, err := send.Write(content[:half]); err != nil {
		return err
	}
	select {
	case at := <-heard:
		if at == "" {
			return errors.New("the word says nothing of where the upload is")
		}
	case <-time.After(patience):
		_ = send.CloseWithError(io.ErrUnexpectedEOF)
		return errors.New("nothing was heard of an upload while it was being sent: somebody keeps it back")
	}
	if _, err := io.Copy(send, bytes.NewReader(content[half:])); err != nil {
		return err
	}
	return send.Close()
}

// A browser's session lives in cookies that are for https alone and for this host alone; a page of another site gets nowhere with
// them. That needs a gateway which knows the name and the scheme people use, through whatever stands in front.
func TestCookies_OfABrowser(t *testing.T) {
	anyone := harness.Shared(t)
	ada := anyone.SignUp()
	own := harness.Header("Origin", anyone.Base) // and no Sec-Fetch-Site: the host decides
	mode := harness.Header("X-Session-Mode", "cookie")
	login := map[string]string{"identifier": ada.User.Username, "password": harness.Password}
	held := anyone.Do("POST", "/v1/auth/login", login, own, mode).Is(200)
	cookies := func(r *http.Request) {
		for _, line := range held.Header["Set-Cookie"] {
			c, err := http.ParseSetCookie(line)
			if err != nil || !c.Secure || !c.HttpOnly || c.Domain != "" {
				t.Errorf("the cookie %q: %v", line, err)
			}
			r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
		}
	}
	anyone.Do("GET", "/v1/files", nil, cookies).Is(200)
	anyone.Upload("by cookie", []byte("bytes"), cookies, own).Is(201)
	anyone.Upload("by cookie", []byte("bytes"), cookies, harness.Header("Origin", "https://elsewhere.example")).Refused(403, "FORBIDDEN")
	held = anyone.Do("POST", "/v1/auth/refresh", nil, cookies, own, mode).Is(200)
	anyone.Do("GET", "/v1/files", nil, cookies).Is(200)
	anyone.Do("POST", "/v1/auth/logout", nil, cookies, own).Is(204)
	waitFor(t, patience, func() bool { return anyone.Do("GET", "/v1/files", nil, cookies).Status == http.StatusUnauthorized })
}
