package token

import (
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"cloakroom.dev/libs/principal"
)

// maxTokenBytes bounds a token before anything is read of it.
const maxTokenBytes = 8 << 10

const maxIDBytes = 128

// maxTime is the last second of the year 9999.
const maxTime = 253402300799

// compact is a token taken apart. None of it is trusted yet.
type compact struct {
	algorithm, keyID string
	signed           string // what the signature is over
	signature        []byte
	claims           claims
}

type claims struct {
	issuer              string
	audience            []string
	notBefore, issuedAt int64
	expires             int64
	principal           principal.Principal
}

func parse(raw string) (compact, error) {
	head, rest, _ := strings.Cut(raw, ".")
	payload, signature, ok := strings.Cut(rest, ".")
	if !ok || strings.Contains(signature, ".") {
		return compact{}, reason("not three segments")
	}
	c := compact{signed: raw[:len(head)+1+len(payload)]}
	header, err := parseSegment(head)
	if err != nil {
		return compact{}, err
	}
	if c.algorithm, c.keyID, err = readHeader(header); err != nil {
		return compact{}, err
	}
	body, err := parseSegment(payload)
	if err != nil {
		return compact{}, err
	}
	if c.claims, err = readClaims(body); err != nil {
		return compact{}, err
	}
	c.claims.principal.KeyID = c.keyID
	c.signature, err = decodeSegment(signature)
	return c, err
}

func parseSegment(s string) (object, error) {
	data, err := decodeSegment(s)
	if err != nil {
		return nil, err
	}
	return parseObject(data)
}

// decodeSegment reads unpadded base64url that has one spelling only. The decoder itself would skip line breaks.
func decodeSegment(s string) ([]byte, error) {
	if s == "" || strings.ContainsAny(s, "\r\n") {
		return nil, reason("not base64url")
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, reason("not base64url")
	}
	return data, nil
}

// readHeader takes alg, kid and typ and refuses every other parameter: crit, b64 and zip change what a token means, and
// jku, x5u, x5c and jwk say where its key is to be found, which is not for a token to say.
func readHeader(o object) (algorithm, keyID string, err error) {
	for name := range o {
		if name != "alg" && name != "kid" && name != "typ" {
			return "", "", reason("unexpected header parameter")
		}
	}
	typ, err := o.text("typ")
	if err != nil {
		return "", "", err
	}
	if typ != "at+jwt" && typ != "application/at+jwt" {
		return "", "", reason("not an access token")
	}
	if algorithm, err = o.text("alg"); err != nil {
		return "", "", err
	}
	keyID, err = o.id("kid")
	return algorithm, keyID, err
}

func readClaims(o object) (c claims, err error) {
	p := &c.principal
	if p.UserID, err = o.id("sub"); err != nil {
		return claims{}, err
	}
	if p.TokenID, err = o.id("jti"); err != nil {
		return claims{}, err
	}
	if err = readCredential(o, p); err != nil {
		return claims{}, err
	}
	if c.issuer, err = o.text("iss"); err != nil {
		return claims{}, err
	}
	if c.audience, err = readAudience(o); err != nil {
		return claims{}, err
	}
	if err = readTimes(o, &c); err != nil {
		return claims{}, err
	}
	if p.Epoch, _, err = o.integer("epoch"); err != nil {
		return claims{}, err
	}
	if p.Roles, err = o.texts("roles"); err != nil {
		return claims{}, err
	}
	p.Permissions, err = readPermissions(o)
	return c, err
}

// readCredential takes the session or the API key that the token came from: exactly one.
func readCredential(o object, p *principal.Principal) (err error) {
	_, session := o["sid"]
	_, apiKey := o["api_key_id"]
	switch {
	case session && apiKey:
		return reason("both sid and api_key_id")
	case apiKey:
		p.APIKeyID, err = o.id("api_key_id")
	default:
		p.SessionID, err = o.id("sid")
	}
	return err
}

// id reads a member that must be there: 1 to 128 visible ASCII characters.
func (o object) id(name string) (string, error) {
	s, err := o.text(name)
	if err != nil {
		return "", err
	}
	if s == "" || len(s) > maxIDBytes || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", reason(name + " is missing or malformed")
	}
	return s, nil
}

func readAudience(o object) ([]string, error) {
	if raw := o["aud"]; len(raw) > 0 && raw[0] == '[' {
		return o.texts("aud")
	}
	s, err := o.text("aud")
	return []string{s}, err
}

func readTimes(o object, c *claims) (err error) {
	if c.expires, err = o.second("exp", true); err != nil {
		return err
	}
	if c.issuedAt, err = o.second("iat", true); err != nil {
		return err
	}
	if c.notBefore, err = o.second("nbf", false); err != nil {
		return err
	}
	c.principal.IssuedAt = time.Unix(c.issuedAt, 0).UTC()
	c.principal.ExpiresAt = time.Unix(c.expires, 0).UTC()
	return nil
}

// second reads a NumericDate, in whole seconds.
func (o object) second(name string, required bool) (int64, error) {
	n, present, err := o.integer(name)
	switch {
	case err != nil:
		return 0, err
	case required && !present:
		return 0, reason(name + " is missing")
	case n > maxTime:
		return 0, reason(name + " is too large")
	default:
		return n, nil
	}
}

// readPermissions leaves out what this version does not understand: it gives nothing.
func readPermissions(o object) ([]principal.Permission, error) {
	list, err := o.texts("permissions")
	if err != nil || len(list) == 0 {
		return nil, err
	}
	permissions := make([]principal.Permission, 0, len(list))
	for _, s := range list {
		if p, ok := principal.ParsePermission(s); ok {
			permissions = append(permissions, p)
		}
	}
	return slices.Clip(permissions), nil
}
