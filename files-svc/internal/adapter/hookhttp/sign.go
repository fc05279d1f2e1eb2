package hookhttp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"

	"cloakroom.dev/libs/secret"
)

// The bounds of a signing key, as Standard Webhooks has them.
const (
	secretPrefix = "whsec_"
	minKeyBytes  = 24
	maxKeyBytes  = 64
	maxKeys      = 2 // the new one and the one that is being retired
)

var errSecret = errors.New("a webhook secret is whsec_ and the base64 of 24 to 64 random bytes; at most two, separated by a space or a new line")

// keys reads one secret or two.
func keys(s secret.String) ([][]byte, error) {
	words := strings.Fields(s.Reveal())
	if len(words) == 0 || len(words) > maxKeys {
		return nil, errSecret
	}
	out := make([][]byte, len(words))
	for i, w := range words {
		text, ok := strings.CutPrefix(w, secretPrefix)
		key, err := base64.StdEncoding.DecodeString(text)
		if !ok || err != nil || len(key) < minKeyBytes || len(key) > maxKeyBytes {
			return nil, errSecret
		}
		out[i] = key
	}
	return out, nil
}

// sign writes webhook-signature: one signature a key.
func sign(keys [][]byte, id string, at time.Time, body []byte) string {
	signatures := make([]string, len(keys))
	for i, key := range keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		mac.Write(body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(signatures, " ")
}

// NewSecret makes a secret out of random bytes.
func NewSecret(random []byte) string { return secretPrefix + base64.StdEncoding.EncodeToString(random) }
