package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"fmt"
	"strings"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/secret"
)

// A code is looked at inside the transaction that counts the look, spends the code and does what the code was for. So
// no number of parallel requests, from however many addresses, gets more looks than one after another would: a wrong
// code commits its failure, and a right one is gone for whoever comes next.

const (
	codeStep   = 30 * time.Second
	codeDigits = 6
	// codeSkew steps before and after now are taken: clocks of phones are a little off.
	codeSkew = 1
	// maxCodeFailures within the policy's FailureWindow lock codes for its LockDuration. They have nothing to do with
	// the password's: who knows the password must not get more guesses by it.
	maxCodeFailures = 5

	recoveryCodes     = 10
	recoveryCodeBytes = 10 // 80 bits: the hash needs no salt and no work factor
)

var (
	errCode      = fault.New(fault.InvalidCredentials, "the code is wrong, or has been used")
	errNoFactors = fault.New(fault.Forbidden, "second factors are not set up on this server")
)

// codeCount names a count of failed codes. Whoever has stolen a session and guesses there must not be able to lock its
// owner's logins, nor the other way round.
type codeCount string

const (
	countLogin  codeCount = "failed factor login"
	countStepUp codeCount = "failed factor step-up"
)

// takeCode judges a code against a person's confirmed factors and recovery codes, and spends it. A wrong one is counted:
// the transaction must commit all the same. locked is how long no code is looked at.
func (s *Service) takeCode(ctx context.Context, tx Tx, u User, count codeCount, code secret.String, client Client) (right bool, locked time.Duration, err error) {
	now, p := tx.Now(), s.policy()
	c, err := tx.Counter(ctx, s.counterKey(string(count), u.ID))
	if err != nil {
		return false, 0, err
	}
	if now.Before(c.LockedUntil) {
		return false, c.LockedUntil.Sub(now), nil
	}
	if right, err = s.spendCode(ctx, tx, u, tidyCode(code), client); err != nil {
		return false, 0, err
	}
	if right {
		return true, 0, tx.PutCounter(ctx, Counter{Key: c.Key, Until: now})
	}
	if c.current(now, p.FailureWindow) == 0 {
		c = Counter{Key: c.Key, Since: now}
	}
	c.Count++
	c.Until = c.Since.Add(p.FailureWindow)
	if c.Count >= maxCodeFailures {
		c.LockedUntil = now.Add(p.LockDuration)
		c.Until = c.LockedUntil
	}
	return false, 0, tx.PutCounter(ctx, c)
}

func (s *Service) spendCode(ctx context.Context, tx Tx, u User, code string, client Client) (bool, error) {
	if len(code) != codeDigits {
		spent, err := tx.SpendRecoveryCode(ctx, u.ID, hashRecoveryCode(u.ID, code))
		if err != nil || !spent {
			return false, err
		}
		return true, s.notify(ctx, tx, u, MailRecoveryCodeSpent, client)
	}
	factors, err := tx.Factors(ctx, u.ID)
	if err != nil {
		return false, err
	}
	for _, f := range factors {
		if f.Kind != FactorTOTP || !f.Confirmed() {
			continue
		}
		if taken, err := s.spendStep(ctx, tx, f, code); taken || err != nil {
			return taken, err
		}
	}
	return false, nil
}

// spendStep takes a code of a factor, if it is one of now and newer than the last.
func (s *Service) spendStep(ctx context.Context, tx Tx, f Factor, code string) (bool, error) {
	if s.opts.OTP == nil {
		return false, errNoFactors
	}
	plain, err := s.opts.Sealer.Open(factorLabel(f), f.Sealed)
	if err != nil {
		return false, fmt.Errorf("open a factor's secret: %w", err)
	}
	defer clear(plain)
	shared := secret.NewString(string(plain))
	now := tx.Now().Unix() / int64(codeStep/time.Second)
	for step := now - codeSkew; step <= now+codeSkew; step++ {
		want, err := s.opts.OTP.Code(shared, step)
		if err != nil {
			return false, fmt.Errorf("make a code: %w", err)
		}
		if subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			return tx.SpendStep(ctx, f.ID, step)
		}
	}
	return false, nil
}

// factorLabel ties a sealed secret to its row and person.
func factorLabel(f Factor) string { return "totp " + f.UserID + " " + f.ID }

// tidyCode forgives how people type codes: blanks, hyphens, small letters.
func tidyCode(code secret.String) string {
	return strings.ToUpper(strings.NewReplacer(" ", "", "-", "").Replace(clip(code.Reveal(), 64)))
}

var recoveryText = base32.StdEncoding.WithPadding(base32.NoPadding)

// newRecoveryCodes makes codes as people see them, XXXX-XXXX-XXXX-XXXX, and what the store keeps of them.
func newRecoveryCodes(userID string) (codes []secret.String, hashes [][32]byte) {
	for range recoveryCodes {
		var b [recoveryCodeBytes]byte
		_, _ = rand.Read(b[:]) // never fails
		text := recoveryText.EncodeToString(b[:])
		hashes = append(hashes, hashRecoveryCode(userID, text))
		codes = append(codes, secret.NewString(text[:4]+"-"+text[4:8]+"-"+text[8:12]+"-"+text[12:]))
	}
	return codes, hashes
}

func hashRecoveryCode(userID, code string) [32]byte {
	return sha256.Sum256([]byte("cloakroom recovery code v1\x00" + userID + "\x00" + code))
}
