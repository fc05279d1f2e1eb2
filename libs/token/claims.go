package token

import (
	"slices"
	"strings"
	"time"

	"cloakroom.dev/libs/principal"
)

const maxIDBytes = 128

// maxTime is the last second of the year 9999.
const maxTime = 253402300799

// claims are what an access token says.
type claims struct {
	issuer              string
	audience            []string
	notBefore, issuedAt int64
	expires             int64
	principal           principal.Principal
}

// parseClaims reads the claims out of a JWS whose signature is good.
func parseClaims(j *jws) (claims, error) {
	data, err := decodeSegment(j.payload)
	if err != nil {
		return claims{}, err
	}
	o, err := parseObject(data)
	if err != nil {
		return claims{}, err
	}
	c, err := readClaims(o)
	c.principal.KeyID = j.keyID
	return c, err
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
	if p.EpochRoles, err = o.texts("epoch_roles"); err != nil {
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
