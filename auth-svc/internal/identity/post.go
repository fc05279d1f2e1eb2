package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"cloakroom.dev/libs/fault"
)

// The post: mails are rows, written in the transaction of what they tell of, and sent after its commit by RunMail, at
// least once and, but for a crash between the send and its note, exactly once. A link's secret is not in the row: it
// is derived from the row's id under the key ring, so that a stolen table opens no account.

// The bounds of the post.
const (
	maxOutbox   = 10_000 // mails waiting; more are dropped, and counted as such
	mailBatch   = 16     // taken at once
	mailWorkers = 4      // sent at once
	mailTimeout = 30 * time.Second
	mailLease   = 5 * time.Minute // longer than a batch can take
	mailTries   = 10
	maxMailAge  = 24 * time.Hour
	mailPoll    = 5 * time.Second // for what another replica has written, and for second attempts

	mailWindow       = time.Hour
	linksPerAddress  = 30 // mails with links that one address can cause within mailWindow
	linksPerMailbox  = 6  // mails with links that one mailbox gets within mailWindow
	noticesPerWindow = 20 // notices that one mailbox gets within mailWindow
)

type post struct{ bell chan struct{} }

func (p *post) init() { p.bell = make(chan struct{}, 1) }

// wake rings after a commit that may have written a mail. A ring too many costs one reading.
func (p *post) wake() {
	select {
	case p.bell <- struct{}{}:
	default:
	}
}

// enqueue writes a mail, within its bounds. What is over them is dropped: the request it belongs to must not fail, nor
// tell that it would have sent something.
func (s *Service) enqueue(ctx context.Context, tx Tx, m OutMail) error {
	if s.opts.Mailer == nil {
		return nil
	}
	waiting, err := tx.CountMails(ctx)
	if err != nil {
		return fmt.Errorf("count waiting mails: %w", err)
	}
	if waiting >= maxOutbox {
		s.opts.Observer.Mail("dropped_full")
		return nil
	}
	m.ID, m.CreatedAt, m.DueAt = s.opts.NewID(), tx.Now(), tx.Now()
	if err := tx.InsertMail(ctx, m); err != nil {
		return fmt.Errorf("write mail: %w", err)
	}
	return nil
}

// notify tells a person something by mail, if they have an address.
func (s *Service) notify(ctx context.Context, tx Tx, u User, kind MailKind, client Client) error {
	if s.opts.Mailer == nil || u.EmailKey == "" {
		return nil
	}
	ok, err := s.spend(ctx, tx, s.counterKey("notices", rateKey(u.EmailKey)), noticesPerWindow)
	if err != nil || !ok {
		return err
	}
	return s.enqueue(ctx, tx, OutMail{Kind: kind, UserID: u.ID, To: u.mailbox(), UserAgent: client.UserAgent, Address: client.Address})
}

// askToVerify sends a person the link that verifies their address.
func (s *Service) askToVerify(ctx context.Context, tx Tx, u User, client Client) error {
	if s.opts.Mailer == nil || u.EmailKey == "" || !u.EmailVerifiedAt.IsZero() {
		return nil
	}
	for _, b := range []struct {
		key  [32]byte
		most int
	}{{s.addressKey("links from", client), linksPerAddress}, {s.counterKey("links to", rateKey(u.EmailKey)), linksPerMailbox}} {
		if ok, err := s.spend(ctx, tx, b.key, b.most); err != nil || !ok {
			return err
		}
	}
	return s.enqueue(ctx, tx, OutMail{Kind: MailVerify, UserID: u.ID, To: u.mailbox(), UserAgent: client.UserAgent, Address: client.Address})
}

// spend takes one mail off a budget of most in an hour, and reports whether there was one left.
func (s *Service) spend(ctx context.Context, tx Tx, key [32]byte, most int) (bool, error) {
	ok, err := budget(ctx, tx, key, most)
	if err == nil && !ok {
		s.opts.Observer.Mail("dropped_limit")
	}
	return ok, err
}

// budget takes one off what may happen most times in an hour, and reports whether there was one left.
func budget(ctx context.Context, tx Tx, key [32]byte, most int) (bool, error) {
	c, err := tx.Counter(ctx, key)
	if err != nil {
		return false, err
	}
	n := c.current(tx.Now(), mailWindow)
	if n == 0 {
		c = Counter{Key: key, Since: tx.Now()}
	}
	if n >= most {
		return false, nil
	}
	c.Count++
	c.Until = c.Since.Add(mailWindow)
	return true, tx.PutCounter(ctx, c)
}

// mailbox is where mail goes: to the local part as it was typed, at the domain in the form that any server takes.
func (u User) mailbox() string {
	at, keyAt := strings.LastIndexByte(u.Email, '@'), strings.LastIndexByte(u.EmailKey, '@')
	if at < 0 || keyAt < 0 {
		return ""
	}
	return u.Email[:at] + u.EmailKey[keyAt:]
}

