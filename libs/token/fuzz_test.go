package token_test

import (
	"encoding/json"
	"testing"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/token/tokentest"
)

// FuzzVerify feeds whole tokens: nothing may be accepted but the one that was signed.
func FuzzVerify(f *testing.F) {
	fx := newFixture(f)
	good := fx.good()
	f.Add(good)
	for _, raw := range hostileTokens(fx) {
		if len(raw) < 4<<10 {
			f.Add(raw)
		}
	}
	f.Fuzz(func(t *testing.T, raw string) {
		p, err := fx.Verify(t.Context(), raw)
		switch kind := fault.KindOf(err); {
		case err == nil && raw != good:
			t.Errorf("accepted %q", raw) // no other token was signed that has not expired
		case err == nil && (p.UserID == "" || p.TokenID == "" || (p.SessionID == "") == (p.APIKeyID == "")):
			t.Errorf("half a principal %+v", p)
		case err != nil && kind != fault.InvalidToken && kind != fault.TokenExpired && kind != fault.Unavailable:
			t.Errorf("%q: %v", raw, err)
		}
	})
}

// FuzzVerify_Signed feeds headers and claims under a good signature, as if the issuer had lost its mind. What is accepted
// must mean the same to an ordinary JSON reader.
func FuzzVerify_Signed(f *testing.F) {
	fx := newFixture(f)
	head := string(mustMarshal(header("EdDSA")))
	f.Add(head, string(mustMarshal(goodClaims())))
	f.Add(head, `{"sub":"a","sub":"b"}`)
	f.Add(`{"alg":"EdDSA","typ":"at+jwt","kid":"kid-EdDSA","crit":[]}`, `{}`)
	f.Fuzz(func(t *testing.T, head, body string) {
		p, err := fx.Verify(t.Context(), fx.sign("EdDSA", head, body))
		if err != nil {
			if kind := fault.KindOf(err); kind != fault.InvalidToken && kind != fault.TokenExpired && kind != fault.Unavailable {
				t.Errorf("%v", err)
			}
			return
		}
		var h, c map[string]any
		if json.Unmarshal([]byte(head), &h) != nil || json.Unmarshal([]byte(body), &c) != nil {
			t.Fatalf("accepted what is no JSON: %q %q", head, body)
		}
		if len(h) != 3 || h["alg"] != "EdDSA" || h["kid"] != "kid-EdDSA" {
			t.Errorf("accepted header %q", head)
		}
		if c["sub"] != p.UserID || c["iss"] != tokentest.Name || c["exp"].(float64) <= float64(time.Now().Unix()-1) {
			t.Errorf("accepted claims %q as %+v", body, p)
		}
	})
}
