package token_test

import (
	"bytes"
	"compress/flate"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/token"
	"cloakroom.dev/libs/token/tokentest"
)

// TestVerify_RefusesHostileTokens: each of these gets the one generic refusal, and costs no look-up beyond the keys held
// in memory.
func TestVerify_RefusesHostileTokens(t *testing.T) {
	f := newFixture(t)
	for name, raw := range hostileTokens(f) {
		_, err := f.Verify(t.Context(), raw)
		if fault.KindOf(err) != fault.InvalidToken {
			t.Errorf("%s: %v, want an invalid token", name, err)
			continue
		}
		var fe *fault.Error
		if !errors.As(err, &fe) || fe.Detail != "the access token is not valid" || fe.Fields != nil || fe.RetryAfter != 0 {
			t.Errorf("%s: the refusal says more than the others: %+v", name, fe)
		}
	}
	if got := f.kindOf(f.good()); got != -1 {
		t.Errorf("a good token: %v", got)
	}
}

func hostileTokens(f *fixture) map[string]string {
	m := map[string]string{}
	for _, add := range []func(*fixture, map[string]string){hostileAlgorithms, hostileHeaders, hostileShapes, hostileClaims, hostileTimes} {
		add(f, m)
	}
	return m
}

func hostileAlgorithms(f *fixture, m map[string]string) {
	unsigned := func(alg any) string {
		return encode(with(header("EdDSA"), "alg", alg)) + "." + encode(goodClaims()) + "."
	}
	for _, alg := range []any{"none", "NonE", "NONE", "", nil, 5, []string{"EdDSA"}, "eddsa"} {
		m[fmt.Sprintf("alg %v unsigned", alg)] = unsigned(alg)
		m[fmt.Sprintf("alg %v signed", alg)] = f.sign("EdDSA", with(header("EdDSA"), "alg", alg), goodClaims())
	}
	for _, kid := range []string{"kid-RS256", "kid-ES256", "kid-EdDSA"} {
		der, err := x509.MarshalPKIXPublicKey(f.private[kid].Public())
		if err != nil {
			f.t.Fatal(err)
		}
		public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		input := encode(object{"alg": "HS256", "typ": "at+jwt", "kid": kid}) + "." + encode(goodClaims())
		mac := hmac.New(sha256.New, public)
		mac.Write([]byte(input))
		m["HS256 with the public key of "+kid] = input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	for _, alg := range []string{"EdDSA", "ES256", "ES512", "RS256", "RS512"} {
		for _, other := range []string{"EdDSA", "ES256", "ES512", "RS256", "RS512"} {
			if alg == other {
				continue
			}
			m["signed by "+alg+", says "+alg+", kid of "+other] = f.sign(alg, with(header(alg), "kid", "kid-"+other), goodClaims())
			m["signed by "+alg+", says "+other+", kid of "+alg] = f.sign(alg, with(header(alg), "alg", other), goodClaims())
		}
	}
	for _, alg := range []string{"RS384", "PS256", "PS512", "ES384", "HS512", "Ed25519"} {
		m["algorithm "+alg] = f.sign("EdDSA", with(header("EdDSA"), "alg", alg), goodClaims())
	}
}

func hostileHeaders(f *fixture, m map[string]string) {
	kids := []any{
		nil, "", "../../dev/null", "' OR 1=1 --", strings.Repeat("k", 129), "kid\x00", "kid EdDSA", "kid-EdDSA ", "Kid-EdDSA", 1,
		[]string{"kid-EdDSA"}, object{"a": 1}, "kid-EdDSА" /* ends in a Cyrillic letter */, "unknown",
	}
	for _, kid := range kids {
		m[fmt.Sprintf("kid %.20q", fmt.Sprint(kid))] = f.sign("EdDSA", with(header("EdDSA"), "kid", kid), goodClaims())
	}
	m["kid of 64 KiB"] = f.sign("EdDSA", with(header("EdDSA"), "kid", strings.Repeat("k", 64<<10)), goodClaims())
	own := jwkOf(f.private["kid-ES256"].Public().(*ecdsa.PublicKey))
	extras := object{
		"jku": "https://attacker.test/keys", "x5u": "https://attacker.test/cert", "x5c": []string{"MIIB"}, "jwk": own, "b64": false,
		"crit": []string{"exp"}, "zip": "DEF", "enc": "A256GCM", "cty": "JWT", "x5t": "abc", "p2c": 1 << 30, "nonce": "n", "Alg": "none",
	}
	for name, value := range extras {
		m["header "+name] = f.sign("ES256", with(header("ES256"), name, value), goodClaims())
	}
	m["b64 false with crit"] = f.sign("EdDSA", with(with(header("EdDSA"), "b64", false), "crit", []string{"b64"}), goodClaims())
	for _, typ := range []any{nil, "JWT", "at+JWT", "jwt", "AT+JWT", "rt+jwt", "application/jwt", "dpop+jwt", "", "logout+jwt", 1, []string{"at+jwt"}} {
		m[fmt.Sprintf("typ %v", typ)] = f.sign("EdDSA", with(header("EdDSA"), "typ", typ), goodClaims())
	}
	claims := goodClaims()
	for name, text := range map[string]string{
		"alg twice":         `{"alg":"none","alg":"EdDSA","typ":"at+jwt","kid":"kid-EdDSA"}`,
		"kid twice":         `{"alg":"EdDSA","typ":"at+jwt","kid":"kid-EdDSA","kid":"kid-EdDSA"}`,
		"kid twice escaped": `{"alg":"EdDSA","typ":"at+jwt","kid":"kid-EdDSA","\u006bid":"kid-EdDSA"}`,
		"data after it":     `{"alg":"EdDSA","typ":"at+jwt","kid":"kid-EdDSA"}{}`,
		"an array":          `[{"alg":"EdDSA","typ":"at+jwt","kid":"kid-EdDSA"}]`,
		"null":              `null`,
		"a comment":         `{"alg":"EdDSA",/**/"typ":"at+jwt","kid":"kid-EdDSA"}`,
		"a byte order mark": "\ufeff" + `{"alg":"EdDSA","typ":"at+jwt","kid":"kid-EdDSA"}`,
		"not UTF-8":         `{"alg":"EdDSA","typ":"at+jwt","kid":"kid-EdDSA` + "\xff" + `"}`,
		"empty":             ``,
	} {
		m["header with "+name] = f.sign("EdDSA", text, claims)
	}
}

func jwkOf(k *ecdsa.PublicKey) object {
	point, err := k.Bytes()
	if err != nil {
		panic(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	return object{"kty": "EC", "crv": "P-256", "kid": "kid-ES256", "x": b64(point[1:33]), "y": b64(point[33:])}
}

func hostileShapes(f *fixture, m map[string]string) {
	good := f.good()
	parts := strings.Split(good, ".")
	head, body, sig := parts[0], parts[1], parts[2]
	for name, raw := range map[string]string{
		"empty": "", "one dot": ".", "two dots": "..", "8000 dots": strings.Repeat(".", 8000), "9 MiB of dots": strings.Repeat(".", 9<<20),
		"no signature": head + "." + body + ".", "no signature and dot": head + "." + body, "fourth segment": good + ".x", "empty fourth segment": good + ".",
		"padding": head + "." + body + "." + sig + "==", "space before": " " + good, "space after": good + " ", "line break after": good + "\n",
		"line break within": good[:len(good)-5] + "\r\n" + good[len(good)-5:], "standard alphabet": head + "." + body + "." + strings.Repeat("+/", 43),
		"other signature": head + "." + body + "." + strings.Repeat("A", 86), "signature cut": good[:len(good)-4], "signature longer": good + "AAAA",
		"JSON serialization": `{"payload":"` + body + `","protected":"` + head + `","signature":"` + sig + `"}`,
		"JWE":                strings.Repeat("a", 20) + ".b.c.d.e", "nested": f.sign("EdDSA", header("EdDSA"), `"`+good+`"`),
		"spare bits set": head + "." + body + "." + setSpareBits(sig), "over the limit": f.good("pad", strings.Repeat("x", 8<<10)),
		"not base64": "!.!.!", "control characters": "\x00.\x00.\x00", "claims of another": head + "." + encode(with(goodClaims(), "sub", "other")) + "." + sig,
	} {
		m["shape: "+name] = raw
	}
	m["shape: deflated claims"] = f.sign("EdDSA", with(header("EdDSA"), "zip", "DEF"), deflated(100<<10))
	for name, s := range ecdsaEdges(f) {
		m["signature: "+name] = s
	}
}

func setSpareBits(segment string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, segment[len(segment)-1])
	return segment[:len(segment)-1] + string(alphabet[last|1]) // 86 characters hold 516 bits, 4 of them spare
}

func deflated(n int) string {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestCompression)
	_, _ = w.Write(bytes.Repeat([]byte(" "), n))
	_ = w.Close()
	return b.String()
}

func ecdsaEdges(f *fixture) map[string]string {
	input := encode(header("ES256")) + "." + encode(goodClaims())
	n := elliptic.P256().Params().N
	pair := func(r, s *big.Int) string {
		return input + "." + base64.RawURLEncoding.EncodeToString(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
	}
	zero, one := big.NewInt(0), big.NewInt(1)
	hash := sha256.Sum256([]byte(input))
	der, err := ecdsa.SignASN1(rand.Reader, f.private["kid-ES256"].(*ecdsa.PrivateKey), hash[:])
	if err != nil {
		f.t.Fatal(err)
	}
	return map[string]string{
		"r and s are zero": pair(zero, zero), "r is zero": pair(zero, one), "s is the order": pair(one, n), "r is the order": pair(n, one),
		"as ASN.1": input + "." + base64.RawURLEncoding.EncodeToString(der),
	}
}

func hostileClaims(f *fixture, m map[string]string) {
	for _, name := range []string{"iss", "aud", "sub", "sid", "jti", "iat", "exp"} {
		m["without "+name] = f.good(name, nil)
		for _, value := range []any{"", 7, []int{1}, object{"a": "b"}, json.RawMessage("null"), json.RawMessage("true")} {
			if (name == "iat" || name == "exp") && value == 7 {
				continue
			}
			m[fmt.Sprintf("%s is %v", name, value)] = f.good(name, value)
		}
	}
	for name, value := range map[string]any{
		"iss": tokentest.Name + "/", "sub": strings.Repeat("x", 129), "jti": "two words", "sid": "línea", "aud": "other",
	} {
		m["wrong "+name] = f.good(name, value)
	}
	m["iss in capitals"] = f.good("iss", strings.ToUpper(tokentest.Name))
	m["aud ours among others"] = f.good("aud", []string{tokentest.Audience, "other"})
	m["aud an empty list"] = f.good("aud", []string{})
	m["aud a list in a list"] = f.good("aud", []any{[]string{tokentest.Audience}})
	m["both sid and api_key_id"] = f.good("api_key_id", "k-1")
	m["both, one of them empty"] = f.good("api_key_id", "")
	m["sub with a replaced surrogate"] = f.good("sub", json.RawMessage(`"a\ud800"`))
	m["epoch negative"] = f.good("epoch", -1)
	m["epoch a fraction"] = f.good("epoch", 1.5)
	m["epoch too large"] = f.good("epoch", json.RawMessage("9007199254740992"))
	m["roles a string"] = f.good("roles", "admin")
	m["roles of numbers"] = f.good("roles", []int{1})
	m["permissions an object"] = f.good("permissions", object{"files": "read"})
	text := string(mustMarshal(goodClaims()))
	for name, raw := range map[string]string{
		"sub twice":           `{"sub":"admin",` + text[1:],
		"sub twice, escaped":  `{"\u0073ub":"admin",` + text[1:],
		"nested names twice":  `{"x":{"a":1,"a":2},` + text[1:],
		"far too deep":        `{"x":` + strings.Repeat("[", 3000) + strings.Repeat("]", 3000) + `,` + text[1:],
		"unbalanced":          strings.Repeat("[", 5000),
		"Sub for sub":         strings.Replace(text, `"sub"`, `"Sub"`, 1),
		"data after":          text + " x",
		"not an object":       `["` + tokentest.Name + `"]`,
		"invalid UTF-8 in it": strings.Replace(text, `"jti-1"`, "\"jti\xff\"", 1),
		"empty":               "",
	} {
		m["claims: "+name] = f.sign("EdDSA", header("EdDSA"), raw)
	}
}

func mustMarshal(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

func hostileTimes(f *fixture, m map[string]string) {
	now := time.Now().Unix()
	for _, name := range []string{"exp", "iat", "nbf"} {
		for _, value := range []string{
			`"` + fmt.Sprint(now+100) + `"`, fmt.Sprint(now+100) + ".5", fmt.Sprint(now+100) + ".0", "1e400", "1e10", "-1", "-0", "253402300800",
			"99999999999999999999999", "true", "[]",
		} {
			m[name+" is "+value] = f.good(name, json.RawMessage(value))
		}
	}
	m["iat after exp"] = f.good("iat", now, "exp", now)
	m["issued in an hour"] = f.good("iat", now+3600, "exp", now+7200)
	m["valid in an hour"] = f.good("nbf", now+3600)
	m["expired, by another key"] = f.sign("ES256", with(header("ES256"), "kid", "kid-EdDSA"), with(goodClaims(), "exp", now-10))
	m["expired, for others"] = f.good("exp", now-10, "aud", "other")
}

func TestVerify_TimeEdges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		now := time.Now().Unix()
		for _, c := range []struct {
			name string
			raw  string
			want fault.Kind
		}{
			{"expires in a second", f.good("exp", now+1), -1},
			{"expires now", f.good("iat", now-300, "exp", now), fault.TokenExpired},
			{"expired long ago", f.good("iat", now-900, "exp", now-600), fault.TokenExpired},
			{"iat 30 s ahead", f.good("iat", now+30), -1},
			{"iat 31 s ahead", f.good("iat", now+31), fault.InvalidToken},
			{"nbf 30 s ahead", f.good("nbf", now+30), -1},
			{"nbf 31 s ahead", f.good("nbf", now+31), fault.InvalidToken},
		} {
			if got := f.kindOf(c.raw); got != c.want {
				t.Errorf("%s: %v, want %v", c.name, got, c.want)
			}
		}
	})
}

