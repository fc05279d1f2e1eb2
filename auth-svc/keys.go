package authsvc

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/secret"

	"cloakroom.dev/auth-svc/internal/adapter/keyring"
)

// The purposes of derived keys. They are part of what is stored and sent: changing one makes old tokens and keys foreign.
const (
	purposeSigningKeys = "seal signing keys"
	purposeTokenMAC    = "mac refresh tokens and api keys"
	purposeCursors     = "seal cursors"
	purposeAudit       = "sign the audit trail"
	purposeFactors     = "seal second factors"
)

// derivedKeys is every symmetric key of the service.
type derivedKeys struct {
	seal   *keyring.Sealer
	mac    *keyring.MAC
	cursor [32]byte
	notary *keyring.Notary
	factor *keyring.Sealer
}

// openKeys reads the configured secrets and derives the keys.
func openKeys(cfg Config) (derivedKeys, error) {
	ring, err := readRing(cfg, "keyEncryption", cfg.Boot.Spec.KeyEncryption)
	if err != nil {
		return derivedKeys{}, err
	}
	macRing := ring
	if ref := cfg.Boot.Spec.MACKeys; ref != nil {
		if macRing, err = readRing(cfg, "macKeys", *ref); err != nil {
			return derivedKeys{}, err
		}
	}
	var k derivedKeys
	var errs [5]error
	k.seal, errs[0] = ring.Sealer(purposeSigningKeys)
	k.mac, errs[1] = macRing.MAC(purposeTokenMAC)
	k.cursor, errs[2] = ring.Key(purposeCursors)
	k.notary, errs[3] = ring.Notary(purposeAudit)
	k.factor, errs[4] = ring.Sealer(purposeFactors)
	return k, errors.Join(errs[:]...)
}

// readRing reads one or more secrets, one a line: the first is current, the others are kept for what they made before a
// rotation.
func readRing(cfg Config, field string, ref v1alpha1.SecretRef) (*keyring.Ring, error) {
	text, err := readSecret(cfg, ref)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w; make one with: openssl rand -hex 32 > %s", field, err, cfg.path(ref.File))
	case err != nil:
		return nil, fmt.Errorf("%s: %w", field, err)
	}
	var secrets []secret.String
	for i, line := range strings.Fields(text.Reveal()) {
		s, err := decodeSecret(line)
		if err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", field, i+1, err)
		}
		secrets = append(secrets, s)
	}
	if len(secrets) == 0 {
		return nil, fmt.Errorf("%s is empty", field)
	}
	ring, err := keyring.New(secrets[0], secrets[1:]...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", field, err)
	}
	return ring, nil
}

// decodeSecret takes 32 bytes or more as hex or base64, so that nobody configures a pass phrase.
func decodeSecret(text string) (secret.String, error) {
	decoders := []func(string) ([]byte, error){
		hex.DecodeString, base64.StdEncoding.DecodeString, base64.RawURLEncoding.DecodeString,
	}
	for _, decode := range decoders {
		if raw, err := decode(text); err == nil && len(raw) >= 32 {
			return secret.NewString(string(raw)), nil
		}
	}
	return secret.String{}, errors.New("must be 32 random bytes or more, as hex or base64")
}

func readSecret(cfg Config, ref v1alpha1.SecretRef) (secret.String, error) {
	r := ref.Ref()
	if r.File != "" {
		r.File = cfg.path(r.File)
	}
	return r.Read()
}

// path makes a path of the boot object absolute, or relative to the working directory when there is no base folder.
func (c Config) path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(c.BaseDir, p)
}
