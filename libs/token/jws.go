package token

import (
	"encoding/base64"
	"strings"
)

// maxHeaderBytes bounds what is parsed of a token before its signature is checked; ours have about 80.
const maxHeaderBytes = 1 << 10

// jws is a compact JWS taken apart. Its payload is left as it came: whoever sends nonsense shall not choose how long we
// read it. Only with a good signature is it worth a look.
type jws struct {
	algorithm, keyID, typ string
	payload               string // encoded
	signed                string // what the signature is over
	signature             []byte
}

func parseJWS(raw string) (j jws, err error) {
	header, rest, _ := strings.Cut(raw, ".")
	payload, signature, ok := strings.Cut(rest, ".")
	switch {
	case !ok || strings.Contains(signature, "."):
		return jws{}, reason("not three segments")
	case len(header) > base64.RawURLEncoding.EncodedLen(maxHeaderBytes):
		return jws{}, reason("header too large")
	}
	data, err := decodeSegment(header)
	if err != nil {
		return jws{}, err
	}
	if err = j.readHeader(data); err != nil {
		return jws{}, err
	}
	j.payload, j.signed = payload, raw[:len(header)+1+len(payload)]
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
