package identity

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/secret"
)

// A link in a mail carries `crm_`: purpose 1 | id 16 | secret 32. The id is that of the mail, and the secret a MAC of it,
// so a second attempt sends the same link; the store holds the secret's hash alone.
const (
	mailTokenPrefix = "crm_"
	mailTokenBody   = 1 + 16 + secretBytes

	verifyLinkLife = 24 * time.Hour
	resetLinkLife  = time.Hour
)

var (
	errMailToken = fault.Validation(fault.Field{Field: "token", Code: "INVALID", Detail: "this is not a token from one of our mails"})
	errLinkGone  = fault.New(fault.Gone, "this link has been used, replaced by a newer one, or has expired; ask for another")
)

// mailToken is an opened link.
type mailToken struct {
	purpose Purpose
	id      string
	secret  [secretBytes]byte
}

var purposeBytes = map[Purpose]byte{PurposeVerify: 1, PurposeReset: 2}

func (p Purpose) life() time.Duration {
	if p == PurposeReset {
		return resetLinkLife
	}
	return verifyLinkLife
}

// newMailToken derives the link of a mail.
func (s *Service) newMailToken(purpose Purpose, mailID string) mailToken {
	sum, _ := s.opts.MAC.Sum(s.opts.MAC.Current(), []byte("mail link\x00"+string(purpose)+"\x00"+mailID))
	return mailToken{purpose: purpose, id: mailID, secret: sha256.Sum256(sum)}
}

func (t mailToken) seal(mac MAC) (secret.String, error) {
	id, ok := parseID(t.id)
	if !ok {
		return secret.String{}, errBadID
	}
	body := append(make([]byte, 0, mailTokenBody), purposeBytes[t.purpose])
	body = append(body, id[:]...)
	return sealCredential(mac, mailTokenPrefix, append(body, t.secret[:]...))
}

// openMailToken returns fault.Invalid for what none of our keys has made, and for a link of another purpose.
func openMailToken(mac MAC, purpose Purpose, raw string) (t mailToken, err error) {
	body, ok := openCredential(mac, mailTokenPrefix, mailTokenBody, raw)
	if !ok || body[0] != purposeBytes[purpose] {
		return t, errMailToken
	}
	return mailToken{purpose: purpose, id: formatID([16]byte(body[1:17])), secret: [secretBytes]byte(body[17:])}, nil
}

// CheckLink reports whether a link is one of ours and for this purpose, without looking whether it still holds and
// without a trace: pages ask, and scanners open pages. Faults: Invalid.
func (s *Service) CheckLink(purpose Purpose, token secret.String) error {
	_, err := openMailToken(s.opts.MAC, purpose, token.Reveal())
	return err
}

// packLink puts the link into a letter. The first attempt makes it, and so ends the one before; later attempts send the same
// one, unless it has been used, replaced or ended meanwhile.
func (s *Service) packLink(ctx context.Context, tx Tx, p *parcel, purpose Purpose) (ok bool, err error) {
	u, ok, err := s.addressee(ctx, tx, &p.mail)
	if err != nil || !ok {
		return false, err
	}
	t := s.newMailToken(purpose, p.mail.ID)
	row := MailToken{
		ID: t.id, UserID: u.ID, Purpose: purpose, EmailKey: u.EmailKey, Hash: hashSecret(t.secret),
		CreatedAt: tx.Now(), ExpiresAt: tx.Now().Add(purpose.life()),
	}
	if p.mail.Tries > 1 {
		before, err := tx.MailToken(ctx, t.id)
		if err != nil {
			return false, ignoreGone(err)
		}
		row.CreatedAt, row.ExpiresAt = before.CreatedAt, before.ExpiresAt
	}
	if err := tx.PutMailToken(ctx, row); err != nil {
		return false, err
	}
	p.letter.ValidFor = row.ExpiresAt.Sub(tx.Now())
	p.letter.Token, err = t.seal(s.opts.MAC)
	return p.letter.ValidFor > 0, err
}

// addressee finds who the mail is for: the person it was written for, if the address is still theirs, or whoever the typed
// identifier names.
func (s *Service) addressee(ctx context.Context, tx Tx, m *OutMail) (u User, ok bool, err error) {
	if m.UserID != "" {
		u, err = tx.User(ctx, m.UserID)
		return u, err == nil && u.Status == Active && u.mailbox() == m.To, ignoreGone(err)
	}
	u, err = tx.UserByIdentifier(ctx, m.Identifier)
	if err != nil || u.Status != Active || u.EmailKey == "" {
		return u, false, ignoreGone(err)
	}
	if ok, err = s.spend(ctx, tx, s.counterKey("links to", rateKey(u.EmailKey)), linksPerMailbox); err != nil || !ok {
		return u, false, err
	}
	m.UserID, m.To = u.ID, u.mailbox()
	return u, true, tx.UpdateMail(ctx, *m)
}

// spendLink finds the person a link belongs to, inside the transaction that uses it up: of two who come with one link,
// the second finds none. Faults: Gone.
func spendLink(ctx context.Context, tx Tx, t mailToken) (User, error) {
	row, err := tx.MailToken(ctx, t.id)
	if errors.Is(err, fault.Of(fault.NotFound)) {
		return User{}, errLinkGone
	}
	if err != nil {
		return User{}, err
	}
	if row.Purpose != t.purpose || !sameHash(row.Hash, hashSecret(t.secret)) || !tx.Now().Before(row.ExpiresAt) {
		return User{}, errLinkGone
	}
	u, err := tx.User(ctx, row.UserID)
	switch {
	case errors.Is(err, fault.Of(fault.NotFound)):
		return User{}, errLinkGone
	case err != nil:
		return User{}, err
	case u.EmailKey != row.EmailKey || u.Status != Active:
		return User{}, errLinkGone
	}
	return u, nil
}
