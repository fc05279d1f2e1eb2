package token_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloakroom.dev/libs/token"
	"cloakroom.dev/libs/token/tokentest"
)

func TestFollower_ObeysAReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iss := tokentest.NewOffline()
		iss.Revoke(token.KindSession, "kept")
		iss.Revoke(token.KindSession, "undone")
		f := follow(t, iss, token.FollowerOptions{})
		iss.Restore(1)
		time.Sleep(time.Second)
		if f.view.Check(of("kept")) == nil || f.view.Check(of("undone")) != nil || f.view.Head() != 1 || f.view.Fresh() != nil {
			t.Errorf("head %d, %v", f.view.Head(), f.view.Fresh())
		}
		iss.Revoke(token.KindSession, "next") // position 2 again, another entry
		synctest.Wait()
		if f.view.Check(of("next")) == nil || iss.Acked(name) != 2 {
			t.Error("did not go on after the reset")
		}
	})
}

// TestFollower_DistrustsPositionsAfterAGap: a log that was replaced while nobody looked may have grown past our position
// since, so that no reset is sent.
func TestFollower_DistrustsPositionsAfterAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iss := tokentest.NewOffline()
		for i := range 5 {
			iss.Revoke(token.KindSession, fmt.Sprint("before-", i))
		}
		f := follow(t, iss, token.FollowerOptions{})
		iss.Down()
		iss.Restore(2)
		for i := range 10 {
			iss.Revoke(token.KindSession, fmt.Sprint("after-", i))
		}
		time.Sleep(10 * time.Second)
		iss.Recover()
		time.Sleep(3 * time.Second)
		for i := range 10 {
			if f.view.Check(of(fmt.Sprint("after-", i))) == nil {
				t.Errorf("after-%d was missed", i)
			}
		}
		if f.view.Check(of("before-4")) != nil {
			t.Error("an entry of the old log is still held")
		}
	})
}

// TestFollower_GarbageNeverWidensAcceptance: a line that breaks the rules ends the stream, and what was revoked stays so.
func TestFollower_GarbageNeverWidensAcceptance(t *testing.T) {
	at := `"at":"2026-01-01T00:00:00Z","until":"2999-01-01T00:00:00Z"`
	for name, garbage := range map[string]string{
		"no JSON":              "hello\n",
		"an empty line":        "\n",
		"an empty object":      "{}\n",
		"null":                 "null\n",
		"an array":             "[]\n",
		"two things":           `{"heartbeat":{"seq":9,"elapsed_ms":0},"entry":{"seq":9,"kind":"session","id":"x",` + at + "}}\n",
		"unknown kind":         `{"entry":{"seq":9,"kind":"planet","id":"x",` + at + "}}\n",
		"no id":                `{"entry":{"seq":9,"kind":"session","id":"",` + at + "}}\n",
		"a long id":            `{"entry":{"seq":9,"kind":"session","id":"` + strings.Repeat("x", 200) + `",` + at + "}}\n",
		"no until":             `{"entry":{"seq":9,"kind":"session","id":"x","at":"2026-01-01T00:00:00Z"}}` + "\n",
		"a broken time":        `{"entry":{"seq":9,"kind":"session","id":"x","at":"yesterday","until":"tomorrow"}}` + "\n",
		"an old position":      `{"entry":{"seq":1,"kind":"session","id":"x",` + at + "}}\n",
		"a negative position":  `{"entry":{"seq":-1,"kind":"session","id":"x",` + at + "}}\n",
		"a heartbeat before":   `{"heartbeat":{"seq":0,"elapsed_ms":0}}` + "\n",
		"half a heartbeat":     `{"heartbeat":{"seq":9}}` + "\n",
		"from the future":      `{"heartbeat":{"seq":9,"elapsed_ms":3600000}}` + "\n",
		"from before":          `{"heartbeat":{"seq":9,"elapsed_ms":-5}}` + "\n",
		"an overflow":          `{"heartbeat":{"seq":9,"elapsed_ms":9223372036854775807}}` + "\n",
		"a fraction":           `{"heartbeat":{"seq":9.5,"elapsed_ms":0}}` + "\n",
		"an endless line":      strings.Repeat("x", 1<<20),
		"an endless JSON line": `{"entry":{"id":"` + strings.Repeat("x", 1<<20),
		"a null byte":          "\x00\n",
		"not UTF-8 at all":     "\xff\xfe\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				iss := tokentest.NewOffline()
				iss.Revoke(token.KindSession, "dead")
				f := follow(t, iss, token.FollowerOptions{})
				iss.Say(garbage)
				synctest.Wait()
				if f.view.Check(of("dead")) == nil || f.view.Head() != 1 {
					t.Errorf("garbage was taken: head %d", f.view.Head())
				}
				if f.ended(t, "garbage") != 1 {
					t.Error("the stream went on")
				}
				time.Sleep(time.Second)
				if err := f.view.Fresh(); err != nil || iss.Streams("gateway-1") != 1 {
					t.Errorf("did not recover: %v", err)
				}
			})
		})
	}
}

// TestFollower_LastingGarbageMakesTheViewRefuse: an entry that is never understood is not passed over.
func TestFollower_LastingGarbageMakesTheViewRefuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iss := tokentest.NewOffline()
		f := follow(t, iss, token.FollowerOptions{})
		iss.Revoke("planet", "earth")
		time.Sleep(6 * time.Second)
		if f.view.Fresh() == nil {
			t.Error("fresh, though an entry was not understood")
		}
	})
}

func TestFollower_RefusesStrangeAnswers(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/", http.StatusFound)
		},
		"not found":  http.NotFound,
		"no content": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"an end":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) },
		"half a line": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"heartbeat":{"seq":0,"elapsed_ms":0}}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := follow(t, answer, token.FollowerOptions{})
				time.Sleep(time.Minute)
				if f.Ready(t.Context()) == nil || f.view.Fresh() == nil {
					t.Error("ready by such an answer")
				}
				if n := len(f.asked()); n > 200 {
					t.Errorf("%d tries in a minute", n)
				}
			})
		})
	}
}