// RunMail sends mails until ctx ends, and returns nil then. Without a Mailer there is nothing to do.
func (s *Service) RunMail(ctx context.Context) error {
	if s.opts.Mailer == nil {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(mailPoll)
	defer tick.Stop()
	for {
		more, err := s.sendSome(ctx)
		if err != nil && ctx.Err() == nil {
			s.opts.Log.ErrorContext(ctx, "mails can't be sent now, they will be tried again", "error", err.Error())
		}
		if more && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-s.post.bell:
		}
	}
}

// parcel is a mail that is ready to go.
type parcel struct {
	mail   OutMail
	letter Letter
}

// sendSome takes what is due and sends it. more says that there may be more.
func (s *Service) sendSome(ctx context.Context) (more bool, err error) {
	waiting := 0
	err = s.store.View(ctx, func(tx Tx) (err error) {
		waiting, err = tx.CountMails(ctx)
		return err
	})
	if err != nil {
		return false, err
	}
	s.opts.Observer.MailsWaiting(waiting)
	if waiting == 0 {
		return false, nil
	}
	var parcels []parcel
	taken := 0
	err = s.store.InTx(ctx, func(tx Tx) (err error) {
		parcels, taken, err = s.take(ctx, tx)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("take mails: %w", err)
	}
	var group errgroup.Group
	group.SetLimit(mailWorkers)
	for _, p := range parcels {
		group.Go(func() error { return s.send(ctx, p) })
	}
	return taken == mailBatch, group.Wait()
}

// take leases a batch and makes its letters, in the order they were asked for: the newest link is the one that lives.
func (s *Service) take(ctx context.Context, tx Tx) (parcels []parcel, taken int, err error) {
	mails, err := tx.LeaseMails(ctx, tx.Now().Add(mailLease), mailBatch)
	if err != nil {
		return nil, 0, err
	}
	for _, m := range mails {
		p, ok, err := s.pack(ctx, tx, m)
		if err != nil {
			return nil, 0, fmt.Errorf("prepare a mail of kind %s: %w", m.Kind, err)
		}
		if ok {
			parcels = append(parcels, p)
			continue
		}
		if err := tx.DeleteMail(ctx, m.ID); err != nil {
			return nil, 0, err
		}
	}
	return parcels, len(mails), nil
}

// pack makes the letter of a mail. ok is false when there is nobody to send it to, or no reason any more.
func (s *Service) pack(ctx context.Context, tx Tx, m OutMail) (p parcel, ok bool, err error) {
	if m.Tries > mailTries || tx.Now().Sub(m.CreatedAt) > maxMailAge {
		s.opts.Observer.Mail("dropped_old")
		s.opts.Log.WarnContext(ctx, "mail given up", "mail_id", m.ID, "kind", string(m.Kind), "tries", m.Tries-1)
		return p, false, nil
	}
	p = parcel{mail: m, letter: Letter{Kind: m.Kind, UserAgent: m.UserAgent, Address: m.Address, At: m.CreatedAt}}
	switch m.Kind {
	case MailVerify:
		ok, err = s.packLink(ctx, tx, &p, PurposeVerify)
	case MailReset:
		ok, err = s.packLink(ctx, tx, &p, PurposeReset)
	default:
		ok = true
	}
	return p, ok, err
}

// send hands one parcel over and notes what came of it.
func (s *Service) send(ctx context.Context, p parcel) error {
	err := s.hand(ctx, p)
	m := p.mail
	switch {
	case err == nil:
		s.opts.Observer.Mail("sent")
	case errors.Is(err, fault.Of(fault.Invalid)):
		s.opts.Observer.Mail("refused")
		s.opts.Log.WarnContext(ctx, "mail refused for good", "mail_id", m.ID, "kind", string(m.Kind), "error", err.Error())
	default:
		s.opts.Observer.Mail("retried")
		s.opts.Log.WarnContext(ctx, "mail not sent, it will be tried again", "mail_id", m.ID, "kind", string(m.Kind), "tries", m.Tries, "error", err.Error())
		return ignoreGone(s.store.InTx(context.WithoutCancel(ctx), func(tx Tx) error {
			m.DueAt = tx.Now().Add(mailBackoff(m.Tries))
			return tx.UpdateMail(ctx, m)
		}))
	}
	return ignoreGone(s.store.InTx(context.WithoutCancel(ctx), func(tx Tx) error { return tx.DeleteMail(ctx, m.ID) }))
}

func (s *Service) hand(ctx context.Context, p parcel) error {
	subject, text, html, err := s.opts.Letters.Write(p.letter)
	if err != nil {
		return fault.Wrap(fault.Invalid, "the letter can't be written", err)
	}
	ctx, cancel := context.WithTimeout(ctx, mailTimeout)
	defer cancel()
	return s.opts.Mailer.Send(ctx, Mail{ID: p.mail.ID, To: p.mail.To, Subject: subject, Text: text, HTML: html, At: p.mail.CreatedAt})
}

// mailBackoff doubles from half a minute to an hour.
func mailBackoff(tries int) time.Duration {
	return min(30*time.Second<<min(max(tries-1, 0), 10), time.Hour)
}

// ignoreGone: the person was erased while their mail was on its way.
func ignoreGone(err error) error {
	if errors.Is(err, fault.Of(fault.NotFound)) {
		return nil
	}
	return err
}
