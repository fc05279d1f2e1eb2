package hostile

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// guarded is a person with a second factor, signed in, and what only they have.
type guarded struct {
	*harness.Client
	secret string
	first  string // the code that confirmed the factor
	codes  []string
}

func enrolled(t *testing.T) *guarded {
	t.Helper()
	ada := &guarded{Client: gateway(t).SignUp()}
	ada.enroll(t)
	return ada
}

// enroll gives the person a factor.
func (g *guarded) enroll(t *testing.T) {
	t.Helper()
	var e struct {
		Factor struct {
			ID string `json:"id"`
		} `json:"factor"`
		Secret string `json:"secret"`
	}
	g.Do("POST", "/v1/auth/factors", fields{"type": "totp", "name": "phone"}).Is(201).JSON(&e)
	g.secret = e.Secret
	g.first = g.code(t, 0)
	var made struct {
		Codes []string `json:"recovery_codes"`
	}
	g.Do("POST", "/v1/auth/factors/"+e.Factor.ID+"/confirm", fields{"code": g.first}).Is(200).JSON(&made)
	g.codes = made.Codes
}

// code is what an app shows, written from the standard and not with the service's own library.
func (g *guarded) code(t *testing.T, skew int64) string {
	t.Helper()
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(g.secret)
	if err != nil {
		t.Fatal(err)
	}
	h := hmac.New(sha1.New, key)
	_ = binary.Write(h, binary.BigEndian, time.Now().Unix()/30+skew)
	sum := h.Sum(nil)
	at := sum[len(sum)-1] & 0xf
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[at:])&0x7fffffff%1_000_000)
}

// challenge shows the password to a gateway that knows nothing else of the client.
func (g *guarded) challenge(t *testing.T) string {
	t.Helper()
	var body struct {
		Challenge struct {
			Token string `json:"token"`
		} `json:"challenge"`
		User    any `json:"user"`
		Session any `json:"session"`
	}
	g.Fresh().Do("POST", "/v1/auth/login", fields{"identifier": g.User.Username, "password": harness.Password}).Is(202).JSON(&body)
	if body.User != nil || body.Session != nil {
		t.Fatal("half a login tells who it is, or opens a session")
	}
	return body.Challenge.Token
}

func (g *guarded) finish(challenge, code string) *harness.Answer {
	return g.Fresh().Do("POST", "/v1/auth/login/factor", fields{"challenge_token": challenge, "code": code})
}

func (g *guarded) stepUp(body fields) *harness.Answer { return g.Do("POST", "/v1/auth/step-up", body) }

func TestFactor_PasswordAloneOpensNothing(t *testing.T) {
	ada := enrolled(t)
	token := ada.challenge(t)
	thief := ada.Fresh()
	thief.Session.AccessToken = token
	thief.Do("GET", "/v1/users/me", nil).Refused(401, "INVALID_TOKEN")
	thief.Session = harness.Session{RefreshToken: token}
	thief.Refresh().Refused(401, "INVALID_REFRESH_TOKEN")
	for _, code := range []string{"000", "12345678901234567890", "', 1=1 --", strings.Repeat("9", 5000)} {
		ada.finish(ada.challenge(t), code).Refused(401, "INVALID_CREDENTIALS")
	}
}

func TestFactor_WrongPasswordLooksAsWithoutFactor(t *testing.T) {
	ada := enrolled(t)
	ada.Fresh().Do("POST", "/v1/auth/login", fields{"identifier": ada.User.Username, "password": "wrong password"}).Refused(401, "INVALID_CREDENTIALS")
}

func TestFactor_ForgedAndSwappedChallenges(t *testing.T) {
	ada, bob := enrolled(t), enrolled(t)
	real := ada.challenge(t)
	for _, token := range []string{
		"crf_", "crf_AAAA", real[:len(real)-2], real + "A", "crr_" + real[4:], strings.ToUpper(real), ada.Session.RefreshToken, ada.Session.AccessToken,
	} {
		ada.finish(token, ada.codes[0]).Refused(401, "INVALID_CREDENTIALS")
	}
	ada.finish(bob.challenge(t), ada.codes[0]).Refused(401, "INVALID_CREDENTIALS") // one's own code with another's password
	ada.finish(real, ada.codes[0]).Is(200)
}

func TestFactor_ReplayedCodeAndChallenge(t *testing.T) {
	ada := enrolled(t)
	ada.finish(ada.challenge(t), ada.first).Refused(401, "INVALID_CREDENTIALS")
	token, code := ada.challenge(t), ada.code(t, 1)
	ada.finish(token, code).Is(200)
	ada.finish(token, ada.codes[0]).Refused(401, "INVALID_CREDENTIALS")
	ada.finish(ada.challenge(t), code).Refused(401, "INVALID_CREDENTIALS")
	ada.finish(ada.challenge(t), ada.codes[0]).Is(200)
	ada.finish(ada.challenge(t), ada.codes[0]).Refused(401, "INVALID_CREDENTIALS")
}

func TestFactor_RecoveryCodeTwiceAtOnce(t *testing.T) {
	ada := enrolled(t)
	tokens := []string{ada.challenge(t), ada.challenge(t), ada.challenge(t), ada.challenge(t)}
	if in := atOnce(len(tokens), func(i int) int { return ada.try(tokens[i], ada.codes[4]) })[200]; in != 1 {
		t.Errorf("one recovery code let %d in", in)
	}
}