func TestVerify_Accepts(t *testing.T) {
	f := newFixture(t, func(p *token.Policy) { p.Audiences = []string{tokentest.Audience, "files"} })
	for name, raw := range map[string]string{
		"EdDSA": f.sign("EdDSA", header("EdDSA"), goodClaims()), "ES256": f.sign("ES256", header("ES256"), goodClaims()),
		"ES512": f.sign("ES512", header("ES512"), goodClaims()), "RS256": f.sign("RS256", header("RS256"), goodClaims()),
		"RS512":               f.sign("RS512", header("RS512"), goodClaims()),
		"the long typ":        f.sign("EdDSA", with(header("EdDSA"), "typ", "application/at+jwt"), goodClaims()),
		"all audiences ours":  f.good("aud", []string{"files", tokentest.Audience}),
		"no epoch, no rights": f.good("epoch", nil, "roles", nil, "permissions", nil),
		"unknown claims":      f.good("client_id", "web", "amr", []string{"pwd"}, "cnf", object{"jkt": "x"}),
		"an API key":          f.good("sid", nil, "api_key_id", "k-1"),
		"spaces in the JSON":  f.sign("EdDSA", "{ \"alg\" : \"EdDSA\",\n\t\"typ\":\"at+jwt\", \"kid\":\"kid-EdDSA\" }", goodClaims()),
	} {
		if _, err := f.Verify(t.Context(), raw); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVerify_MeetsGolangJWT(t *testing.T) {
	f := newFixture(t)
	tok := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims(goodClaims()))
	tok.Header["typ"], tok.Header["kid"] = "at+jwt", "kid-EdDSA"
	raw, err := tok.SignedString(f.private["kid-EdDSA"])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Verify(t.Context(), raw); err != nil {
		t.Errorf("a token made by golang-jwt: %v", err)
	}
}
