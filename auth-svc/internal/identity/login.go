package identity

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/secret"
)

// LoginInput is what someone gives to come in.
type LoginInput struct {
	Identifier string // email, phone or username, as typed
	Password   secret.String
	Client     Client
}

var (
	errCredentials = fault.New(fault.InvalidCredentials, "the identifier or the password is wrong")
	errDeactivated = fault.New(fault.AccountDeactivated, "this account is deactivated")
	errAtCap       = fault.New(fault.Conflict, "too many sessions; end one on another device first")
)

// Login opens a session, or for somebody with a second factor a challenge: then the answer is Entry.Pending alone. Faults: InvalidCredentials for every refusal alike, at the cost of one hash;
// AccountDeactivated only to who has proved the password; RateLimited, Overloaded; Conflict at the session cap when
// the policy refuses there.
func (s *Service) Login(ctx context.Context, in LoginInput) (Entry, error) {
	e, err := s.login(ctx, in)
	s.observeLogin(e, err)
	return e, err
}

func (s *Service) observeLogin(e Entry, err error) {
	switch kind := fault.KindOf(err); {
	case err == nil && e.Pending != nil:
		s.opts.Observer.Login("challenged")
	case err == nil:
		s.opts.Observer.Login("ok")
	case kind == fault.Internal || kind == fault.Unavailable || kind == fault.StorageFull:
		s.opts.Observer.Login("error")
	default:
		s.opts.Observer.Login("denied")
	}
}

func (s *Service) login(ctx context.Context, in LoginInput) (Entry, error) {
	if err := s.hasher.Refuses(); err != nil { // before anything is read: in a flood most are refused, and each costs everybody else
		return Entry{}, fmt.Errorf("look at a password: %w", err)
	}
	in.Client = in.Client.cleaned()
	id, readable := ParseIdentifier(in.Identifier)
	account := id.Key
	if !readable {
		account = clip(in.Identifier, maxEmailBytes)
	}
	g := s.newLogin(account, in.Client)
	u, err := s.findForLogin(ctx, id, readable, g, in.Client)
	if err != nil {
		return Entry{}, err
	}
	defer g.end(ctx)
	match, outdated, err := s.guarded(ctx, g, in.Password, u.PasswordHash)
	switch {
	case err != nil:
		return Entry{}, err
	case !match:
		return Entry{}, errCredentials
	case u.Status != Active:
		return Entry{}, errDeactivated
	}
	proved := u.PasswordHash
	if outdated {
		u.PasswordHash = s.rehash(ctx, in.Password, proved)
	}
	return s.enter(ctx, u.ID, proved, u.PasswordHash, in.Client)
}

// findForLogin returns the zero user, who has no password, when there is nobody: what follows costs the same. The guess
// is judged in the same reading; fault.RateLimited refuses it.
func (s *Service) findForLogin(ctx context.Context, id Identifier, readable bool, g *guess, client Client) (u User, err error) {
	err = g.admit(ctx, func(tx Tx) (known bool, err error) {
		if !readable {
			id = Identifier{Kind: Username} // matches nobody, and costs the look-up of somebody
		}
		u, err = tx.UserByIdentifier(ctx, id)
		if err != nil && !errors.Is(err, fault.Of(fault.NotFound)) {
			return false, err
		}
		return tx.KnownDevice(ctx, u.ID, s.deviceKey(u.ID, client))
	})
	if err != nil {
		return User{}, fmt.Errorf("find the account: %w", err)
	}
	return u, nil
}

// rehash makes a hash of today's strength. When the gate is full the old one does until next time.
func (s *Service) rehash(ctx context.Context, password secret.String, old string) string {
	fresh, err := s.hash(ctx, password)
	if err != nil {
		s.opts.Log.InfoContext(ctx, "password hash not renewed", "error", err.Error())
		return old
	}
	return fresh
}

// enter opens a session, or a challenge, for someone who has proved a password, unless it has changed since, or the
// account has.
func (s *Service) enter(ctx context.Context, userID, proved, renewed string, client Client) (Entry, error) {
	var e entering
	var pending *PendingLogin
	err := s.change(ctx, func(tx Tx) error {
		u, err := tx.User(ctx, userID)
		switch {
		case errors.Is(err, fault.Of(fault.NotFound)):
			return errCredentials
		case err != nil:
			return err
		case u.PasswordHash != proved:
			return errCredentials
		case u.Status != Active:
			return errDeactivated
		}
		if renewed != proved {
			u.PasswordHash = renewed
			if err := tx.UpdateUser(ctx, u); err != nil {
				return err
			}
			u.Version++
		}
		e, pending, err = s.letIn(ctx, tx, u, client, ProofPassword)
		return err
	})
	if err != nil {
		return Entry{}, fmt.Errorf("open session: %w", err)
	}
	if pending != nil {
		return Entry{Pending: pending}, nil
	}
	s.post.wake()
	return s.entered(e)
}