func TestFactor_ParallelGuessesOverManyChallenges(t *testing.T) {
	ada := enrolled(t)
	var tokens []string
	for range 4 {
		tokens = append(tokens, ada.challenge(t))
	}
	got := atOnce(24, func(i int) int { return ada.try(tokens[i%len(tokens)], "guess") })
	if got[200] > 0 || got[429] == 0 {
		t.Errorf("answers by status: %v", got)
	}
	ada.finish(ada.challenge(t), ada.codes[0]).Refused(429, "RATE_LIMIT_EXCEEDED") // the right one, too late
	ada.Refresh().Is(200)                                                          // who was in stays in
	ada.stepUp(fields{"code": ada.codes[0]}).Is(200)                               // and can act
}

// try is finish for goroutines.
func (g *guarded) try(challenge, code string) int {
	return g.Fresh().Try("POST", "/v1/auth/login/factor", fields{"challenge_token": challenge, "code": code}).Status
}

func atOnce(n int, do func(i int) int) map[int]int {
	var mu sync.Mutex
	var group sync.WaitGroup
	got := map[int]int{}
	for i := range n {
		group.Go(func() {
			status := do(i)
			mu.Lock()
			defer mu.Unlock()
			got[status]++
		})
	}
	group.Wait()
	return got
}

// A session that was opened before the factor, or with the password alone, must not get past it.
func TestStepUp_DangerousCallsNeedTheFactor(t *testing.T) {
	c := gateway(t)
	ada := c.SignUp()
	other := c.LogIn(ada.User.Username, harness.Password)
	var e struct {
		Factor struct {
			ID string `json:"id"`
		} `json:"factor"`
		Secret string `json:"secret"`
	}
	ada.Do("POST", "/v1/auth/factors", fields{"type": "totp", "name": "phone"}).Is(201).JSON(&e)
	g := &guarded{Client: ada, secret: e.Secret}
	ada.Do("POST", "/v1/auth/factors/"+e.Factor.ID+"/confirm", fields{"code": g.code(t, 0)}).Is(200)

	for _, call := range []struct {
		method, path string
		body         any
	}{
		{"DELETE", "/v1/auth/factors/" + e.Factor.ID, nil},
		{"POST", "/v1/auth/factors/recovery-codes", nil},
		{"POST", "/v1/auth/factors", fields{"type": "totp", "name": "mine"}},
		{"POST", "/v1/api-keys", fields{"name": "k", "permissions": []fields{right("files", "read", "self")}}},
		{"POST", "/v1/auth/password/change", fields{"current_password": harness.Password, "new_password": "another long password 1!"}},
		{"PATCH", "/v1/users/me", fields{"username": harness.NewUsername(), "current_password": harness.Password}},
		{"DELETE", "/v1/users/me", fields{"current_password": harness.Password}},
	} {
		if p := other.Do(call.method, call.path, call.body).Refused(403, "FORBIDDEN"); !strings.Contains(p.Detail, "step-up") {
			t.Errorf("%s %s does not say what to do: %q", call.method, call.path, p.Detail)
		}
	}
	other.Do("POST", "/v1/auth/step-up", fields{"password": harness.Password}).Refused(400, "VALIDATION_ERROR")
	other.Do("GET", "/v1/users/me", nil).Is(200)
	ada.Do("DELETE", "/v1/auth/factors/"+e.Factor.ID, nil).Is(204)
}

// MFA step-up, then a replay of the refresh token of before it.
func TestStepUp_ReplayOfTheRefreshTokenOfBefore(t *testing.T) {
	ada := enrolled(t)
	before := *ada.Client
	var after struct {
		Session harness.Session `json:"session"`
	}
	ada.stepUp(fields{"code": ada.codes[0]}).Is(200).JSON(&after)
	ada.Session = after.Session
	ada.Do("GET", "/v1/users/me", nil).Is(200)
	before.Refresh().Refused(401, "INVALID_REFRESH_TOKEN")
	ada.Refresh().Refused(401, "INVALID_REFRESH_TOKEN")
	deadline := time.Now().Add(soon)
	for ada.Do("GET", "/v1/users/me", nil).Status != 401 {
		if time.Now().After(deadline) {
			t.Fatal("the stolen session's access token still works")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestFactor_OthersFactorsAreOutOfReach(t *testing.T) {
	ada, bob := enrolled(t), gateway(t).SignUp()
	var list struct {
		Items []struct {
			ID string `json:"id"`
		} `json:"items"`
	}
	ada.Do("GET", "/v1/auth/factors", nil).Is(200).JSON(&list)
	id := list.Items[0].ID
	bob.Do("DELETE", "/v1/auth/factors/"+id, nil).Refused(404, "NOT_FOUND")
	bob.Do("POST", "/v1/auth/factors/"+id+"/confirm", fields{"code": ada.code(t, 0)}).Refused(404, "NOT_FOUND")
	for _, path := range []string{"/v1/auth/factors", "/v1/auth/factors/recovery-codes", "/v1/auth/step-up"} {
		bob.Fresh().Do("POST", path, nil).Refused(401, "AUTH_ERROR")
	}
}
