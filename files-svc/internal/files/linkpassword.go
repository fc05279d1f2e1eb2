package files

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"cloakroom.dev/libs/fault"
)

// Passwords of links are hashed with PBKDF2-HMAC-SHA-256: it needs no memory, so that how much of it runs at a time is all
// there is to bound. A record says its own number of rounds, so the default may rise.
const (
	linkPasswordRounds   = 600_000
	linkPasswordsAtATime = 2
	linkPasswordWait     = 2 * time.Second
	linkSaltBytes        = 16
)

// Guessing: so many wrong passwords in a row are free; from then on each makes the next wait twice as long.
const (
	freeGuesses  = 10
	maxGuessWait = time.Hour
)

// sealPassword makes the record of a password: rounds, salt and hash.
func (s *Service) sealPassword(ctx context.Context, password string) (string, error) {
	salt := make([]byte, linkSaltBytes)
	_, _ = rand.Read(salt) // never fails
	key, err := s.stretch(ctx, password, salt, s.opts.LinkPasswordRounds)
	if err != nil {
		return "", err
	}
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("%d$%s$%s", s.opts.LinkPasswordRounds, encode(salt), encode(key)), nil
}

// stretch hashes, a bounded number at a time; who waits too long hears fault.Overloaded.
func (s *Service) stretch(ctx context.Context, password string, salt []byte, rounds int) ([]byte, error) {
	wait := time.NewTimer(linkPasswordWait)
	defer wait.Stop()
	select {
	case s.stretching <- struct{}{}:
		defer func() { <-s.stretching }()
	case <-wait.C:
		return nil, fault.Retry(fault.Overloaded, "too many passwords are being checked", linkPasswordWait)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	key, err := pbkdf2.Key(sha256.New, s.nfc(password), salt, rounds, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("hash the password of a link: %w", err)
	}
	return key, nil
}

// matches compares a password with a record.
func (s *Service) matches(ctx context.Context, record, password string) (bool, error) {
	parts := strings.Split(record, "$")
	if len(parts) != 3 {
		return false, fmt.Errorf("password of a link is recorded in %d parts", len(parts))
	}
	rounds, err := strconv.Atoi(parts[0])
	if err != nil {
		return false, fmt.Errorf("rounds of a link's password: %w", err)
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[1])
	if err != nil {
		return false, fmt.Errorf("salt of a link's password: %w", err)
	}
	want, err := base64.RawStdEncoding.DecodeString(parts[2])
	if err != nil {
		return false, fmt.Errorf("hash of a link's password: %w", err)
	}
	got, err := s.stretch(ctx, password, salt, rounds)
	return err == nil && subtle.ConstantTimeCompare(got, want) == 1, err
}

// checkLinkPassword checks a guess. It is counted as wrong before it is looked at, so that parallel guesses are no more
// than those allowed; a right one takes the count back.
func (s *Service) checkLinkPassword(ctx context.Context, l Link, password string) error {
	if len(password) > maxLinkPasswordBytes {
		return ErrLinkPassword
	}
	if err := s.countGuess(ctx, l.ID); err != nil {
		return fmt.Errorf("count a guess: %w", err)
	}
	right, err := s.matches(ctx, l.Password, password)
	switch {
	case err != nil:
		return err
	case !right:
		return ErrLinkPassword
	}
	err = s.catalog.Write(ctx, func(tx Tx) error {
		now, err := tx.Link(ctx, l.ID)
		if err != nil {
			return errNoLinkInstead(err)
		}
		now.Failures, now.FailedAt = 0, time.Time{}
		return tx.UpdateLink(ctx, now)
	})
	if err != nil {
		return fmt.Errorf("take a guess back: %w", err)
	}
	return nil
}

func (s *Service) countGuess(ctx context.Context, id LinkID) error {
	return s.catalog.Write(ctx, func(tx Tx) error {
		l, err := tx.Link(ctx, id)
		if err != nil {
			return errNoLinkInstead(err)
		}
		now := s.now()
		if l.Failures >= freeGuesses {
			again := l.FailedAt.Add(min(maxGuessWait, time.Second<<min(l.Failures-freeGuesses, 12)))
			if now.Before(again) {
				return fault.Retry(fault.RateLimited, "too many wrong passwords", again.Sub(now))
			}
		}
		l.Failures++
		l.FailedAt = now
		return tx.UpdateLink(ctx, l)
	})
}