// letIn opens the session of somebody who has proved to be the person, or asks for the second factor they have. It is the one
// way from any proof to a session.
func (s *Service) letIn(ctx context.Context, tx Tx, u User, client Client, proof Proof) (e entering, pending *PendingLogin, err error) {
	holds, err := holdsFactor(ctx, tx, u.ID)
	switch {
	case err != nil:
		return e, nil, err
	case holds:
		pending, err = s.challenge(ctx, tx, u, client)
		return e, pending, err
	}
	e, err = s.admitted(ctx, tx, u, client, proof)
	return e, nil, err
}

// admitted opens the session of somebody who has shown all there is to show.
func (s *Service) admitted(ctx context.Context, tx Tx, u User, client Client, proof Proof) (e entering, err error) {
	u.LastLoginAt = tx.Now()
	if err := tx.UpdateUser(ctx, u); err != nil {
		return e, err
	}
	if e, err = s.openSession(ctx, tx, u, client, proof); err != nil {
		return e, err
	}
	if err := s.meetDevice(ctx, tx, u, client); err != nil {
		return e, err
	}
	return e, logAct(ctx, tx, userTarget(u.ID), act{
		name: "session.login", target: sessionTarget(e.session.ID), subject: u.ID, client: client,
		detail: map[string]any{"sessions_ended": e.ended, "proof": proof},
	})
}

// entering is a session on its way out: everything its tokens need.
type entering struct {
	policy  Policy
	user    User
	session Session
	rights  Rights
	extra   map[string]string // claims besides those of every token
	live    [secretBytes]byte
	now     time.Time
	ended   int // sessions that had to make room
}

// openSession adds a session for u, whose row the transaction has locked, and ends what is over the cap.
func (s *Service) openSession(ctx context.Context, tx Tx, u User, client Client, proof Proof) (entering, error) {
	e := entering{policy: s.policyNamed(client.Policy), user: u, live: newSecret(), now: tx.Now()}
	created, ended, err := e.policy.makeRoom(ctx, tx, u.ID, client.Policy)
	if err != nil {
		return e, err
	}
	e.ended = ended
	e.session = Session{
		ID: s.opts.NewID(), UserID: u.ID, DeviceName: client.DeviceName, UserAgent: client.UserAgent,
		Address: client.Address, CreatedAt: created, RefreshUntil: e.policy.refreshUntil(created, created),
		AccessUntil: accessUntil(e.policy, created), Generation: 1, SecretHash: hashSecret(e.live),
		Policy: client.Policy, ProvedAt: e.now, Proof: proof,
	}
	e.extra = client.claims(u, e.session)
	if err := tx.InsertSession(ctx, e.session); err != nil {
		return e, fmt.Errorf("insert session: %w", err)
	}
	e.rights, err = tx.Rights(ctx, u.ID)
	return e, err
}

// makeRoom ends the oldest sessions until one more fits, and returns the time the new one begins: now, or just after
// the newest there is, so that oldest and newest stay true when the clock is set back. A policy's cap is about the sessions
// that follow it; the largest there can be is about all of a person's.
func (p Policy) makeRoom(ctx context.Context, tx Tx, userID, name string) (created time.Time, ended int, err error) {
	live, err := tx.SessionsOf(ctx, userID, Cursor{}, maxSessions+1)
	if err != nil {
		return created, 0, fmt.Errorf("count sessions: %w", err)
	}
	created = tx.Now()
	if len(live) > 0 {
		created = later(created, live[0].CreatedAt.Add(time.Microsecond))
	}
	over := p.over(live, name)
	if len(over) > 0 && p.RefuseAtCap {
		return created, 0, errAtCap
	}
	for _, old := range over {
		if _, err := endSession(ctx, tx, old.ID); err != nil {
			return created, 0, err
		}
	}
	return created, len(over), nil
}

// over are the sessions, of those that live, newest first, that have to go for one more under the policy of this name.
func (p Policy) over(live []Session, name string) (over []Session) {
	kept, same := 0, 0
	for _, s := range live {
		if s.Policy == name {
			same++
		}
		if (s.Policy == name && same >= p.MaxSessions) || kept == maxSessions-1 {
			over = append(over, s)
			continue
		}
		kept++
	}
	return over
}

func (s *Service) entered(e entering) (Entry, error) {
	tokens, err := s.issue(e.policy, e.session, e.rights, e.live, e.now, e.extra)
	return Entry{User: e.user, Rights: e.rights, Tokens: tokens}, err
}
