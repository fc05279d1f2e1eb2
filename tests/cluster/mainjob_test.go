package cluster

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// mainJob is the story of the product, through the front: sign up, log in, upload, download, share, refresh, log out, be refused.
func (s *site) mainJob(t *testing.T) {
	anyone := harness.NewClient(t, s.base)
	username := harness.NewUsername()
	anyone.Do("POST", "/v1/auth/signup", map[string]string{"username": username, "password": harness.Password}).Is(201)
	ada := anyone.LogIn(username, harness.Password)
	content := make([]byte, 9<<20) // more than one part of the bucket's
	_, _ = rand.Read(content)
	file := ada.Upload("Grüße 🎟.bin", content).Is(201).File()
	if got := ada.Do("GET", "/v1/files/"+file.ID+"/content", nil).Is(200); !bytes.Equal(got.Body, content) {
		t.Error("the file came back with other bytes")
	}
	var link struct{ URL string }
	ada.Do("POST", "/v1/files/"+file.ID+"/links", map[string]any{"expires_in": 600}).Is(201).JSON(&link)
	_, path, found := strings.Cut(link.URL, "/l/")
	if !found {
		t.Fatalf("the link is %q", link.URL)
	}
	if got := anyone.Do("GET", "/l/"+path, nil).Is(200); !bytes.Equal(got.Body, content) {
		t.Error("the link brings other bytes")
	}
	anyone.SignUp().Do("GET", "/v1/files/"+file.ID, nil).Refused(404, "NOT_FOUND")

	ada.Refresh().Is(200)
	before := *ada
	ada.Do("POST", "/v1/auth/logout", nil).Is(204)
	refused := time.Now()
	s.wait(5*time.Second, "who is logged out is refused", func() error { // maxStaleness bounds it, whatever the load
		if a := before.Try("GET", "/v1/files", nil); a.Status != 401 {
			return errStill
		}
		return nil
	})
	t.Logf("refused %v after the log-out", time.Since(refused).Round(time.Millisecond))
	ada.Refresh().Refused(401, "INVALID_REFRESH_TOKEN")
}

const errStill = notYet("somebody who is logged out is let in")

type notYet string

func (e notYet) Error() string { return string(e) }
