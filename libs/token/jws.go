package token

import (
	"encoding/base64"
	"strings"
)

// jws is a compact JWS taken apart. None of it is trusted yet.
type jws struct {
	algorithm, keyID, typ string
	signed                string // what the signature is over
	payload, signature    []byte
}

func parseJWS(raw string) (j jws, err error) {
	header, rest, _ := strings.Cut(raw, ".")
	payload, signature, ok := strings.Cut(rest, ".")
	if !ok || strings.Contains(signature, ".") {
		return jws{}, reason("not three segments")
	}
	j.signed = raw[:len(header)+1+len(payload)]
	data, err := decodeSegment(header)
	if err != nil {
		return jws{}, err
	}
	if err = j.readHeader(data); err != nil {
		return jws{}, err
	}
	if j.payload, err = decodeSegment(payload); err != nil {
		return jws{}, err
	}
	j.signature, err = decodeSegment(signature)
	return j, err
}

// readHeader takes alg, kid and typ and refuses every other parameter: crit, b64 and zip change what a token means, and
// jku, x5u, x5c and jwk say where its key is to be found, which is not for a token to say.
func (j *jws) readHeader(data []byte) error {
	o, err := parseObject(data)
	if err != nil {
		return err
	}
	for name := range o {
		if name != "alg" && name != "kid" && name != "typ" {
			return reason("unexpected header parameter")
		}
	}
	if j.algorithm, err = o.text("alg"); err != nil {
		return err
	}
	if j.typ, err = o.text("typ"); err != nil {
		return err
	}
	j.keyID, err = o.id("kid")
	return err
}

// decodeSegment reads unpadded base64url that has one spelling only. The decoder itself would skip line breaks.
func decodeSegment(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, reason("not base64url")
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, reason("not base64url")
	}
	return data, nil
}
