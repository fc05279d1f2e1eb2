package identity

import (
	"context"
	"net/netip"
	"time"

	"cloakroom.dev/libs/secret"
)

// MailKind says what a mail is about.
type MailKind string

// The kinds of mails. The first two carry a link.
const (
	MailVerify          MailKind = "verify_email"     // please show that this is your address
	MailReset           MailKind = "reset_password"   // here is the link to a new password
	MailNewDevice       MailKind = "new_device"       // somebody has come in from where nobody had before
	MailTheft           MailKind = "session_theft"    // a copied refresh token was used, the session has ended
	MailPasswordChanged MailKind = "password_changed" // by the person or by a reset link
	MailEmailChanged    MailKind = "email_changed"    // goes to the address that was

	MailIdentityLinked    MailKind = "identity_linked" // somebody at a provider can sign in from now on
	MailIdentityUnlinked  MailKind = "identity_unlinked"
	MailFactorAdded       MailKind = "factor_added"        // a second factor counts from now on
	MailFactorRemoved     MailKind = "factor_removed"      // by the person
	MailFactorsReset      MailKind = "factors_reset"       // by an administrator; every session has ended
	MailRecoveryCodes     MailKind = "recovery_codes_made" // those before are worth nothing
	MailRecoveryCodeSpent MailKind = "recovery_code_used"
	MailAddressChanged    MailKind = "address_changed" // a session goes on from another network address
	MailPasskeyCopied     MailKind = "passkey_copied"  // its counter went back: there may be two of it
)

// OutMail is a mail on its way. It is written in the transaction of what it tells of, and sent after the commit.
type OutMail struct {
	ID         string
	UserID     string // empty while Identifier is to be looked up
	Kind       MailKind
	To         string     // empty while Identifier is to be looked up
	Identifier Identifier // what somebody typed who asked for MailReset
	UserAgent  string     // of whoever caused it
	Address    netip.Addr
	CreatedAt  time.Time
	DueAt      time.Time
	Tries      int // attempts begun
}

// Outbox keeps mails until they are sent. Those of a person go with the person.
type Outbox interface {
	InsertMail(ctx context.Context, m OutMail) error
	// LeaseMails takes at most limit mails that are due, in the order of their ids, counts their Tries up and makes
	// them due again at until: whoever takes them has that long to send them.
	LeaseMails(ctx context.Context, until time.Time, limit int) ([]OutMail, error)
	// UpdateMail writes UserID, To and DueAt. It returns fault.NotFound.
	UpdateMail(ctx context.Context, m OutMail) error
	// DeleteMail forgets a mail. It returns fault.NotFound.
	DeleteMail(ctx context.Context, id string) error
	// CountMails is how many wait.
	CountMails(ctx context.Context) (int, error)
}

// Mail is a mail as it is sent.
type Mail struct {
	ID      string // unique, the same in every attempt
	To      string // the local part as typed, the domain in its ASCII form
	Subject string
	Text    string
	HTML    string
	At      time.Time
}

// Mailer hands mails to the next server. It returns fault.Invalid when trying again can't help; every other error is
// worth another attempt.
type Mailer interface {
	Send(ctx context.Context, m Mail) error
}

// Letter is what a mail has to say.
type Letter struct {
	Kind      MailKind
	Token     secret.String // of the link, for MailVerify and MailReset
	ValidFor  time.Duration // of the link
	UserAgent string
	Address   netip.Addr
	At        time.Time
}

// Letters puts a letter into words.
type Letters interface {
	Write(l Letter) (subject, text, html string, err error)
}
